# SPDX-License-Identifier: Apache-2.0
"""MetricsFile=, as the Prometheus node exporter reads it."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from standin.promtool import find_promtool
from standin.wait import wait_for

MAN = Path(__file__).resolve().parents[2] / "packaging/man/ecs-authd.conf.5.scd"


@pytest.fixture(name="promtool", scope="module")
def make_promtool(tmp_path_factory):
    return find_promtool(tmp_path_factory.mktemp("prometheus")) or pytest.skip("no promtool, and no package of prometheus")


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
    assert re.findall(r"^# TYPE (\w+) (\w+)$", metrics.read_text(), re.M) == re.findall(
        r"^\*(ecs_authd_\w+)\* \((\w+)\)$", MAN.read_text(), re.M)


def test_held(host, metrics):
    host.agent.datadir = None
    host.agent.restart()
    host.run_live()
    host.engine.run_task("one")
    host.login()
    wait_for(lambda: values(metrics).get('ecs_authd_state{state="held"}') == "1", 10, "the state is held", host.seen)
    since = int(values(metrics)["ecs_authd_held_since_timestamp_seconds"])
    assert since <= time.time() < since + 60
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


def test_heartbeat(host, metrics):
    """Nothing happens, and it goes up all the same."""
    host.run_live(Credentials_RefreshSec="1s")
    host.wait_idle()
    first = int(values(metrics)["ecs_authd_last_look_timestamp_seconds"])
    assert first <= time.time() < first + 60
    assert int(values(metrics)["ecs_authd_start_time_seconds"]) <= first
    wait_for(lambda: int(values(metrics)["ecs_authd_last_look_timestamp_seconds"]) > first, 10, "it beats", host.seen)


def restarts(metrics):
    found = values(metrics)
    return [int(found.get(f'ecs_authd_restarts_total{{outcome="{word}"}}', -1)) for word in ("done", "failed", "canceled")]


def test_counters(host, metrics):
    host.run_live()
    wait_for(lambda: restarts(metrics) == [1, 0, 0], 10, "one restart", host.seen)
    assert values(metrics)["ecs_authd_writes_total"] == "1"
    host.login()
    wait_for(lambda: restarts(metrics) == [2, 0, 0], 10, "two restarts", host.seen)
    assert values(metrics)["ecs_authd_writes_total"] == "2"

    host.daemon.stop()
    host.run()
    wait_for(lambda: restarts(metrics) == [0, 0, 0], 10, "they begin again", host.seen)
    assert values(metrics)["ecs_authd_writes_total"] == "0"


def test_failed_restart(host, metrics):
    host.run_live()
    host.agent.ignores_file = True
    host.login()
    wait_for(lambda: restarts(metrics) == [1, 1, 0], 20, "one failed restart", host.seen)


def test_helper_failures(host, metrics):
    host.credentials.replace('{"credHelpers": {"a.example": "nowhere", "b.example": "nowhere"}}')
    host.run()
    wait_for(lambda: values(metrics).get("ecs_authd_helper_failures_total") == "2", 10, "both have failed", host.seen)
    assert values(metrics)['ecs_authd_registry_helper_failing{registry="a.example"}'] == "1"


def test_end(host, metrics):
    """Of a service that has stopped nothing is told; after a kill the heartbeat stands still."""
    daemon = host.run_live()
    wait_for(metrics.exists, 10, "there are metrics", host.seen)
    assert daemon.stop() == 0
    assert not metrics.exists()

    daemon = host.run()
    wait_for(metrics.exists, 10, "there are metrics", host.seen)
    daemon.process.kill()
    daemon.process.wait()
    assert metrics.exists()


def test_another_place(host):
    """After a reload nothing is left at the place before."""
    first, second = host.directory / "first.prom", host.directory / "second.prom"
    host.config.write_text(f"[Status]\nMetricsFile={first}\n")
    daemon = host.run_live()
    wait_for(first.exists, 10, "there are metrics", host.seen)
    host.config.write_text(f"[Status]\nMetricsFile={second}\n")
    daemon.hang_up()
    wait_for(lambda: second.exists() and not first.exists(), 10, "they are there, and not here", host.seen)


def test_no_place_is_seen(host):
    """In the status, while it is so."""
    place = host.directory / "nowhere"
    host.run_live(Status_MetricsFile=place / "ecs-authd.prom")
    told = f"{place}/ecs-authd.prom: cannot be written: No such file or directory; "
    wait_for(lambda: host.status()["state"] == "live" and (host.status()["metrics_error"] or "").startswith(told), 10,
             "the status tells of it", host.seen)
    result = host.run_verb("status")
    assert result.returncode == 3 and f"Metrics: {told}" in result.stdout, result

    place.mkdir()
    host.login()
    wait_for(lambda: host.status()["metrics_error"] is None, 10, "the status tells of it no more", host.seen)
    host.wait_live()
    assert host.run_verb("status").returncode == 0


def test_a_place_that_hangs(host, hung):
    """Each look had another child hang there, until no job could be started any more."""
    hung.take_requests()
    host.agent.datadir = None
    host.agent.restart()
    daemon = host.run_live(Status_MetricsFile=hung.path / "ecs-authd.prom")
    host.engine.run_task("one")
    host.login()
    daemon.wait_said("Restart held")
    daemon.wait_said("ecs-authd.prom: cannot be written: Connection timed out", seconds=20)
    looks = len(host.engine.requests)
    wait_for(lambda: len(host.engine.requests) > looks + 6, 30, "two looks more", host.seen)
    assert len([name for name in host.children().values() if name == "ecs-authd-job"]) <= 2
    # What the status says goes on.
    assert "Connection timed out" in host.status()["metrics_error"]
    host.login()
    host.wait_written()


def test_the_file_of_before_goes_where_the_next_one_hangs(host, hung):
    hung.take_requests()
    before = host.directory / "before.prom"
    host.config.write_text(f"[Status]\nMetricsFile={before}\n")
    daemon = host.run_live()
    wait_for(before.exists, 10, "the metrics", host.seen)
    host.config.write_text(f"[Status]\nMetricsFile={hung.path}/after.prom\n")
    daemon.hang_up()
    wait_for(lambda: not before.exists(), 20, "the old file is gone", host.seen)


@pytest.mark.parametrize("way", ["link", "pipe"])
def test_somebody_has_put_something_there_first(host, metrics, way):
    """The directory may be another user's: what his link leads to is not written, and his pipe is not waited for."""
    theirs, temporary = host.directory / "theirs", metrics.with_name(f"{metrics.name}.new")
    theirs.write_text("theirs\n")
    if way == "link":
        temporary.symlink_to(theirs)
    else:
        os.mkfifo(temporary)
    host.run_live()
    wait_for(lambda: values(metrics).get('ecs_authd_state{state="live"}') == "1", 10, "there are metrics", host.seen)
    assert theirs.read_text() == "theirs\n"
    assert metrics.is_file() and not metrics.is_symlink() and not os.path.lexists(temporary)


def test_end_after_somebody_touched_it(host, metrics):
    daemon = host.run_live()
    wait_for(metrics.exists, 10, "the metrics", host.seen)
    host.wait_idle()
    os.utime(metrics)
    daemon.stop()
    assert not metrics.exists()
