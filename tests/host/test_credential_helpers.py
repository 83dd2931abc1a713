# SPDX-License-Identifier: Apache-2.0
"""Real credential helpers, called by the daemon within the sandbox of its unit."""

import json

import pytest

from host_parts import credentials_for, wait_for

PACKAGES = ("golang-docker-credential-helpers", "amazon-ecr-credential-helper", "pass", "gnupg")


@pytest.fixture(scope="module")
def host(make_host, engine):
    h = make_host(PACKAGES)
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    h.boot()
    # As people set the store up: a key without a passphrase, since nobody is there to type it.
    h.shell("gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key store default default never && "
            "pass init store && gpgconf --kill gpg-agent")
    h.restart_daemon()  # it may write to ~/.gnupg only if that was there when it started
    yield h
    h.power_off()


def config(host):
    return json.loads(host.read("/root/.docker/config.json"))


def wait_login(host, engine, registry):
    def works():
        agent = engine.running_agent()
        found = agent and credentials_for(agent, registry.name)
        return found and registry.accepts(*found)

    wait_for(works, 30, "ecs-agent has credentials that the registry accepts", host.tail)


def test_login_into_a_store(host, engine, registry):
    """The CLI finds docker-credential-pass by itself, and leaves no secret in config.json."""
    host.login(registry)
    assert config(host)["credsStore"] == "pass"
    assert config(host)["auths"] == {registry.name: {}}
    wait_login(host, engine, registry)


def test_new_password_in_the_store(host, engine, registry):
    """config.json is written anew with the same bytes: that is all the daemon gets to see."""
    registry.new_password()
    host.login(registry)
    wait_login(host, engine, registry)


def test_store_that_alone_knows(host, engine, registry):
    """Old entries of "auths" may be gone: then the store is asked what it has."""
    since = host.cursor()
    before = host.read("/etc/ecs/ecs.config")
    host.put("/root/.docker/config.json", '{"credsStore": "pass"}')
    host.run("systemctl", "reload", "ecs-authd")
    host.wait_said("looking again, as asked", since)
    host.run("systemctl", "restart", "ecs-authd")  # READY comes after the look
    assert host.read("/etc/ecs/ecs.config") == before
    assert not host.said("Removed our auth entries", since)


def test_helpers_that_fail_keep_the_last_good_entry(host, engine, registry):
    """No AWS, no desktop session, no such program: each costs its own registry."""
    since = host.cursor()
    host.put("/root/.docker/config.json", json.dumps({"credHelpers": {
        registry.name: "missing", "ecr.example": "ecr-login", "desktop.example": "secretservice"}}))
    host.wait_said(f"the credentials of {registry.name} from docker-credential-missing: there is no such program", since)
    host.wait_said("ecr.example from docker-credential-ecr-login: it", since)
    host.wait_said("desktop.example from docker-credential-secretservice: it", since)
    lines = host.read("/etc/ecs/ecs.config").splitlines()
    assert json.loads(lines[-1].split("=", 1)[1])[registry.name]["auth"] == registry.entry()
    assert len(json.loads(lines[-1].split("=", 1)[1])) == 1


def test_logout_of_the_store(host, engine, registry):
    host.put("/root/.docker/config.json", json.dumps({"auths": {registry.name: {}}, "credsStore": "pass"}))
    since = host.cursor()
    host.logout(registry)
    host.wait_said("Removed our auth entries", since)
    assert host.read("/etc/ecs/ecs.config") == "ECS_CLUSTER=web\n"


def test_a_helper_that_hangs_holds_up_neither_boot_nor_end(host):
    host.write("/usr/local/bin/docker-credential-hang", "#!/bin/sh\nsleep 1000\n", 0o755)
    host.write("/etc/ecs-authd.conf.d/30-hang.conf", "[Credentials]\nHelperTimeoutSec=1h\n")
    host.put("/root/.docker/config.json", '{"credHelpers": {"hang.example": "hang"}}')
    # Nobody is asked again before the pause after a failure is over.
    host.run("systemctl", "stop", "ecs-authd", timeout=30)
    host.shell("rm -f /var/lib/ecs-authd/leases")
    since = host.cursor()
    host.run("systemctl", "start", "ecs-authd", timeout=30)  # waits for READY
    host.wait_said("the agent is not kept waiting", since)
    host.run("systemctl", "stop", "ecs-authd", timeout=30)
    assert host.property("ecs-authd", "Result") == "success"
    assert host.shell("grep -l 'credential-han[g]' /proc/[0-9]*/cmdline 2>/dev/null || true").strip() == ""
