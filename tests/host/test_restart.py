# SPDX-License-Identifier: Apache-2.0
"""The restart on a real host: as few as can be, and none that costs a task."""

import json
import random
import secrets
import threading

import pytest

from host_parts import config_json, entry_of, environment, never, wait_for, wait_newest

OTHERS = "ECS_CLUSTER=web\n# kept\n"


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    h.write("/etc/ecs/ecs.config", OTHERS, 0o600)
    h.write("/root/.docker/config.json", config_json(registry, registry.entry()), 0o600)
    h.boot()
    wait_newest(h, engine, registry)
    yield h
    h.power_off()


@pytest.fixture(name="settle")
def make_settle(host):
    """SettleSec= as it comes."""
    host.shell("printf '[Restart]\\nSettleSec=2s\\n' > /etc/ecs-authd.conf.d/30-settle.conf")
    host.run("systemctl", "reload", "ecs-authd")
    yield
    host.shell("rm /etc/ecs-authd.conf.d/30-settle.conf")
    host.run("systemctl", "reload", "ecs-authd")


@pytest.mark.usefixtures("settle")
def test_two_hundred_logins_give_one_restart(host, engine, registry):
    since = host.cursor()
    registry.new_password()
    host.run("sh", "-c", 'i=0; while [ $i -lt 100 ]; do docker logout "$2" && echo "$3" | '
             'docker login --username "$1" --password-stdin "$2" || exit 1; i=$((i + 1)); done',
             "sh", registry.user, registry.name, registry.password)
    wait_newest(host, engine, registry)
    host.wait_said("runs with the credentials of 1 registry", since)
    assert host.restarts(since) == 1


@pytest.mark.usefixtures("settle")
def test_taken_back_within_the_settle_window(host, engine, registry):
    since, before = host.cursor(), engine.agent()["Id"]
    host.logout(registry)
    host.wait_said("Removed our auth entries", since)
    host.login(registry)
    host.wait_said("Wrote the credentials", since)
    never(lambda: host.restarts(since), 5, "a restart")
    assert engine.agent()["Id"] == before


def test_killed_at_fifty_moments(host, engine, registry):
    """Always converges, never a torn file, never a lost update."""
    host.shell("mkdir -p /etc/systemd/system/ecs-authd.service.d /etc/systemd/system/ecs.service.d && "
               "printf '[Service]\\nRestartSec=20ms\\n' > /etc/systemd/system/ecs-authd.service.d/fast.conf && "
               "systemctl daemon-reload")
    chance = random.Random(4)
    path = host.root / "etc/ecs/ecs.config"
    torn, over = [], threading.Event()

    def watch():
        while not over.wait(0.001):
            lines = path.read_text().splitlines()
            ours = [line for line in lines if line.startswith("ECS_ENGINE_AUTH_")]
            if lines[:2] != OTHERS.splitlines() or len(lines) != 4 or len(ours) != 2 or not json.loads(ours[1][21:]):
                torn.append(len(lines))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(50):
            host.put("/root/.docker/config.json", config_json(registry, entry_of("puller", secrets.token_hex(8))))
            over.wait(chance.random() * 0.4)
            host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "ecs-authd", check=False)
    finally:
        over.set()
        watcher.join()
    assert not torn

    host.put("/root/.docker/config.json", config_json(registry, registry.entry()))
    wait_newest(host, engine, registry)
    assert host.shell("ls -A /etc/ecs").split() == ["ecs.config"]
    assert host.read("/etc/ecs/ecs.config").startswith(OTHERS)
    # The distance between two restarts was kept by all of them together: systemd has not lost patience with ecs.service.
    assert host.property("ecs.service", "ActiveState") == "active"


def test_masked(host, registry):
    host.shell("mv /etc/systemd/system/ecs.service /root && systemctl daemon-reload && systemctl mask --runtime ecs")
    since = host.cursor()
    host.put("/root/.docker/config.json", config_json(registry, entry_of("puller", "another")))
    host.wait_said("is masked", since)
    host.shell("systemctl unmask --runtime ecs && mv /root/ecs.service /etc/systemd/system/ && systemctl daemon-reload")
    host.put("/root/.docker/config.json", config_json(registry, registry.entry()))


def test_state_directory_is_for_root_alone(host):
    assert host.shell("stat -c %a /var/lib/ecs-authd").strip() == "700"
    files = dict(reversed(line.split()) for line in host.shell("cd /var/lib/ecs-authd && stat -c '%a %n' *").splitlines())
    assert "digest.key" in files and set(files.values()) == {"600"}, files
