# SPDX-License-Identifier: Apache-2.0
"""The bus, or systemd on it, goes away and comes back."""

import socket

from bus_host import LIVE


def drop(host):
    host.systemd1.disconnect()
    host.bus.stop()


def bring_back(host):
    host.bus.start()
    host.systemd1.connect()


def test_the_bus_goes_away_and_comes_back(host):
    daemon = host.run_live()
    since = daemon.mark()
    drop(host)
    host.login()
    host.wait_written()
    daemon.wait_said("systemd cannot be reached", since)
    assert not daemon.said(LIVE, since)

    bring_back(host)
    host.wait_live()
    assert host.restarts() == 1


def test_the_bus_goes_away_twice(host):
    host.run_live()
    for _ in range(2):
        drop(host)
        bring_back(host)
        host.login()
        host.wait_live()
    assert host.restarts() == 2


def test_the_bus_goes_away_during_the_job(host):
    """Nobody tells how the job ended; the new container does, long before VerifySec= is over."""
    host.run_live(Restart_VerifySec="1h")
    host.systemd1.job_seconds = 0.5
    host.login()
    host.wait_restarts(1)
    drop(host)
    host.wait_agent()
    bring_back(host)
    host.wait_live()
    host.look_again()
    assert host.restarts() == 1


def test_systemd_goes_away_and_comes_back(host):
    """PID 1 executes itself anew: a new owner of the name, which knows no subscriber."""
    daemon = host.run_live(Restart_VerifySec="1h")
    since = daemon.mark()
    host.systemd1.disconnect()
    host.login()
    daemon.wait_said("systemd cannot be reached", since)
    assert host.written() == host.expected

    host.systemd1.connect()
    host.wait_live()
    assert "Subscribe" in [method for _, method, _ in host.systemd1.calls]
    assert daemon.said("Restart job", since, JOB_RESULT="done")


def test_systemd_goes_away_during_the_job(host):
    host.run_live(Restart_VerifySec="1h")
    host.systemd1.job_seconds = 0.5
    host.login()
    host.wait_restarts(1)
    host.systemd1.disconnect()
    host.wait_agent()
    host.systemd1.connect()
    host.wait_live()
    host.look_again()
    assert host.restarts() == 1


def test_no_bus_at_the_start(host):
    drop(host)
    host.login()
    daemon = host.run(Restart_VerifySec="1h")
    host.wait_written()
    daemon.wait_said("systemd cannot be reached")

    bring_back(host)
    host.wait_live()


def test_no_systemd_at_the_start(host):
    host.systemd1.disconnect()
    host.login()
    daemon = host.run(Restart_VerifySec="1h")
    host.wait_written()
    daemon.wait_said("systemd cannot be reached")

    host.systemd1.connect()
    host.wait_live()


def test_a_bus_that_says_nothing(host):
    """It takes the connection, and not even a login to it is answered: neither a write nor the end waits for it."""
    drop(host)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(host.bus.socket))
        bus.listen()
        daemon = host.run()
        host.login()
        host.wait_written()
        assert daemon.stop(seconds=2) == 0
