# SPDX-License-Identifier: Apache-2.0
"""apply in user data: the agent is not running yet, or its start waits for user data to end. Written is done, and nobody
waits. The version before waited for the agent, or ended with 3 as if something were wrong: cloud-init then calls the
boot failed."""

import time

import pytest

from host_parts import boot_logged_in, wait_live, wait_newest


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    # As cloud-final.service while user data runs.
    h.write("/etc/systemd/system/cloud-final.service",
            "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'while test ! -e /root/over; do sleep 0.2; done'\n")
    h.write("/etc/systemd/system/ecs.service.d/after.conf", "[Unit]\nAfter=cloud-final.service\n")
    boot_logged_in(h, registry)
    wait_live(h, engine, registry)
    h.run("systemctl", "stop", "ecs")
    yield h
    h.power_off()


def apply(host):
    begun = time.monotonic()
    said = host.shell("ecs-authd apply 2>&1; echo exit=$?")
    return said, time.monotonic() - begun


@pytest.fixture(name="service", params=["running", "stopped"])
def make_service(host, request):
    if request.param == "stopped":
        host.run("systemctl", "stop", "ecs-authd")
    yield
    host.run("systemctl", "start", "ecs-authd")


@pytest.mark.usefixtures("service")
def test_the_agent_does_not_run(host, registry):
    registry.new_password()
    host.login(registry)
    said, took = apply(host)
    assert "exit=0" in said and took < 5, (took, said)
    assert registry.entry() in host.read("/etc/ecs/ecs.config")
    assert host.property("ecs.service", "ActiveState") == "inactive"


@pytest.mark.usefixtures("service")
def test_its_start_waits_for_us(host, engine, registry):
    host.shell("rm -f /root/over; systemctl start --no-block cloud-final; systemctl start --no-block ecs")
    registry.new_password()
    host.login(registry)
    said, took = apply(host)
    assert "exit=0" in said and took < 5, (took, said)
    assert registry.entry() in host.read("/etc/ecs/ecs.config")
    assert host.property("ecs.service", "Job") not in ("", "0")
    host.run("touch", "/root/over")
    wait_newest(host, engine, registry)
    host.run("systemctl", "stop", "ecs")
