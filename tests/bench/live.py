# SPDX-License-Identifier: Apache-2.0
"""On a booted host with a real engine and a stand-in for the agent: from a login to an agent that answers with it, split
into its parts, beside the same by hand; and the file alone, beside a systemd .path unit with jq."""

import contextlib
import os
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from contestants import HERE, credentials

sys.path.insert(0, str(HERE.parent / "host"))

import host_parts  # noqa: E402

# The real agent's own start was measured to take that long.
AGENT_SECONDS = 1.8
SETTLE_SECONDS = 2

# What people do after docker login, as one script.
BY_HAND = """
auths=$(jq -c .auths /root/.docker/config.json)
{ grep -v ^ECS_ENGINE_AUTH_ /etc/ecs/ecs.config; echo ECS_ENGINE_AUTH_TYPE=dockercfg; echo "ECS_ENGINE_AUTH_DATA=$auths"; } > /etc/ecs/ecs.config.new
mv /etc/ecs/ecs.config.new /etc/ecs/ecs.config
systemctl restart ecs
until (exec 3<> /dev/tcp/127.0.0.1/51678) 2> /dev/null; do sleep 1; done
"""

PATH_UNIT = """[Path]
PathChanged=/root/.docker/config.json
[Install]
WantedBy=multi-user.target
"""
PATH_SERVICE = """[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'auths=$$(jq -c .auths /root/.docker/config.json); { grep -v ^ECS_ENGINE_AUTH_ /srv/ecs.config; \\
    echo ECS_ENGINE_AUTH_TYPE=dockercfg; echo "ECS_ENGINE_AUTH_DATA=$$auths"; } > /srv/ecs.config.new; \\
    mv /srv/ecs.config.new /srv/ecs.config'
"""


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Prober:
    """When introspection began to answer last."""

    def __init__(self):
        self.since = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.probe, daemon=True)
        self.thread.start()

    def probe(self):
        answers = True
        while not self.stopped.wait(0.002):
            with contextlib.closing(socket.socket()) as s:
                s.settimeout(1)
                before, answers = answers, s.connect_ex(("127.0.0.1", 51678)) == 0
            if answers and not before:
                self.since = now()

    def stop(self):
        self.stopped.set()
        self.thread.join()


def seconds_of(entry):
    return int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6


def one_login(host, engine, registry, prober):
    """Seconds of each part."""
    registry.new_password()
    since = host.cursor()
    host.login(registry)
    wrote = host.wait_said("Wrote the credentials", since)
    host_parts.wait_live(host, engine, registry, since)
    live = host.lines("runs with the credentials", since)[-1]
    restart, job = host.said("Restarting ecs.service", since), host.said("Restart job", since)
    answers = prober.since
    return {
        "SettleSec=": seconds_of(restart) - seconds_of(wrote),
        "restart job": seconds_of(job) - seconds_of(restart),
        "the agent's start": answers - seconds_of(job),
        "until it is seen": seconds_of(live) - answers,
        "all": seconds_of(live) - seconds_of(wrote),
    }


def one_by_hand(host, registry):
    registry.new_password()
    host.login(registry)
    begin = now()
    host.run("bash", "-c", BY_HAND)
    return now() - begin


def measure_live(host, engine, registry, rounds):
    prober = Prober()
    parts = []
    try:
        for _ in range(rounds):
            parts.append(one_login(host, engine, registry, prober))
            host.run("systemctl", "reset-failed", "ecs")
    finally:
        prober.stop()
    host.run("systemctl", "stop", "ecs-authd")
    by_hand = []
    for _ in range(rounds):
        host.run("systemctl", "reset-failed", "ecs")
        by_hand.append(one_by_hand(host, registry))
    host.run("systemctl", "start", "ecs-authd")
    return {name: statistics.median(p[name] for p in parts) for name in parts[0]}, statistics.median(by_hand)


def stopwatch(host, text, environment):
    host.put("/root/.docker/next.json", text)
    return float(host.run("/srv/stopwatch", "/root/.docker/next.json", "/root/.docker/config.json", environment))


def measure_path_unit(host, rounds, sizes):
    """{n: {name: median in ms}}, in turns; ecs-authd restarts nothing meanwhile."""
    host.put("/etc/ecs-authd.conf.d/30-bench.conf", "[Restart]\nMethod=none\n")
    host.put("/etc/systemd/system/peer.path", PATH_UNIT)
    host.put("/etc/systemd/system/peer.service", PATH_SERVICE)
    host.shell("touch /srv/ecs.config; systemctl daemon-reload; systemctl restart ecs-authd")
    result = {}
    for n in sizes:
        times = {"ecs-authd": [], "path unit": []}
        for turn in range(2 * rounds):
            ours = turn % 2 == 0
            host.run("systemctl", "start" if ours else "stop", "ecs-authd")
            host.run("systemctl", "stop" if ours else "start", "peer.path")
            times["ecs-authd" if ours else "path unit"].append(
                stopwatch(host, credentials(n, turn + 1), "/etc/ecs/ecs.config" if ours else "/srv/ecs.config"))
        result[n] = {name: statistics.median(t) / 1000 for name, t in times.items()}
    return result


def measure(build, rounds, sizes=(1, 100)):
    """None where there cannot be such a host; else what measure_live() and measure_path_unit() give."""
    missing = host_parts.missing_parts()
    if missing:
        print(f"bench: no booted host, it needs {', '.join(missing)}")
        return None
    workplace = Path(tempfile.mkdtemp(prefix="ecs-authd-host-"))
    engine, registry = host_parts.Engine(workplace / "engine"), host_parts.Registry(workplace / "registry")
    host = None
    try:
        engine.start()
        engine.import_agent()
        registry.start()
        host = host_parts.Host(workplace / "host", engine, extra=("jq",))
        shutil.copy(build / "stopwatch", host.root / "srv" / "stopwatch")
        engine.control.set(register=AGENT_SECONDS)
        host_parts.boot_logged_in(host, registry, f"SettleSec={SETTLE_SECONDS}s\nMinIntervalSec=1s\n")
        host_parts.wait_live(host, engine, registry)
        live, by_hand = measure_live(host, engine, registry, rounds)
        return live, by_hand, measure_path_unit(host, rounds, sizes)
    finally:
        if host:
            host.remove()
        registry.stop()
        engine.stop()
        shutil.rmtree(workplace, ignore_errors=True)
        os.sync()
