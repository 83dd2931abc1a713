# SPDX-License-Identifier: Apache-2.0
"""A host whose ecs.config was filled by hand long before ecs-authd came: the package changes no byte of it, restarts no agent,
and says what it found. Told in order."""

import json

import pytest

from host_parts import config_json, credentials_for, install_package, never, new_login, wait_for

CONFIG = "/etc/ecs/ecs.config"
BY_HAND = """# filled by user data
ECS_CLUSTER=web
ECS_ENGINE_AUTH_TYPE=docker
ECS_ENGINE_AUTH_DATA={ "https://index.docker.io/v1/": {"username":"my_name", "password":"my_password", "email":"a@example.com"}, "a.example.com": {"username":"u","password":"p"} }
"""
SETTINGS_ONLY = '{"psFormat":"table {{.ID}}"}'


@pytest.fixture(scope="module", name="host")
def boot_host(make_host):
    h = make_host(installed=False)
    h.write(CONFIG, BY_HAND, 0o600)
    h.write("/root/.docker/config.json", SETTINGS_ONLY, 0o600)
    h.boot()
    yield h
    h.power_off()


def entries(host):
    line = next(line for line in host.read(CONFIG).splitlines() if line.startswith("ECS_ENGINE_AUTH_DATA="))
    return json.loads(line.partition("=")[2])


def named_in_journal(host):
    return [line["MESSAGE"] for line in host.lines("by other means") if "a.example.com" in line["MESSAGE"]]


def unchanged(host, engine, agent):
    """For longer than any pause that the settings of these tests have."""
    never(lambda: host.read(CONFIG) != BY_HAND or engine.running_agent()["Id"] != agent, 4, "a change")


@pytest.mark.parametrize("credential_file", [SETTINGS_ONLY, None])
def test_install(host, engine, package, credential_file):
    agent = wait_for(engine.running_agent, 30, "the agent runs", host.tail)["Id"]
    if not credential_file:
        host.shell("rm /root/.docker/config.json")
    before = named_in_journal(host)
    install_package(host, package)
    unchanged(host, engine, agent)

    # Named in the journal once, and in every place where an operator looks.
    host.run("systemctl", "reload", "ecs-authd")
    unchanged(host, engine, agent)
    named = named_in_journal(host)
    assert len(named) == len(before) + 1 and "docker login" in named[-1], named
    for shown in (host.run("ecs-authd", "status"), host.run("ecs-authd", "check", check=False),
                  host.run("ecs-authd", "apply", "--dry-run")):
        assert "by other means" in shown and "a.example.com" in shown, shown
        assert "my_password" not in shown
    findings = json.loads(host.run("ecs-authd", "check", "--json", check=False))["findings"]
    assert not [f for f in findings if f["verdict"] == "problem"], findings
    host.run("apt-get", "-q", "-y", "purge", "ecs-authd")
    unchanged(host, engine, agent)


def test_first_login(host, engine, package, registry):
    """Added beside the entries of others; taken out alone."""
    install_package(host, package)
    new_login(host, registry)
    agent = wait_for(lambda: (a := engine.running_agent()) and credentials_for(a, registry.name) and a, 40,
                     "the agent has the login", host.tail)
    assert credentials_for(agent, registry.name) == (registry.user, registry.password)
    assert credentials_for(agent, "a.example.com") == ("u", "p")
    assert credentials_for(agent, "index.docker.io/v1/") == ("my_name", "my_password")
    assert host.read(CONFIG).startswith("# filled by user data\nECS_CLUSTER=web\n")


def test_upgrade_from_a_version_without_a_record(host, engine, package, registry):
    """Removing and installing again loses nothing either."""
    before, agent = host.read(CONFIG), engine.running_agent()["Id"]
    host.run("apt-get", "-q", "-y", "remove", "ecs-authd")
    host.shell("rm /var/lib/ecs-authd/written")
    install_package(host, package)
    never(lambda: host.read(CONFIG) != before or engine.running_agent()["Id"] != agent, 4, "a change")


def test_logout(host, engine, registry):
    host.logout(registry)
    wait_for(lambda: set(entries(host)) == {"https://index.docker.io/v1/", "a.example.com"}, 20, "the entry is gone", host.tail)
    agent = wait_for(lambda: (a := engine.running_agent()) and not credentials_for(a, registry.name) and a, 40,
                     "the agent is without it", host.tail)
    assert credentials_for(agent, "a.example.com") == ("u", "p")


def test_template_that_writes_the_file_every_hour(host, engine, registry):
    """The template knows nothing of the login: its entries and ours are both there afterwards, and nothing is restarted."""
    host.put("/root/.docker/config.json", config_json(registry, registry.entry()))
    host.shell("chmod 600 /root/.docker/config.json")
    wait_for(lambda: (a := engine.running_agent()) and credentials_for(a, registry.name), 40, "the agent has the login", host.tail)
    agent = engine.running_agent()["Id"]
    host.put(CONFIG, BY_HAND)
    host.shell(f"chmod 600 {CONFIG}")
    wait_for(lambda: registry.name in entries(host), 20, "the login is back", host.tail)
    assert "a.example.com" in entries(host)
    never(lambda: engine.running_agent()["Id"] != agent, 4, "a restart")
