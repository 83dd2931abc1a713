# SPDX-License-Identifier: Apache-2.0
"""What others do meanwhile: an operator who stops the agent, a boot that is not over, a unit under another name."""

import os
import time

import pytest
from bus_host import LIVE, OTHERS, REGISTRY
from standin.credential_file import CredentialFile, encode
from standin.wait import wait_for


def test_unit_under_an_alias(host):
    """Signals carry the real name, which is the property Id under both names."""
    systemd1 = host.systemd1
    systemd1.disconnect()
    systemd1.unit = systemd1.properties["Id"] = "amazon-ecs.service"
    systemd1.alias = "ecs.service"
    systemd1.connect()
    host.login()
    daemon = host.run(Restart_Unit="ecs.service", Restart_VerifySec="1h")
    daemon.wait_said("Restart job", JOB_RESULT="done")
    host.wait_live()
    since = daemon.mark()
    host.login()
    daemon.wait_said("Restart job", since, JOB_RESULT="done")
    host.wait_live()
    host.look_again()


def test_apply_does_not_wait_for_the_boot(host):
    """In user data the start of ecs.service is queued behind user data itself."""
    host.login()
    host.agent.stop()
    host.systemd1.set_unit(ActiveState="inactive", SubState="dead")
    host.systemd1.queue_job()
    result = host.run_verb("apply", timeout=20)
    assert result.returncode == 0
    assert "has a job queued: left to that" in result.stderr
    assert host.written() == host.expected
    host.systemd1.finish_job()


def test_stopped_while_a_restart_is_verified(host):
    daemon = host.run_live()
    daemon.stop()
    restart = host.agent.restart

    def stop():
        host.agent.stop()
        host.systemd1._set_unit({"ActiveState": "inactive", "SubState": "dead"})

    host.agent.restart = stop
    host.login()
    daemon = host.run(Restart_VerifySec="1h")
    daemon.wait_said("is stopped; left alone")
    host.agent.restart = restart


def test_canceled_job_is_not_repeated_at_once(host):
    host.systemd1.job_result = "canceled"
    host.login()
    daemon = host.run(Restart_MinIntervalSec="0")
    daemon.wait_said("Restart job", JOB_RESULT="canceled")
    daemon.wait_said("The next restart of ecs.service waits ")
    assert host.restarts() == 1


@pytest.mark.parametrize("word", ["0", "f", "False", " false"])
def test_checkpointing_turned_off_in_other_words(host, word):
    host.environment_file.write_text(f"{OTHERS}ECS_DATADIR=/data\nECS_CHECKPOINT={word}\n")
    host.agent.restart()
    daemon = host.run_live()
    host.engine.run_task("one")
    host.login()
    daemon.wait_said("Restart held: 1 task container runs", seconds=15)
    assert host.restarts() == 0
    host.engine.remove("one")
    host.wait_live()


def test_refresh_goes_on(host):
    """Each time a file is where inotify does not see it change."""
    daemon = host.run_live(Credentials_RefreshSec="500ms")
    looks = host.looks()
    wait_for(lambda: host.looks() >= looks + 4, 15, "four more looks without an event", host.seen)
    assert daemon.runs()


def test_linked_whole_into_its_place(host):
    """O_TMPFILE and linkat: a new name, and nobody closes a file there."""
    daemon = host.run()
    host.credentials.path.parent.mkdir(parents=True)
    host.look_again()
    password = "pw-" + os.urandom(8).hex()
    host.expected = {REGISTRY: ("puller", password)}
    directory = os.open(host.credentials.path.parent, os.O_RDONLY)
    fd = os.open(host.credentials.path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    os.write(fd, CredentialFile.text({REGISTRY: {"auth": encode("puller", password)}}).encode())
    os.link(f"/proc/self/fd/{fd}", host.credentials.path.name, src_dir_fd=directory, dst_dir_fd=directory,
            follow_symlinks=True)
    os.close(fd)
    os.close(directory)
    started = time.monotonic()
    daemon.wait_said(LIVE, seconds=15)
    assert time.monotonic() - started < 10  # sooner than the retry of a look that failed


def test_failure_is_not_followed_by_its_opposite(host):
    host.login()
    host.environment_file.unlink()
    host.environment_file.mkdir()
    daemon = host.run(Restart_Method="none")
    daemon.wait_said("could not be brought up to date")
    assert not daemon.said("is up to date")
    host.environment_file.rmdir()
    host.environment_file.write_text(OTHERS)
    daemon.wait_said("is up to date; nothing is restarted")
