# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on real hosts leaves ecs.config byte for byte as it was, and says what to do."""

import pytest

BEFORE = "ECS_CLUSTER=web\nECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={\"old.example\":{\"auth\":\"dTpw\"}}\n"


@pytest.fixture(scope="module")
def host(make_host):
    h = make_host()
    h.write("/etc/ecs/ecs.config", BEFORE, 0o600)
    h.write("/root/.docker/config.json", '{"auths": {"old.example": {"auth": "dTpw"}}}', 0o600)
    # Nothing here is about the agent.
    h.write("/etc/ecs-authd.conf.d/20-no-restart.conf", "[Restart]\nMethod=none\n")
    h.boot()
    h.wait_said("is up to date")
    yield h
    h.power_off()


def identity(host):
    """What changes when a file is replaced or written, beside its content."""
    return host.shell("stat -c '%i %Y %s %a %U' /etc/ecs/ecs.config"), host.read("/etc/ecs/ecs.config")


def test_credential_file_that_the_service_may_not_read(host):
    """Root may read anything, unless it is taken that right: as on a network file system that maps root to nobody."""
    host.write("/etc/systemd/system/ecs-authd.service.d/rights.conf",
               "[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_CHOWN\n")
    host.shell("systemctl daemon-reload; chown 1234 /root/.docker/config.json; chmod 000 /root/.docker/config.json")
    before, since = identity(host), host.cursor()
    host.restart_daemon()
    line = host.wait_said("/root/.docker/config.json: cannot be read: Permission denied", since)
    assert "owner and mode" in line["MESSAGE"]
    assert identity(host) == before

    # Noticed without anybody touching the content.
    host.shell("chown 0 /root/.docker/config.json; chmod 600 /root/.docker/config.json")
    host.wait_said("The credential files and /etc/ecs/ecs.config are in order again", since)
    host.shell("rm -r /etc/systemd/system/ecs-authd.service.d; systemctl daemon-reload")
    host.restart_daemon()


@pytest.fixture
def small_file_system(host):
    """/etc/ecs on a tmpfs of 16 KB, with the old ecs.config on it."""
    host.run("systemctl", "stop", "ecs-authd")
    host.shell("cp -a /etc/ecs/ecs.config /root/saved && mount -t tmpfs -o size=16k,mode=755 tmpfs /etc/ecs && "
               "cp -a /root/saved /etc/ecs/ecs.config")
    host.restart_daemon()
    yield
    host.shell("systemctl stop ecs-authd; umount /etc/ecs")
    host.put("/root/.docker/config.json", '{"auths": {"old.example": {"auth": "dTpw"}}}')
    host.restart_daemon()


def test_failure_at_boot_does_not_hold_up_the_boot(host, small_file_system):
    """READY comes after the first look, whatever came of it: ecs.service is ordered behind it."""
    host.shell("mount -o remount,ro /etc/ecs; printf '{' > /root/.docker/config.json")
    since = host.cursor()
    host.restart_daemon()  # waits for READY
    assert host.property("ecs-authd", "ActiveState") == "active"
    host.wait_said("not valid JSON", since)
    host.shell("mount -o remount,rw /etc/ecs")


def test_bad_settings(host):
    """At a reload the settings in use stay; at a start there are none, and systemd does not try for ever."""
    host.shell("printf '[Restart]\\nMehtod=none\\n' > /etc/ecs-authd.conf.d/30-bad.conf")
    since = host.cursor()
    assert host.shell("systemctl reload ecs-authd; echo $?").strip() == "1"
    host.wait_said("/etc/ecs-authd.conf.d/30-bad.conf:2: unknown setting Mehtod= in [Restart]", since)
    host.wait_said("The settings in use stay in use", since)
    assert host.property("ecs-authd", "ActiveState") == "active"

    # Mended, and reloaded, as journalctl -x has it.
    host.shell("mv /etc/ecs-authd.conf.d/30-bad.conf /root/ && systemctl reload ecs-authd")
    assert "Mehtod" not in host.run("ecs-authd", "status", check=False)
    host.run("mv", "/root/30-bad.conf", "/etc/ecs-authd.conf.d/")

    host.shell("systemctl restart ecs-authd", check=False)
    assert host.property("ecs-authd", "ActiveState") == "failed"
    assert host.property("ecs-authd", "ExecMainStatus") == "78"
    host.run("rm", "/etc/ecs-authd.conf.d/30-bad.conf")
    host.restart_daemon()
