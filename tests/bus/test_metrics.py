# SPDX-License-Identifier: Apache-2.0
"""MetricsFile=, as the Prometheus node exporter reads it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from standin.wait import wait_for


@pytest.fixture(name="promtool", scope="module")
def find_promtool(tmp_path_factory):
    """Debian has it in a package that would start a server: the one program is taken out of it, and kept."""
    found = shutil.which("promtool")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecs-authd" / "promtool"
    if not found and not cache.exists():
        directory = tmp_path_factory.mktemp("prometheus")
        if subprocess.run("apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb .", shell=True, cwd=directory,
                          capture_output=True, check=False).returncode == 0:
            cache.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(directory / "usr/bin/promtool", cache)
    if not found and not cache.exists():
        pytest.skip("no promtool, and no package of prometheus")
    return found or str(cache)


def values(path):
    return dict(re.findall(r"^(ecs_authd_\w+(?:\{[^}]*\})?) (\d+)$", path.read_text(), re.M)) if path.exists() else {}


@pytest.fixture(name="metrics")
def make_metrics(host):
    host.settings["Status.MetricsFile"] = host.directory / "ecs-authd.prom"
    return host.directory / "ecs-authd.prom"


def test_live(host, metrics, promtool):
    host.run_live()
    wait_for(lambda: values(metrics).get('ecs_authd_state{state="live"}') == "1", 10, "the state is live", host.seen)
    found = values(metrics)
    assert found["ecs_authd_registries"] == "1" and found["ecs_authd_agent_running"] == "1"
    assert found['ecs_authd_state{state="held"}'] == "0" and found["ecs_authd_problems"] == "0"
    assert int(found["ecs_authd_last_restart_timestamp_seconds"]) > 1_600_000_000
    assert metrics.stat().st_mode & 0o777 == 0o644
    result = subprocess.run([promtool, "check", "metrics"], stdin=metrics.open(), check=False, text=True, capture_output=True)
    assert result.returncode == 0 and not result.stdout and not result.stderr, result


def test_held(host, metrics):
    host.agent.datadir = None
    host.agent.restart()
    host.run_live()
    host.engine.run_task("one")
    host.login()
    wait_for(lambda: values(metrics).get('ecs_authd_state{state="held"}') == "1", 10, "the state is held", host.seen)
    assert values(metrics)["ecs_authd_task_containers"] == "1" and values(metrics)["ecs_authd_agent_keeps_state"] == "0"


def test_problem(host, metrics):
    host.run_live()
    host.credentials.replace("{")
    wait_for(lambda: values(metrics).get("ecs_authd_problems") == "1", 10, "there is a problem", host.seen)


def test_what_is_left_out_is_no_problem(host, metrics):
    """However much it is, and beside a problem, too."""
    for n in range(20):
        host.credentials.login(f"{100000000000 + n}.dkr.ecr.eu-west-1.amazonaws.com", "AWS", "x")
    host.run_live()
    wait_for(lambda: values(metrics).get("ecs_authd_problems") == "0", 10, "nothing is a problem", host.seen)
    host.credentials.replace('{"credHelpers": {"b.example": "nowhere"}, ' + host.credentials.path.read_text()[1:])
    wait_for(lambda: values(metrics).get("ecs_authd_problems") == "1", 10, "there is one problem", host.seen)


def test_no_place(host):
    daemon = host.run_live(Status_MetricsFile="/nonexistent/ecs-authd.prom")
    daemon.wait_said("/nonexistent/ecs-authd.prom: cannot be written: No such file or directory; .*ReadWritePaths=")
    host.look_again()
    assert len([line for line in daemon.lines() if "cannot be written" in line.text]) == 1
