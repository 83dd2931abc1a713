# SPDX-License-Identifier: Apache-2.0
"""A restart is done when a new container runs with the credentials and answers introspection, and not before."""

import re

import pytest
from bus_host import LIVE

FRUITLESS = {
    "the old container stays": (dict(comes_up="old"), "still the old one"),
    "without our variables": (dict(ignores_file=True), "without the credentials"),
    "no container": (dict(comes_up=None), "does not run"),
    "it stops at once": (dict(comes_up=False), "does not run"),
    "introspection is silent": (dict(answers=False), "introspection"),
}


@pytest.mark.parametrize("how", FRUITLESS)
def test_a_restart_without_its_effect_is_no_success(host, how):
    attributes, why = FRUITLESS[how]
    daemon = host.run_live()
    daemon.stop()
    for name, value in attributes.items():
        setattr(host.agent, name, value)
    host.login()
    host.systemd1.calls.clear()
    daemon = host.run(Restart_VerifySec="1s", Restart_Rollback="no")
    daemon.wait_said("done", JOB_RESULT="done")
    line = daemon.wait_said("cannot be confirmed", UNIT="ecs.service")
    assert re.search(why, line.text)
    host.look_again()
    assert not daemon.said(LIVE)
    assert host.restarts() == 1
    assert host.written() == host.expected


@pytest.mark.parametrize("how", ["without our variables", "the old container stays"])
def test_the_same_credentials_are_not_tried_again(host, how):
    """It would not help, and each restart counts toward the unit's start limit."""
    for name, value in FRUITLESS[how][0].items():
        setattr(host.agent, name, value)
    host.login()
    daemon = host.run(Restart_VerifySec="1s")
    daemon.wait_said("held.*did not bring the credentials")
    host.look_again()
    assert host.restarts() == 1

    # Somebody has mended it and asks for another try: that comes, after a pause.
    daemon.hang_up()
    daemon.wait_said("ecs.service is restarted again in")


def test_new_credentials_are_tried_again(host):
    host.agent.ignores_file = True
    host.login()
    daemon = host.run(Restart_VerifySec="1s")
    daemon.wait_said("held.*did not bring the credentials")
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
    assert not daemon.said("cannot be confirmed")


def test_an_agent_that_answers_late_is_live_after_all(host):
    host.agent.answers = False
    host.login()
    daemon = host.run(Restart_VerifySec="500ms")
    daemon.wait_said("cannot be confirmed")
    host.agent.answers = True
    host.look_again()
    host.wait_live()
    assert host.restarts() == 1
