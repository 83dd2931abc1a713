# SPDX-License-Identifier: Apache-2.0
"""The life of the Debian package on a host where the agent runs, told in order: each test goes on where the one before it
ended."""

import re
import subprocess
import threading

import pytest

from host_parts import TOP, boot_logged_in, config_json, install_package as install, never, new_login, run, version, wait_for, wait_live, wait_newest

CONFIG = "/etc/ecs/ecs.config"
ARN = "arn:aws:ecs:us-west-2:012345678910:task/stand-in/1"


@pytest.fixture(scope="module", name="packages")
def make_packages(package, workplace):
    """{version: path}: this one, the next and the one before."""
    unpacked = workplace / "unpacked"
    run("dpkg-deb", "-R", package, unpacked)
    packages = {}
    for name in (version(), version() + "+1", version() + "~1"):
        control = unpacked / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {name}", control.read_text(), flags=re.M))
        packages[name] = workplace / f"{name}.deb"
        run("dpkg-deb", "--root-owner-group", "-b", unpacked, packages[name])
    return packages


@pytest.fixture(scope="module", name="host")
def boot_host(make_host, registry):
    """The agent runs, somebody has logged in, and nobody has told the agent."""
    h = make_host(installed=False)
    boot_logged_in(h, registry)
    yield h
    h.power_off()


def installed(host):
    return host.run("dpkg-query", "-W", "-f", "${Version}", "ecs-authd")


def no_job(host, since):
    """For longer than any pause that the settings of these tests have."""
    never(lambda: host.jobs(since), 4, "a restart")


def test_one_step(host, engine, registry, packages):
    """Enabled, started, and the agent has the credentials."""
    before = wait_for(engine.running_agent, 30, "the agent runs", host.tail)
    install(host, packages[version()])
    assert host.run("systemctl", "is-enabled", "ecs-authd").strip() == "enabled"
    assert host.run("systemctl", "is-active", "ecs-authd").strip() == "active"
    assert wait_live(host, engine, registry)["Id"] != before["Id"]
    assert "ecs-authd" in host.run("ecs-authd", "--version")
    assert host.run("journalctl", "--list-catalog").count("ecs-authd") > 10
    assert host.shell("test -f /usr/share/man/man8/ecs-authd.8.gz && test -f /usr/share/bash-completion/completions/ecs-authd; echo $?").strip() == "0"


def test_upgrade_restarts_no_agent(host, engine, registry, packages):
    """Settings that somebody has changed stay."""
    host.shell("echo '# mine' >> /etc/ecs-authd.conf")
    pid, since, agent = host.property("ecs-authd", "MainPID"), host.cursor(), engine.running_agent()["Id"]
    install(host, packages[version() + "+1"])
    assert host.property("ecs-authd", "MainPID") != pid and installed(host) == version() + "+1"
    wait_live(host, engine, registry, since)
    no_job(host, since)
    assert engine.running_agent()["Id"] == agent
    assert host.read("/etc/ecs-authd.conf").endswith("# mine\n")
    assert "daemon-reload" not in host.run("ecs-authd", "check", check=False)


def test_downgrade(host, engine, registry, packages):
    since, agent = host.cursor(), engine.running_agent()["Id"]
    install(host, packages[version() + "~1"])
    assert installed(host) == version() + "~1"
    wait_live(host, engine, registry, since)
    no_job(host, since)
    assert engine.running_agent()["Id"] == agent


def test_upgrade_while_credentials_change(host, engine, registry, packages):
    """No login is lost, and the file is never half of one."""
    since, stop, seen = host.cursor(), threading.Event(), []

    def log_in():
        while not stop.is_set():
            seen.append(host.read(CONFIG))
            new_login(host, registry)

    logins = threading.Thread(target=log_in)
    logins.start()
    try:
        install(host, packages[version()])
    finally:
        stop.set()
        logins.join()
    wait_live(host, engine, registry, since)
    assert len(seen) > 1 and all(text.startswith("ECS_CLUSTER=web\n") and text.count("ECS_ENGINE_AUTH") == 2 for text in seen)


def test_upgrade_during_a_hold(host, engine, registry, packages):
    """It holds on, and goes on when the task has ended."""
    host.shell(f"echo ECS_DATADIR= >> {CONFIG}")
    host.restart_agent()
    wait_for(lambda: (agent := engine.running_agent()) and "ECS_DATADIR=" in agent["Config"]["Env"], 30, "it keeps no state", host.tail)
    engine.control.set(tasks=[(ARN, "RUNNING", "web")])
    since = host.cursor()
    new_login(host, registry)
    host.wait_said("which a restart would lose", since)
    since = host.cursor()
    install(host, packages[version() + "+1"])
    host.wait_said("which a restart would lose", since)
    no_job(host, since)
    engine.control.set(tasks=[])
    wait_live(host, engine, registry, since)
    assert host.jobs(since) == 1
    host.shell(f"sed -i /ECS_DATADIR/d {CONFIG}")
    host.restart_agent()
    wait_live(host, engine, registry, since)


def test_upgrade_during_a_restart(host, engine, registry, packages):
    """The job goes on without the old daemon, and the new one sees it through: one restart."""
    engine.control.set(stop=3)
    since = host.cursor()
    new_login(host, registry)
    host.wait_said("Restarting ecs.service", since)
    install(host, packages[version()])
    engine.control.set(stop=0)
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1


def test_remove(host, engine, registry):
    """The process is gone, and whatever named it; the agent and its two lines stay."""
    agent, lines = engine.running_agent()["Id"], host.read(CONFIG)
    host.run("apt-get", "-q", "-y", "remove", "ecs-authd")
    assert host.shell("pgrep -x ecs-authd", check=False) == ""
    assert host.run("systemctl", "list-unit-files", "--no-legend", "ecs-authd*", check=False).strip() == ""
    assert host.shell("find /etc /run /usr /var/lib/systemd -xtype l -name 'ecs-authd*'") == ""
    assert "ecs-authd" not in host.run("journalctl", "--list-catalog")
    assert host.shell("ls -d /run/ecs-authd /usr/bin/ecs-authd", check=False) == ""
    assert host.shell("test -f /etc/ecs-authd.conf; echo $?").strip() == "0"
    assert host.read(CONFIG) == lines and lines.count("ECS_ENGINE_AUTH") == 2
    assert engine.running_agent()["Id"] == agent
    secret = registry.entry()
    assert host.shell(f"grep -rl '{secret}' /var/lib/ecs-authd /etc/ecs-authd* /var/lib/dpkg 2> /dev/null", check=False) == ""


def test_install_again(host, engine, registry, packages):
    new_login(host, registry)  # while nobody looked
    install(host, packages[version()])
    assert host.run("systemctl", "is-enabled", "ecs-authd").strip() == "enabled"
    wait_live(host, engine, registry)
    assert host.read("/etc/ecs-authd.conf").endswith("# mine\n")


def test_purge(host, engine, registry):
    wait_newest(host, engine, registry)
    host.run("apt-get", "-q", "-y", "purge", "ecs-authd")
    assert host.shell("ls -d /var/lib/ecs-authd /etc/ecs-authd.conf /run/ecs-authd", check=False) == ""
    assert host.shell("find / -xdev -name '*ecs-authd*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/root/*' -not -path "
                      "'/etc/ecs-authd.conf.d*' -not -path '/var/log/*' -not -path '/var/cache/*'", check=False) == ""
    assert host.read(CONFIG).count("ECS_ENGINE_AUTH") == 2


def test_a_new_host(host, engine, registry, packages):
    """As on the first day; and before anybody has logged in."""
    host.shell(f"rm /root/.docker/config.json; sed -i /ECS_ENGINE_AUTH/d {CONFIG}")
    host.restart_agent()
    install(host, packages[version()])
    host.wait_said("Waiting for the first docker login")
    host.put("/root/.docker/config.json", config_json(registry, registry.entry()))
    host.shell("chmod 600 /root/.docker/config.json")
    wait_live(host, engine, registry)


def test_autopkgtest(host):
    """What Debian's own test runner would run."""
    host.run("systemctl", "disable", "--now", "ecs")
    with open(TOP / "packaging/debian/tests/installed", "rb") as script:
        subprocess.run(host.command("sh", "-c", "cat > /root/installed && chmod 755 /root/installed && /root/installed"), check=True,
                       stdin=script, capture_output=True)
