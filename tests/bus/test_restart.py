# SPDX-License-Identifier: Apache-2.0
"""From a login to the restart job and its outcome."""

import json
import re

import pytest
from bus_host import LIVE, OTHERS, REGISTRY
from standin.wait import wait_for


def test_a_login_reaches_the_agent(host):
    daemon = host.run_live()
    old = host.agent.container_id()

    host.login()
    host.wait_live()
    assert host.environment_file.read_text() == OTHERS + host.our_lines()
    assert host.agent.container_id() != old
    assert host.agent.environment()["ECS_CLUSTER"] == "demo"
    assert [args for _, args in host.systemd1.restarts()] == [("ecs.service", "fail")]
    assert daemon.said("Restart job", UNIT="ecs.service", JOB_RESULT="done")
    assert daemon.said("Wrote the credentials", REGISTRY_COUNT="1", REGISTRIES="registry.example.com")


def test_subscribes_before_anything_else(host):
    host.run_live()
    host.daemon.stop()
    host.systemd1.calls.clear()
    host.login()
    host.run()
    host.wait_live()
    assert host.systemd1.calls[0][1] == "Subscribe"


def test_two_registries_then_none(host):
    host.run_live()
    host.login("second.example.com:5000")
    host.wait_live()
    assert host.environment_file.read_text() == OTHERS + host.our_lines()

    host.logout()
    host.logout("second.example.com:5000")
    host.wait_live()
    assert host.environment_file.read_text() == OTHERS
    assert "ECS_ENGINE_AUTH_DATA" not in host.agent.environment()


def test_no_restart_when_the_agent_has_the_credentials(host):
    """As at boot: the agent was started after the file was written."""
    host.login()
    assert host.run_verb("apply", "--no-restart").returncode == 0
    host.agent.restart()
    old = host.agent.container_id()
    host.run()
    host.wait_live()
    host.look_again()
    assert host.restarts() == 0
    assert host.agent.container_id() == old


def test_the_same_login_again_restarts_nothing(host):
    host.run_live()
    before = host.environment_file.stat()
    host.credentials.login(REGISTRY, *host.expected[REGISTRY])
    host.look_again()
    assert host.restarts() == 0
    after = host.environment_file.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("result", ["failed", "timeout", "dependency", "skipped"])
def test_a_job_that_does_not_end_well(host, result):
    daemon = host.run_live()
    since = daemon.mark()
    host.systemd1.job_result = result
    host.login()
    line = daemon.wait_said("ecs.service", since, JOB_RESULT=result, UNIT="ecs.service")
    assert result in line.text
    host.look_again()
    assert not daemon.said(LIVE, since)
    # The next start, by anyone, has the new credentials.
    assert host.written() == host.expected
    assert host.restarts() == 1


@pytest.mark.parametrize("result", ["failed", "dependency"])
def test_an_agent_that_our_restart_took_down_is_started(host, result):
    """It was left down, as if an operator had stopped it."""
    daemon = host.run_live()
    host.systemd1.job_result = result
    host.login()
    daemon.wait_said("is down since our restart; its next start waits ")
    assert host.starts() == 0
    host.wait_live(seconds=20)
    assert (host.restarts(), host.starts()) == (1, 1)


def test_an_agent_that_our_restart_took_down_is_started_until_it_is_up(host):
    """With a growing pause."""
    daemon = host.run_live()
    host.systemd1.job_result = host.systemd1.start_result = "dependency"
    host.login()
    wait_for(lambda: host.starts() == 1, 30, "one start", host.seen)
    wait_for(lambda: len([line for line in daemon.lines() if line.fields.get("JOB_RESULT") == "dependency"]) == 2, 10,
             "it fails, too", host.seen)
    host.systemd1.start_result = "done"
    host.wait_live(seconds=40)
    restart = host.systemd1.restarts()[0][0]
    pauses = [when - restart for when in host.systemd1.starts()]
    assert host.restarts() == 1 and len(pauses) == 2
    assert pauses[0] > 4.5 and pauses[1] - pauses[0] > 9.5
    assert len([line for line in daemon.lines() if "its next start waits" in line.text]) == 1


@pytest.mark.parametrize("result", ["failed", "dependency"])
def test_stopped_while_our_restart_has_left_it_down(host, result):
    """The stop changes no time of the unit; only its job announces it."""
    daemon = host.run_live()
    host.systemd1.job_result = result
    host.login()
    daemon.wait_said("is down since our restart")
    host.systemd1.run_job_of_operator()
    daemon.wait_said("ecs.service has failed; see" if result == "failed" else "is stopped; left alone")
    host.look_again()
    assert host.starts() == 0


def test_stopped_while_the_engine_cannot_be_queried(host):
    """Our job has timed out and left the agent alone. With the engine away, only the unit shows the stop."""
    daemon = host.run_live()
    host.systemd1.job_result, host.systemd1.job_seconds = "timeout", 1
    host.login()
    host.wait_restarts(1)
    host.engine.stop()
    daemon.wait_said("timeout")
    host.systemd1.end_unit(stop=True)
    host.systemd1.run_job_of_operator()
    host.agent.stop()
    daemon.wait_said("is stopped; left alone")
    host.engine.start()
    host.look_again()
    assert host.starts() == 0


def test_a_start_that_cannot_be_recorded_fails(host):
    """The disk is full, the start fails, and ecs-authd is killed: the next one still knows that the agent is owed a start."""
    daemon = host.run_live()
    host.systemd1.job_result, host.systemd1.start_result = "failed", "dependency"
    host.login()
    daemon.wait_said("is down since our restart")
    host.systemd1.set_unit(InactiveExitTimestampMonotonic=host.systemd1.ago(0))  # our restart began to start it
    (host.directory / "state").chmod(0o777)  # ecs-authd writes nothing there
    wait_for(lambda: host.starts() == 1, 20, "a start", host.seen)
    wait_for(lambda: [line for line in daemon.lines() if line.fields.get("JOB_RESULT") == "dependency"], 10, "it fails",
             host.seen)
    daemon.process.kill()
    daemon.process.wait()
    (host.directory / "state").chmod(0o700)
    host.systemd1.start_result = "done"
    host.run()
    host.wait_live(seconds=20)


def test_masked_while_our_restart_has_left_it_down(host):
    daemon = host.run_live()
    host.systemd1.job_result = "dependency"
    host.login()
    daemon.wait_said("is down since our restart")
    host.systemd1.set_unit(LoadState="masked")
    daemon.wait_said("ecs.service is masked")
    host.systemd1.set_unit(LoadState="loaded")
    daemon.wait_said("is stopped; left alone")
    assert host.starts() == 0


def test_a_job_that_does_nothing_is_no_stop(host):
    """An upgrade of a package calls try-restart."""
    daemon = host.run_live()
    host.systemd1.job_result = "dependency"
    host.login()
    daemon.wait_said("is down since our restart")
    host.systemd1.run_job_of_operator(real=False)
    host.wait_live(seconds=20)
    assert host.starts() == 1


def test_the_next_instance_starts_what_this_one_has_taken_down(host):
    daemon = host.run_live()
    host.systemd1.job_result = "dependency"
    host.login()
    daemon.wait_said("is down since our restart")
    daemon.process.kill()
    daemon.process.wait()
    host.run()
    host.wait_live(seconds=20)
    assert (host.restarts(), host.starts()) == (1, 1)


def test_an_agent_that_was_stopped_after_our_restart_stays_so(host):
    """Also after a crash, when nobody remembers how the restart ended."""
    host.agent.answers = False
    daemon = host.run_live_not_yet()
    daemon.process.kill()
    daemon.process.wait()
    host.agent.stop()
    host.systemd1.set_unit(ActiveState="inactive", SubState="dead")
    daemon = host.run()
    daemon.wait_said("ecs.service is stopped; left alone")
    host.look_again()
    assert host.starts() == 0


def test_stopped_just_before_our_restart(host):
    """Try-restart does nothing then, and its job is done: what is down is down by somebody else."""
    daemon = host.run_live()
    begin = host.systemd1._begin

    def stop_first(start):
        host.agent.stop()
        host.systemd1._set_unit({"ActiveState": "inactive", "SubState": "dead",
                                 "InactiveEnterTimestampMonotonic": host.systemd1.ago(0.5)})
        return begin(start)

    host.systemd1._begin = stop_first
    host.login()
    daemon.wait_said("ecs.service is stopped; left alone")
    host.look_again()
    assert (host.restarts(), host.starts()) == (1, 0)


def test_a_stop_that_cancels_our_restart(host):
    daemon = host.run_live()
    host.systemd1.job_result = "canceled"
    begin = host.systemd1._run_job

    def stop_first(*args):
        host.agent.stop()
        host.systemd1._set_unit({"ActiveState": "inactive", "SubState": "dead"})
        return begin(*args)

    host.systemd1._run_job = stop_first
    host.login()
    daemon.wait_said("ecs.service is stopped; left alone")
    host.look_again()
    assert (host.restarts(), host.starts()) == (1, 0)


def test_a_failed_unit_is_left_to_the_operator(host):
    daemon = host.run_live()
    host.agent.stop()
    host.systemd1.set_failed()
    host.login()
    daemon.wait_said("held.*ecs.service has failed")
    host.look_again()
    assert host.restarts() == 0

    host.agent.restart()
    host.systemd1.set_unit(ActiveState="active", SubState="running")
    host.wait_live()
    assert host.restarts() == 0


@pytest.mark.parametrize("failure, words", [
    pytest.param(dict(result="start-limit-hit"), "its start limit.*systemctl reset-failed ecs.service", id="start limit"),
    pytest.param(dict(exit_status=5), "status 5: .*ECS_CLUSTER", id="exit status 5"),
])
def test_a_failure_is_called_by_its_name(host, failure, words):
    daemon = host.run_live()
    host.agent.stop()
    host.systemd1.set_failed(**failure)
    host.login()
    daemon.wait_said(words)
    host.look_again()
    assert host.restarts() == 0


def test_a_unit_file_with_a_mistake(host):
    daemon = host.run_live()
    host.systemd1.set_unit(LoadState="bad-setting")
    host.login()
    daemon.wait_said("held.*unit file of ecs.service cannot be used")


def test_a_canceled_job_is_tried_again(host):
    daemon = host.run_live(Restart_MinIntervalSec="1s")
    host.systemd1.job_result = "canceled"
    host.login()
    daemon.wait_said("canceled", JOB_RESULT="canceled")
    host.systemd1.job_result = "done"
    # Not at once: somebody did not want it. But it still has to be.
    host.wait_live(seconds=20)


def test_the_signal_never_comes(host):
    """Lost, as when PID 1 executes itself anew: the container tells."""
    host.run_live(Restart_VerifySec="1s")
    host.systemd1.signal = "never"
    host.login()
    host.wait_live()
    assert host.restarts() == 1


def test_a_slow_job_blocks_nothing(host):
    """A job may wait for user data to end; what comes meanwhile is written at once, and counts."""
    daemon = host.run_live()
    since = daemon.mark()
    host.systemd1.job_seconds = 1
    host.login()
    host.wait_restarts(1)
    host.login()
    host.wait_written(seconds=2)
    assert not daemon.said("Restart job", since), "written only after the job"
    host.wait_live()
    # The job reads the file when it runs: one restart is enough.
    host.look_again()
    assert host.restarts() == 1


def test_an_agent_that_lost_its_credentials_gets_them_back(host):
    """Somebody made the container anew by hand, without the file."""
    host.run_live()
    host.agent.ignores_file = True
    host.agent.restart()
    host.agent.ignores_file = False
    host.look_again()
    host.wait_live()
    assert host.restarts() == 1


def test_credentials_that_come_after_the_restart_need_another(host):
    host.run_live()
    host.agent.answers = False
    host.login()
    first = host.expected.copy()
    wait_for(lambda: host.agent.credentials() == first, 10, "the first are there", host.seen)
    host.login()
    host.wait_written()
    host.agent.answers = True
    host.wait_live()
    assert host.restarts() == 2


UNIT_STATES = {
    "not-found": (dict(LoadState="not-found", ActiveState="inactive", SubState="dead"), "there is no unit ecs.service"),
    "inactive": (dict(ActiveState="inactive", SubState="dead"), "is stopped; left alone"),
    "masked": (dict(LoadState="masked", ActiveState="inactive", SubState="dead"), "masked"),
    "failed": (dict(ActiveState="failed", SubState="failed"), "has failed"),
    "activating": (dict(ActiveState="activating", SubState="start"), "starting or stopping"),
}


@pytest.mark.parametrize("state", UNIT_STATES)
def test_a_unit_that_does_not_run_is_left_alone(host, state):
    properties, sentence = UNIT_STATES[state]
    host.run_live()
    since = len(host.notify.messages)
    host.agent.stop()
    host.systemd1.set_unit(**properties)
    host.login()
    host.wait_status(sentence, since)
    host.wait_written()
    host.look_again()
    assert host.restarts() == 0

    # Somebody starts it: it has the credentials, and nothing else has to happen.
    host.agent.restart()
    host.systemd1.set_unit(LoadState="loaded", ActiveState="active", SubState="running")
    host.wait_live()
    assert host.restarts() == 0


STOPPED = "stopped", 0, "is stopped; left alone"
EXITED = "held", 3, "is inactive: "
# How the unit became inactive: (arguments of end_unit(), what is reported of it, what is said of the cause)
ENDS = {
    "a stop": (dict(stop=True), STOPPED, "a stop was requested, of it or of a unit that it needs, such as docker.service, whose start does not start it"),
    "a stop without ExecStop": (dict(stop=True, code=2, status=15), STOPPED, "a stop was requested"),
    "docker restart": (dict(stop=False), EXITED, "the agent exited with status 0, and no stop was requested before"),
    "a signal": (dict(stop=False, code=2, status=15), EXITED, "signal 15 ended its main process, and no stop was requested before"),
    "status 5, then reset-failed": (dict(stop=False, status=5), STOPPED, "the agent exited with status 5"),
    "unknown": (dict(stop=False, remains=True), STOPPED, "whether a stop was requested is unknown"),
}


def wait_state(host, state):
    wait_for(lambda: f'"state": "{state}"' in host.run_verb("status", "--json").stdout, 10, f"the state is {state}", host.seen)


@pytest.mark.parametrize("running", [True, False], ids=["seen", "before the service started"])
@pytest.mark.parametrize("name", ENDS)
def test_how_a_unit_became_inactive(host, name, running):
    """aws/amazon-ecs-agent#4270: docker restart ecs-agent leaves the unit inactive, though no operator stopped it."""
    end, (state, shown, said), cause = ENDS[name]
    daemon = host.run_live()
    if not running:
        assert daemon.stop() == 0
    host.agent.stop()
    host.systemd1.end_unit(**end)
    if not running:
        daemon = host.run()
    line = daemon.wait_said(said + ".*" + re.escape(cause))
    wait_state(host, state)
    assert cause in host.status()["sentence"]
    assert host.run_verb("status").returncode == shown
    finding = next(f for f in json.loads(host.run_verb("check", "--json").stdout)["findings"] if f["id"] == "agent-unit")
    assert (finding["verdict"], finding["cure"]) == ("warning", "systemctl start ecs.service") and cause in finding["text"]
    dry = host.run_verb("apply", "--dry-run")
    assert cause in dry.stdout and dry.returncode == 0, dry
    assert host.run_verb("apply").returncode == 0
    host.login()
    host.wait_written()
    host.look_again()
    assert host.restarts() == host.starts() == 0

    # The printed fix.
    assert state == "stopped" or "Start it: systemctl start ecs.service." in line.text
    host.agent.restart()
    host.systemd1.set_unit(ActiveState="active", SubState="running")
    host.wait_live()
    wait_state(host, "live")
    assert host.restarts() == host.starts() == 0


def test_an_agent_that_exits_before_our_restart_stops_it(host):
    """Then the restart did not take it down, and nothing is started."""
    daemon = host.run_live()
    host.systemd1.job_seconds = 0.5
    host.systemd1.job_result = "canceled"  # leaves the unit alone: TryRestartUnit starts no unit that is down
    host.login()
    host.wait_restarts(1)
    host.agent.stop()
    host.systemd1.end_unit(stop=False)
    host.systemd1.job_result = "done"
    daemon.wait_said("the agent exited with status 0, and no stop was requested before")
    host.look_again()
    assert host.starts() == 0


def test_a_queued_job_is_left_alone(host):
    host.run_live()
    since = len(host.notify.messages)
    host.systemd1.queue_job()
    host.login()
    host.wait_status("has a job queued", since)
    host.look_again()
    assert host.restarts() == 0

    # It was a reload, say: the restart follows by itself.
    host.systemd1.finish_job()
    host.wait_live()
    assert host.restarts() == 1


@pytest.mark.parametrize("error, message", [
    ("org.freedesktop.systemd1.NoSuchUnit", "Unit ecs.service not loaded."),
    ("org.freedesktop.systemd1.TransactionIsDestructive", "Transaction for ecs.service/restart is destructive."),
    ("org.freedesktop.DBus.Error.AccessDenied", "Access denied by policy."),
])
def test_a_restart_that_is_refused(host, error, message):
    daemon = host.run_live()
    since = daemon.mark()
    host.systemd1.refusal = (error, message)
    host.login()
    line = daemon.wait_said(re.escape(message), since, UNIT="ecs.service")
    assert line.fields["JOB_RESULT"] not in ("done", "canceled")
    host.look_again()
    assert not daemon.said(LIVE, since)
    assert host.restarts() == 1  # and not again and again


def test_a_burst_of_logins_gives_one_restart(host):
    daemon = host.run_live(Restart_SettleSec="1500ms")
    for n in range(50):
        host.login(f"r{n % 5}.example.com")
        if n % 10 == 0:
            host.wait_written()
            host.wait_idle()  # time enough for a restart, if it came too early
    host.wait_live()
    daemon.wait_said(LIVE, REGISTRY_COUNT="6")
    host.look_again()
    assert host.restarts() == 1


def test_restarts_keep_their_distance(host):
    daemon = host.run_live(Restart_MinIntervalSec="2s")
    for _ in range(2):
        host.login()
        host.wait_written(seconds=1)
        host.wait_live()
    assert daemon.said("MinIntervalSec")
    times = [when for when, _ in host.systemd1.restarts()]
    assert len(times) == 2 and times[1] - times[0] >= 1.9


def test_method_none_only_writes(host):
    host.login()
    daemon = host.run(Restart_Method="none")
    host.wait_written()
    daemon.wait_said("nothing is restarted")
    host.login()
    host.wait_written()
    host.wait_idle()
    assert host.restarts() == 0 and not host.engine.requests
