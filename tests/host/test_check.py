# SPDX-License-Identifier: Apache-2.0
"""ecs-authd check on a real host: each broken set-up is called by its name, and its cure, followed to the letter, makes it
right."""

import base64
import json
import re

import pytest

from host_parts import wait_for


def auth(registry, password=None):
    return base64.b64encode(f"{registry.user}:{password or registry.password}".encode()).decode()


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    h.write("/root/.docker/config.json", json.dumps({"auths": {registry.name: {"auth": registry.entry()}}}), 0o600)
    h.boot()
    h.wait_said("runs with the credentials of 1 registry")
    h.registry = registry
    h.engine_part = engine
    yield h
    h.power_off()


def check(host, *more):
    """[(verdict, text, cure)], without what is ok."""
    output = host.run("ecs-authd", "check", *more, check=False)
    return [(verdict, text.strip(), cure) for verdict, text, cure in
            re.findall(r"^(warning|problem)\s+(.*)(?:\n\s+-> (.*))?$", output, re.M)]


def login(host):
    """docker login REGISTRY, for the person who knows the password."""
    host.login(host.registry)


def add_line(host, line):
    host.shell(f"echo '{line}' >> /etc/ecs/ecs.config")
    host.restart_agent()


def credential_file(host, **entries):
    host.put("/root/.docker/config.json", json.dumps({"auths": {host.registry.name: {"auth": auth(host.registry)}, **entries}}))
    host.shell("chmod 600 /root/.docker/config.json")


# As on the AMIs; here the engine runs outside.
PART_OF_DOCKER = """printf '[Service]\nExecStart=/bin/sleep infinity\n' > /run/systemd/system/docker.service
mkdir -p /run/systemd/system/ecs.service.d; printf '[Unit]\nPartOf=docker.service\n' > /run/systemd/system/ecs.service.d/docker.conf
systemctl daemon-reload; systemctl start docker;"""

# name: (what breaks it, what is said, the cure: None = the command that check prints; otherwise what its words say)
BROKEN = {
    "credential file for all to read": ("chmod 644 /root/.docker/config.json", "config.json can be read by others", None),
    "ecs.config for all to read": ("chmod 644 /etc/ecs/ecs.config", "ecs.config can be read by others", None),
    "credential file of another user": ("chown 1234 /root/.docker/config.json",
                                        "config.json belongs to user 1234, and ecs-authd.service may not read it", None),
    "ecs.config of another owner": ("chown 0:1234 /etc/ecs/ecs.config",
                                    "ecs.config belongs to 0:1234, and ecs-authd.service may not write it for them", None),
    "agent stopped": ("systemctl stop ecs", "ecs.service is not running: a stop was requested", None),
    "agent stopped with docker.service": (PART_OF_DOCKER + "systemctl stop docker; systemctl start docker",
                                          "ecs.service is not running: a stop was requested, of it or of a unit that it is part of",
                                          None),
    "docker restart": ("docker restart ecs-agent", "ecs.service is not running: the agent exited with status 0, and no stop was "
                                                   "requested before", None),
    "docker stop": ("docker stop ecs-agent", "ecs.service is not running: the agent exited with status 0", None),
    "a signal to the unit": ("systemctl kill --kill-who=main ecs", "ecs.service is not running: signal 15 ended its main process, and "
                                                                   "no stop was requested before", None),
    "agent not enabled": ("systemctl disable ecs", "ecs.service is not started at boot", None),
    "ecs-authd not enabled": ("systemctl disable ecs-authd", "ecs-authd.service is not started at boot", None),
    "ecs-authd stopped": ("systemctl stop ecs-authd", "ecs-authd.service is not running", None),
    "a timer of old that writes the file": ("mkdir -p /etc/cron.d; echo '0 0 * * * root jq -c .auths x >> /etc/ecs/ecs.config' "
                                            "> /etc/cron.d/ecs-auth", "/etc/cron.d/ecs-auth names /etc/ecs/ecs.config",
                                            "rm /etc/cron.d/ecs-auth"),
    "D-Bus stopped": ("systemctl stop dbus.socket dbus.service", "systemd cannot be reached over D-Bus", None),
    "a line that somebody pasted": ("systemctl stop ecs-authd; sed -i 's/DATA={/DATA={\"auths\":{/; s/}}$/}}}/' /etc/ecs/ecs.config",
                                    "ecs.config has other credentials", None),
    "new credentials and no service": (lambda h: (h.run("systemctl", "stop", "ecs-authd"), h.registry.new_password(), login(h)),
                                       "ecs.config has other credentials", None),
    "a restart that nobody made": (lambda h: (h.run("systemctl", "stop", "ecs-authd"), h.registry.new_password(), login(h),
                                              h.run("ecs-authd", "apply", "--no-restart")),
                                   "ecs-agent runs with other credentials", None),
    "read-only /etc/ecs": ("systemctl stop ecs-authd; cp -a /etc/ecs /root/saved; mount -t tmpfs -o mode=755 tmpfs /etc/ecs; "
                           "cp -a /root/saved/. /etc/ecs/; systemctl start ecs-authd; mount -o remount,ro /etc/ecs",
                           "is on a read-only file system", None),
    "unit masked": ("mv /etc/systemd/system/ecs.service /root/ && systemctl daemon-reload && systemctl mask ecs",
                    "ecs.service is masked",
                    "systemctl unmask ecs.service; mv /root/ecs.service /etc/systemd/system/ && systemctl daemon-reload && "
                    "systemctl enable ecs && systemctl restart ecs"),
    "no unit": ("systemctl stop ecs; mv /etc/systemd/system/ecs.service /root/; systemctl daemon-reload", "there is no unit ecs.service",
                "mv /root/ecs.service /etc/systemd/system/ && systemctl daemon-reload && systemctl enable ecs && systemctl start ecs"),
    "exit status 5": (lambda h: (add_line(h, "AGENT_EXIT=5"), wait_for(
        lambda: h.property("ecs.service", "ActiveState") == "failed", 20, "the unit has failed", h.tail)), "ecs.service has failed",
                      "sed -i /AGENT_EXIT/d /etc/ecs/ecs.config; systemctl reset-failed ecs.service && systemctl start ecs.service"),
    "no ECS_DATADIR": (lambda h: add_line(h, "ECS_DATADIR="), "ECS_DATADIR is not set",
                       "sed -i /ECS_DATADIR/d /etc/ecs/ecs.config; systemctl restart ecs"),
    "ECS_CHECKPOINT=false": (lambda h: add_line(h, "ECS_CHECKPOINT=false"), "ECS_CHECKPOINT=false",
                             "sed -i /ECS_CHECKPOINT/d /etc/ecs/ecs.config; systemctl restart ecs"),
    "ECS_DATADIR elsewhere": (lambda h: add_line(h, "ECS_DATADIR=/elsewhere"), "not on a mount",
                              "sed -i /ECS_DATADIR/d /etc/ecs/ecs.config; systemctl restart ecs"),
    "a password that has changed": (lambda h: h.registry.new_password(), "refuses these credentials: status 401", login),
    "auth that is no base64": (lambda h: credential_file(h, **{"other.example": {"auth": "%%%"}}), 'the entry of other.example has an "auth"',
                               credential_file),
    "Docker Engine down": (lambda h: h.engine_part.stop(), "the Docker Engine does not answer",
                           lambda h: (h.engine_part.start(), h.restart_agent())),
}


def do(host, what):
    if callable(what):
        what(host)
    else:
        host.shell(what)


@pytest.mark.parametrize("name", BROKEN)
def test_broken(host, name):
    break_it, said, cure = BROKEN[name]
    # More often than systemd's start limit has it: the tests are at fault.
    host.shell("systemctl reset-failed ecs ecs-authd", check=False)
    do(host, break_it)
    more = ["--login"] if "refuses" in said else []
    found = wait_for(lambda: [finding for finding in check(host, *more) if said in finding[1]], 20, f"check says: {said}",
                     lambda: host.run("ecs-authd", "check", *more, check=False))
    # Of several commands any will do; words around them are for people.
    do(host, cure or re.split(", or: ", found[0][2])[0])
    wait_for(lambda: not check(host, *more), 40, "nothing is left to say",
             lambda: host.run("ecs-authd", "check", *more, check=False) + host.tail())


# path: the home that it is in, if another user owns it
PLACES = {
    "/root/snap/docker/current/.docker/config.json": None,
    "/root/.config/containers/auth.json": None,
    "/root/.dockercfg": None,
    "/etc/docker/config.json": None,
    "/home/alice/snap/docker/current/.docker/config.json": "/home/alice",
    "/run/user/1000/containers/auth.json": "/run/user/1000",
    "/srv/alice/.docker/config.json": "/srv/alice",  # only the user database names it
}
NO_LOGIN = """systemctl stop ecs-authd; systemctl reset-failed ecs ecs-authd; rm -f /root/.docker/config.json
sed -i /ECS_ENGINE_AUTH/d /etc/ecs/ecs.config; systemctl restart ecs; cp /etc/ecs-authd.conf /root/ecs-authd.conf.saved
getent passwd alice || echo alice:x:1000:1000::/srv/alice:/bin/sh >> /etc/passwd"""
CLEAN_UP = """rm -rf /root/snap /root/.config /root/.dockercfg /etc/docker/config.json /home/alice /run/user/1000 /srv/alice
rm -rf /etc/systemd/system/ecs-authd.service.d; mv /root/ecs-authd.conf.saved /etc/ecs-authd.conf
systemctl daemon-reload; systemctl reset-failed ecs ecs-authd; systemctl restart ecs-authd"""


WAITING = "Waiting for the first docker login, which makes /root/.docker/config.json"


def status(host):
    return json.loads(host.run("ecs-authd", "status", "--json", check=False) or "{}")


def log_in_at(host, path, home):
    link = "mkdir -p \"${1%/current/*}/2915\"; ln -sfn 2915 \"${1%/current/*}/current\"" if "/snap/" in path else ":"
    entry = {host.registry.name: {"auth": auth(host.registry)}}
    content = json.dumps(entry if path.endswith(".dockercfg") else {"auths": entry})
    host.run("sh", "-ec", f"{link}; mkdir -p \"$(dirname \"$1\")\"; cat > \"$1\"; chmod 600 \"$1\"", "sh", path, input=content)
    if home:
        host.run("chown", "-hR", "1000:1000", home)
        host.run("chmod", "700", home)


def follow(host, cure):
    """What the cure of other-login says, step by step; systemctl edit needs a terminal."""
    line, section, file = re.search(r"add the line (\S+) to (\[\w+\]) in ([^;\s]+)", cure).groups()
    host.run("sed", "-i", f"0,/^\\{section[:-1]}\\]/s|^\\{section[:-1]}\\]|&\\n{line}|", file)
    drop_in = re.search(r"run systemctl edit (\S+) and add to (\[\w+\]): (.*?) \(", cure)
    if drop_in:
        unit, section, lines = drop_in.groups()
        host.run("mkdir", "-p", f"/etc/systemd/system/{unit}.service.d")
        host.put(f"/etc/systemd/system/{unit}.service.d/override.conf", "\n".join([section, *lines.split(" and ")]) + "\n")
        host.run("systemctl", "daemon-reload")
    host.shell(cure.split("; then: ")[-1])


@pytest.mark.parametrize("path", PLACES)
def test_login_in_another_place(host, path):
    """check names it with its cure; so does the service, if it can read it."""
    home = PLACES[path]
    host.shell(NO_LOGIN, check=False)
    try:
        log_in_at(host, path, home)
        host.restart_daemon()
        sentence = wait_for(lambda: next(filter(lambda s: s.startswith(WAITING), [status(host).get("sentence", "")]), None), 20,
                            WAITING, host.tail)
        assert (path in sentence) == (home is None)
        found, = [finding for finding in check(host) if "has a login, but is not a file that ecs-authd watches" in finding[1]]
        assert found[1].startswith(path + " ") and ("docker login" in found[2]) == ("/snap/" not in path)
        follow(host, found[2] if home else sentence)
        wait_for(lambda: [r["source"] for r in status(host).get("registries", [])] == [path], 30, "the service has the login",
                 host.tail)
        wait_for(lambda: not check(host, "--login"), 40, "nothing is left to say",
                 lambda: host.run("ecs-authd", "check", "--login", check=False) + host.tail())
    finally:
        host.shell(CLEAN_UP, check=False)
        login(host)
