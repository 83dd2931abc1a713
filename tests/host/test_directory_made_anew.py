# SPDX-License-Identifier: Apache-2.0
"""/etc/ecs is removed and made anew while the service runs, as by a package that is removed and installed again: what the
unit made writable for it was the old directory. Told in order."""

from host_parts import never, new_login, wait_newest


def test_the_agent_keeps_what_it_has(host, engine, registry):
    before, since = engine.running_agent()["Id"], host.cursor()
    # In one step: if the file were removed first, the service might write it again before its directory is removed.
    host.shell("mkdir /etc/new && printf 'ECS_CLUSTER=web\\n' > /etc/new/ecs.config && mv /etc/ecs /etc/old && mv /etc/new /etc/ecs && rm -r /etc/old")
    line = host.wait_said("/etc/ecs/ecs.config: cannot replace it: Read-only file system", since)
    never(lambda: host.restarts(since), 5, "a restart for a file without credentials")
    assert engine.running_agent()["Id"] == before

    # The cure that is named is the one that helps.
    assert "systemctl restart ecs-authd" in line["MESSAGE"]
    host.run("systemctl", "restart", "ecs-authd")
    assert registry.entry() in host.read("/etc/ecs/ecs.config")
    never(lambda: host.restarts(since), 3, "a restart for credentials that it has")


def test_goes_on(host, engine, registry):
    new_login(host, registry)
    wait_newest(host, engine, registry)
