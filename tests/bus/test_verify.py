# SPDX-License-Identifier: Apache-2.0
"""A restart is done when a new container runs with the credentials, and live when the agent answers introspection, too.
An agent that is silent is waited for: no credentials can stop one from registering."""

import os
import re
import subprocess

import pytest
from bus_host import LIVE
from standin.ecs_agent import METADATA
from standin.wait import wait_for

FRUITLESS = {
    "the old container stays": (dict(comes_up="old"), "still the old one"),
    "without our variables": (dict(ignores_file=True), "did not bring the credentials"),
}


def fruitless(host, how, **settings):
    """The daemon has tried a restart, and sees that it was in vain."""
    for name, value in FRUITLESS[how][0].items():
        setattr(host.agent, name, value)
    host.login()
    daemon = host.run(Restart_VerifySec="1s", **settings)
    daemon.wait_said("held.*did not bring the credentials")
    return daemon


@pytest.mark.parametrize("how", FRUITLESS)
def test_a_restart_without_its_effect_is_no_success(host, how):
    daemon = fruitless(host, how)
    assert daemon.said("Restart job", JOB_RESULT="done")
    assert daemon.said(FRUITLESS[how][1], UNIT="ecs.service")
    host.look_again()
    assert not daemon.said(LIVE)
    assert host.restarts() == 1
    assert host.written() == host.expected


@pytest.mark.parametrize("how", FRUITLESS)
def test_the_same_credentials_are_not_tried_again(host, how):
    """It would not help, and each restart counts toward the unit's start limit."""
    daemon = fruitless(host, how)
    host.look_again()
    assert host.restarts() == 1

    # Somebody has mended it and asks for another try: that comes, after a pause.
    daemon.hang_up()
    daemon.wait_said("The next restart of ecs.service waits ")


def test_nor_by_the_next_instance(host):
    """What was in vain was forgotten at each start of the daemon, and by each apply."""
    daemon = fruitless(host, "without our variables")
    daemon.stop()
    for _ in range(3):
        result = host.run_verb("apply", Restart_VerifySec="1s")
        assert result.returncode == 3 and "did not bring the credentials" in result.stderr
    daemon = host.run(Restart_VerifySec="1s")
    daemon.wait_said("held.*did not bring the credentials")
    host.look_again()
    assert host.restarts() == 1


def test_new_credentials_are_tried_again(host):
    fruitless(host, "without our variables")
    host.agent.ignores_file = False
    host.login()
    host.wait_live()
    assert host.restarts() == 2

    # What was in vain once says nothing about these.
    host.agent.ignores_file = True
    host.agent.restart()
    host.agent.ignores_file = False
    host.look_again()
    host.wait_restarts(3)


# --- an agent that does not register ---

def test_an_agent_that_takes_its_time(host):
    """It answers introspection when it has registered, a while after its container has started."""
    daemon = host.run_live()
    since = daemon.mark()
    host.agent.answers = False
    host.login()
    daemon.wait_said("done", since, JOB_RESULT="done")
    host.wait_agent()
    host.look_again()
    assert not daemon.said(LIVE, since)
    host.agent.answers = True
    host.wait_live()
    assert not daemon.said("has not registered")


def test_aws_is_away_after_a_restart(host):
    """The old credentials were put back, with a second restart, and stayed."""
    daemon = host.run_live()
    host.agent.answers = False
    host.login()
    line = daemon.wait_said("has not registered with ECS for .* The credentials are not the cause", seconds=20)
    assert "docker logs ecs-agent" in line.text
    for _ in range(3):
        host.look_again()
    assert host.status()["state"] == "silent"
    assert len([line for line in daemon.lines() if "has not registered" in line.text]) == 1

    # Nor by the next instance, nor by a reload.
    daemon.stop()
    daemon = host.run()
    daemon.wait_said("^Watching")
    daemon.hang_up()
    daemon.wait_said("looking again, as asked")
    host.look_again()
    assert host.written() == host.agent.credentials() == host.expected
    assert (host.restarts(), host.starts()) == (1, 0)

    host.agent.answers = True
    host.wait_live()
    assert (host.restarts(), host.starts()) == (1, 0)


def test_a_logout_while_aws_is_away(host):
    """What was removed came back."""
    daemon = host.run_live()
    host.agent.answers = False
    host.logout()
    daemon.wait_said("has not registered with ECS", seconds=20)
    host.look_again()
    assert not host.written() and not host.agent.credentials()
    assert host.restarts() == 1


def test_an_agent_that_ends_and_is_made_anew(host):
    """As ecs-init does it with one that cannot register: the unit stays active. It is the same silence."""
    daemon = host.run_live()
    since = daemon.mark()
    host.agent.answers = False
    host.login()
    host.wait_agent()
    for _ in range(5):
        host.agent.stop(exit_status=1)
        host.look_again()
        host.agent.restart()
        host.look_again()
    daemon.wait_said(r"ended with status 1, \d times", since, seconds=20)
    wait_for(lambda: "ended with status 1, 5 times" in host.status()["sentence"], 20, "all are counted", host.seen)
    assert (host.restarts(), host.starts()) == (1, 0)
    told = [line.text for line in daemon.lines()[since:]]
    assert len(told) < 8, told
    host.agent.answers = True
    host.wait_live()


def test_docker_goes_down_after_a_restart(host):
    host.run_live()
    host.agent.answers = False
    host.login()
    host.wait_agent()
    host.engine.stop()
    host.look_again()
    host.engine.start()
    host.agent.answers = True
    host.wait_live()
    assert (host.restarts(), host.starts()) == (1, 0)
    assert host.written() == host.expected


def test_an_operator_starts_an_agent_that_had_refused(host):
    """Within 0.1 s it was restarted, since it was not up yet."""
    daemon = host.run_live()
    host.agent.answers = False
    host.login()
    host.wait_agent()
    host.agent.stop(exit_status=5)
    host.systemd1.set_failed(exit_status=5)
    daemon.wait_said("ended with status 5")
    host.systemd1.set_unit(ActiveState="inactive", SubState="dead")  # reset-failed
    host.systemd1.set_unit(ActiveState="activating", SubState="start")
    host.look_again()
    host.agent.restart()
    host.systemd1.set_unit(ActiveState="active", SubState="running")
    host.look_again()
    host.agent.answers = True
    host.wait_live()
    assert (host.restarts(), host.starts()) == (1, 0)


def test_a_unit_that_goes_round_with_status_5(host):
    """Debian's unit starts it again every 10 s: the container tells."""
    daemon = host.run_live()
    since = daemon.mark()
    host.agent.answers = False
    for _ in range(4):
        host.agent.stop(exit_status=5)
        host.systemd1.set_unit(ActiveState="activating", SubState="auto-restart")
        host.look_again()
        host.agent.restart()
        host.systemd1.set_unit(ActiveState="active", SubState="running")
        host.look_again()
    assert daemon.said("ended with status 5", since)
    told = [line.text for line in daemon.lines()[since:]]
    assert len(told) == 1, told
    assert (host.restarts(), host.starts()) == (0, 0)
    host.agent.answers = True
    host.wait_live()


def test_the_first_restart_is_the_last_for_one_cause(host):
    """However long it is silent, and whoever looks."""
    host.agent.answers = False
    daemon = host.run_live_not_yet(Restart_VerifySec="1s")
    daemon.wait_said("has not registered", seconds=15)
    result = host.run_verb("apply", Restart_VerifySec="1s")
    assert result.returncode == 0, result.stderr
    wait_for(lambda: host.status()["state"] == "silent", 10, "status.json says so", host.seen)
    assert (host.restarts(), host.starts()) == (0, 0)


# --- another user answers in the agent's place ---

# Any user may take port 51678 while the agent is down, and say what he likes.
LIAR = """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"Cluster": "lies", "ContainerInstanceArn": "arn:lie", "Version": "lie", "Tasks": []}).encode())
server = http.server.HTTPServer(("127.0.0.1", PORT), Handler)
print("listens", flush=True)
server.serve_forever()
"""


@pytest.fixture(name="liar")
def make_liar(host):
    """He has taken the port of an agent that does not answer."""
    if os.geteuid() != 0:
        pytest.skip("root alone can be another user")
    host.agent.answers = False
    wait_for(lambda: host.agent.introspection.server is None, 5, "the port is free", host.seen)
    with subprocess.Popen(["/usr/bin/python3", "-c", LIAR.replace("PORT", str(host.agent.introspection.port))], cwd="/",
                          user=65534, group=65534, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as liar:
        assert liar.stdout.readline() == "listens\n"
        yield liar
        liar.kill()


def test_what_another_user_says_is_not_believed(host, liar):
    host.login()
    daemon = host.run()
    port = host.agent.introspection.port
    line = daemon.wait_said(f"Port {port} is held by user .*uid 65534")
    assert f"ss -ltnp 'sport = :{port}'" in line.text
    host.wait_agent()
    for _ in range(2):
        host.look_again()
    assert not daemon.said(LIVE) and not daemon.said("lies")
    assert len([line for line in daemon.lines() if "is held by" in line.text]) == 1
    status = host.status()
    assert status["state"] == "silent" and not status["agent"]["answers"]

    check = host.run_verb("check").stdout
    assert re.search(f"port {port} is held by user .*uid 65534.*", check) and "ss -ltnp" in check, check
    # The agent has the credentials, and nothing more can be done here.
    apply = host.run_verb("apply")
    assert apply.returncode == 0 and "is held by user" in apply.stderr, apply.stderr
    assert host.restarts() == 1

    liar.kill()
    liar.wait()
    host.agent.answers = True
    host.wait_live()
    assert host.restarts() == 1


def expect_no_restart_for_unknown_tasks(host):
    host.agent.datadir = None
    host.agent.restart()
    host.login()
    daemon = host.run()
    daemon.wait_said("does not tell at .* which tasks it would lose .another user holds its port")
    host.look_again()
    assert host.restarts() == 0


def test_tasks_that_another_user_denies(host, liar):
    """Without its state, the agent would lose those that he does not name."""
    expect_no_restart_for_unknown_tasks(host)
    liar.kill()


def test_tasks_of_another_user_after_metadata_of_the_agent(host):
    """He takes the port between the two answers."""
    if os.geteuid() != 0:
        pytest.skip("root alone can be another user")

    def listens(uid, page):
        def answer():
            os.fchown(host.agent.introspection.server.fileno(), uid, -1)  # as /proc/net/tcp has it from now on
            return page
        return answer

    host.agent.pages = {"/v1/metadata": listens(0, METADATA), "/v1/tasks": listens(65534, {"Tasks": []})}
    expect_no_restart_for_unknown_tasks(host)
