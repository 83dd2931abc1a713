# SPDX-License-Identifier: Apache-2.0
"""ecs-authd check on a real host: each broken set-up is called by its name, and its cure, followed to the letter, makes it
right."""

import base64
import json
import re

import pytest

from host_parts import TOP, run, wait_for, wait_live

UNIT = "/usr/lib/systemd/system/ecs.service"  # where packages have it
DROP_IN = "/etc/systemd/system/ecs.service.d"


def auth(registry, password=None):
    return base64.b64encode(f"{registry.user}:{password or registry.password}".encode()).decode()


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    run("systemctl", f"--root={h.root}", "disable", "ecs.service")
    (h.root / "etc/systemd/system/ecs.service").rename(h.root / UNIT.lstrip("/"))
    run("systemctl", f"--root={h.root}", "enable", "ecs.service")
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


def drop_in(host, text):
    """Of the agent's unit, read by systemd."""
    host.shell(f"mkdir -p {DROP_IN} && printf '[Service]\n{text}' > {DROP_IN}/broken.conf && systemctl daemon-reload")


def without_drop_in(host):
    host.shell(f"rm -r {DROP_IN} && systemctl daemon-reload")


def shows(host, command, text):
    """A command that a message names to find the reason: it shows it."""
    shown = host.shell(f"{command} --no-pager 2>&1" if command.startswith("systemctl") else f"{command} 2>&1", check=False)
    assert re.search(text, shown), shown


def edit(host, unit, *lines):
    """systemctl edit, which needs a terminal, by an operator who types these lines."""
    content = "".join(line + r"\n" for line in lines)
    host.put("/root/editor", f"#!/bin/sh\nprintf '{content}' > \"$1\"\n")
    host.shell(f"chmod +x /root/editor; script -qec 'SYSTEMD_EDITOR=/root/editor systemctl edit {unit}' /dev/null")


def another_unit(host):
    """The agent runs in a unit of another name."""
    host.shell(f"cp {UNIT} {UNIT.replace('ecs.service', 'my-ecs.service')}; systemctl daemon-reload; systemctl disable --now ecs; "
               "systemctl enable my-ecs; systemctl start my-ecs; printf '[Restart]\\nUnit=my-ecs\\n' > /etc/ecs-authd.conf.d/unit.conf; "
               "systemctl restart ecs-authd")


def usual_unit(host):
    host.shell(f"rm -r /etc/ecs-authd.conf.d/unit.conf /etc/systemd/system/ecs-authd.service.d; systemctl disable --now my-ecs; "
               f"rm {UNIT.replace('ecs.service', 'my-ecs.service')}; systemctl daemon-reload; systemctl enable --now ecs; "
               "systemctl restart ecs-authd")


def follow_all(host):
    """The first command of each finding."""
    for _, _, cure in check(host):
        do(host, re.split(", or: ", cure)[0])


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
                                          "ecs.service is not running: a stop was requested, of it or of a unit that it needs, such as docker.service, whose start does not start it",
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
    "unit masked": ("systemctl mask ecs", "ecs.service is masked", None),
    "no unit": (f"systemctl stop ecs; mv {UNIT} /root/; systemctl daemon-reload", "there is no unit ecs.service",
                f"mv /root/ecs.service {UNIT} && systemctl daemon-reload && systemctl enable ecs && systemctl start ecs"),
    "unit with a mistake": (lambda h: drop_in(h, r"ExecStart=\n"), "ecs.service has a mistake in its unit file",
                            lambda h: (shows(h, "systemctl status ecs.service", "no ExecStart"), without_drop_in(h))),
    "unit starting": (lambda h: (drop_in(h, r"ExecStartPre=/bin/sleep 1000\n"), h.run("systemctl", "restart", "--no-block", "ecs"), wait_for(
        lambda: h.property("ecs.service", "SubState") == "start-pre", 20, "it starts", h.tail)),
                      "ecs.service is starting or stopping", lambda h: (
                          shows(h, "systemctl status ecs.service", "sleep 1000"), without_drop_in(h), h.restart_agent())),
    "unit file changed": (f"touch {UNIT}", "the unit file of ecs.service has changed", None),
    "own unit file changed": ("touch /usr/lib/systemd/system/ecs-authd.service", "the unit file of ecs-authd.service has changed", None),
    "program replaced": ("cp /usr/bin/ecs-authd /usr/bin/new && mv /usr/bin/new /usr/bin/ecs-authd",
                         "still runs the old one", None),
    "not installed": ("systemctl disable --now ecs-authd; rm /usr/lib/systemd/system/ecs-authd.service; systemctl daemon-reload",
                      "ecs-authd.service is not installed", lambda h: (
                          run("make", "-s", "install", f"DESTDIR={h.root}", cwd=TOP), h.run("systemctl", "daemon-reload"),
                          follow_all(h))),
    "agent in another unit": (another_unit, "ecs-authd.service is not ordered before my-ecs.service",
                              lambda h: edit(h, "ecs-authd", "[Unit]", "Before=my-ecs.service")),
    "exit status 5": (lambda h: (add_line(h, "AGENT_EXIT=5"), wait_for(
        lambda: h.property("ecs.service", "ActiveState") == "failed", 20, "the unit has failed", h.tail)), "ecs.service has failed",
                      lambda h: (shows(h, "journalctl -u ecs.service", "status=5"), h.shell(
                          "sed -i /AGENT_EXIT/d /etc/ecs/ecs.config; systemctl reset-failed ecs.service && systemctl start ecs.service"))),
    "start limit": (lambda h: (drop_in(h, r"[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n"),
                               reach_start_limit(h), without_drop_in(h)),
                    "ecs.service was started too often in a short time", lambda h: (
                        shows(h, "journalctl -u ecs.service", "too quickly|start-limit-hit"),
                        h.shell("systemctl reset-failed ecs.service && systemctl start ecs.service"))),
    "agent not registered": (lambda h: (h.engine_part.control.set(register=None), h.restart_agent()), "the agent does not answer",
                             lambda h: (h.shell("docker logs ecs-agent"), h.engine_part.control.reset(), h.restart_agent())),
    "no ECS_DATADIR": (lambda h: add_line(h, "ECS_DATADIR="), "ECS_DATADIR is not set",
                       "sed -i s,ECS_DATADIR=,ECS_DATADIR=/data, /etc/ecs/ecs.config; systemctl restart ecs"),
    "ECS_DATADIR elsewhere": (lambda h: add_line(h, "ECS_DATADIR=/elsewhere"), "not on a mount",
                              "sed -i s,ECS_DATADIR=/elsewhere,ECS_DATADIR=/data, /etc/ecs/ecs.config; systemctl restart ecs"),
    "ECS_CHECKPOINT=false": (lambda h: add_line(h, "ECS_CHECKPOINT=false"), "ECS_CHECKPOINT=false",
                             "sed -i /ECS_CHECKPOINT=false/d /etc/ecs/ecs.config; systemctl restart ecs"),
    "credentials in ecs.config.json": (
        r"""printf '{"Cluster":"web",\n"engineauthtype":"docker",\n"EngineAuthData":{},\n"A":1}' > /etc/ecs/ecs.config.json""",
        "/etc/ecs/ecs.config.json is read by the agent, too", "sed -i /engineauth/Id /etc/ecs/ecs.config.json"),
    "logged out": (lambda h: h.logout(h.registry), "no registry has credentials", login),
    "a password that has changed": (lambda h: h.registry.new_password(), "refuses these credentials: status 401", login),
    "auth that is no base64": (lambda h: credential_file(h, **{"other.example": {"auth": "%%%"}}), 'the entry of other.example has an "auth"',
                               credential_file),
    "Docker Engine down": (lambda h: h.engine_part.stop(), "the Docker Engine does not answer",
                           lambda h: (h.engine_part.start(), h.restart_agent())),
}
# What the test has changed beside the fault.
UNDO = {"agent in another unit": usual_unit, "credentials in ecs.config.json": "rm /etc/ecs/ecs.config.json"}


def do(host, what):
    if callable(what):
        what(host)
    else:
        host.shell(what)


def reach_start_limit(h):
    """The agent runs before the second restart: a stop that fails is another result of the unit."""
    h.restart_agent()
    wait_for(h.engine_part.running_agent, 20, "the agent runs", h.tail)
    assert "repeated too quickly" in h.shell("systemctl restart ecs; journalctl -n 20 -u ecs", check=False)


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
    do(host, UNDO.get(name, "true"))


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
    follow_drop_in(host, cure)


def follow_drop_in(host, cure):
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


def test_file_in_a_home(host):
    """check judges it as the service sees it: ProtectHome= hides it, and its owner is not the fault."""
    path = "/home/alice/.docker/config.json"
    host.shell(NO_LOGIN, check=False)
    try:
        log_in_at(host, path, "/home/alice")
        host.put("/etc/ecs-authd.conf.d/home.conf", f"[Credentials]\nFile={path}\n")
        host.restart_daemon()
        verdict, said, cure = wait_for(lambda: [f for f in check(host) if path in f[1]], 20, "a finding")[0]
        assert verdict == "problem" and said.startswith(f"ecs-authd.service does not see {path}") and "chown" not in cure
        follow_drop_in(host, cure)
        wait_for(lambda: not check(host, "--login"), 40, "nothing is left to say",
                 lambda: host.run("ecs-authd", "check", "--login", check=False) + host.tail())
    finally:
        host.shell("rm -f /etc/ecs-authd.conf.d/home.conf; " + CLEAN_UP, check=False)
        login(host)


def new_password(host):
    """A login that needs a restart; not by Docker's CLI, which needs the engine."""
    host.registry.new_password()
    credential_file(host)


def elsewhere(host, *lines):
    host.put("/etc/ecs-authd.conf.d/elsewhere.conf", "\n".join(lines) + "\n")
    host.restart_daemon()


def writable(host, directory):
    edit(host, "ecs-authd", "[Service]", f"ReadWritePaths={directory}")
    host.run("systemctl", "restart", "ecs-authd")


def as_before(host):
    host.shell("rm -rf /etc/ecs-authd.conf.d/elsewhere.conf /etc/systemd/system/ecs-authd.service.d; systemctl daemon-reload; "
               "systemctl restart ecs-authd")


# What the service says of a restart that is due, and the fix: the group of the text, or what its words say.
SAID = {
    "masked": ("systemctl mask ecs", "Restart held: ecs.service is masked. To let it start again: (.*)", None),
    "unit with a mistake": (lambda h: drop_in(h, r"ExecStart=\n"), "the unit file of ecs.service cannot be used; see (.*)",
                            lambda h: (shows(h, "systemctl status ecs.service", "no ExecStart"), without_drop_in(h))),
    "failed": (lambda h: (drop_in(h, r"Restart=no\nExecStartPre=/bin/false\n"), h.run("systemctl", "restart", "ecs", check=False)),
               "Restart held: ecs.service has failed; see systemctl status ecs.service. When its cause is fixed: (.*)", lambda h: (
                   shows(h, "systemctl status ecs.service", "/bin/false"), without_drop_in(h),
                   h.shell("systemctl reset-failed ecs.service && systemctl start ecs.service"))),
    # systemd starts it again and again itself: its Result= is that of the last time.
    "failed until the limit": (lambda h: (drop_in(h, r"RestartSec=0\nExecStartPre=/bin/false\n"), h.run("systemctl", "restart", "ecs", check=False),
                                          wait_for(lambda: h.property("ecs.service", "ActiveState") == "failed", 20, "it has failed", h.tail),
                                          without_drop_in(h)),
                               "Restart held: ecs.service has failed; .*fixed: (.*)", None),
    "start limit": (lambda h: (drop_in(h, r"[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n"),
                               reach_start_limit(h), without_drop_in(h)),
                    "its start limit.*fixed: (.*)", None),
    "Docker Engine down": (lambda h: h.engine_part.stop(), r"cannot be asked at .* \(it is not running: (systemctl start docker)\)",
                           lambda h: (h.engine_part.start(), h.run("systemctl", "start", "ecs"))),
    "D-Bus stopped": ("systemctl stop dbus.socket dbus.service", "systemd cannot be reached over D-Bus; see (.*)", lambda h: (
        shows(h, "systemctl status dbus", "inactive"), h.run("systemctl", "start", "dbus"))),
}


@pytest.mark.parametrize("name", SAID)
def test_said(host, engine, registry, name):
    break_it, said, fix = SAID[name]
    host.shell("systemctl reset-failed ecs ecs-authd", check=False)
    since = host.cursor()
    do(host, break_it)
    new_password(host)
    line = wait_for(lambda: next((found for e in host.journal(since) if (found := re.search(said, e["MESSAGE"]))), None), 20,
                    f"the service says: {said}", host.tail)
    since = host.cursor()
    do(host, fix or line.group(1))
    wait_live(host, engine, registry, since)


def test_a_directory_that_the_unit_may_not_write_to(host):
    """Of the environment file, and of the metrics."""
    host.shell("mkdir -p /opt/ecs /opt/metrics && cp -a /etc/ecs/ecs.config /opt/ecs/ && sed -i /ECS_ENGINE/d /opt/ecs/ecs.config")
    since = host.cursor()
    elsewhere(host, "[Agent]", "EnvironmentFile=/opt/ecs/ecs.config", "[Restart]", "Method=none")
    said = host.wait_said("/opt/ecs/ecs.config: cannot replace it: Read-only file system", since)["MESSAGE"]
    assert "A directory other than /etc/ecs has to be in ReadWritePaths= (systemctl edit ecs-authd); after that" in said
    assert said.endswith(": systemctl restart ecs-authd")
    writable(host, "/opt/ecs")
    assert "ECS_ENGINE_AUTH_DATA" in host.read("/opt/ecs/ecs.config")

    since = host.cursor()
    elsewhere(host, "[Status]", "MetricsFile=/opt/metrics/ecs-authd.prom")
    assert host.wait_said("/opt/metrics/ecs-authd.prom: cannot be written", since)["MESSAGE"].endswith(
        "its directory has to exist, and to be in ReadWritePaths= of the unit")
    writable(host, "/opt/metrics")
    wait_for(lambda: host.shell("cat /opt/metrics/ecs-authd.prom", check=False), 20, "the metrics are written", host.tail)
    as_before(host)


def test_commands_that_show_more(host):
    """Those that the journal's explanations (journalctl -x) name, as they are: each runs."""
    for command in ("systemctl status docker", "systemctl status dbus", "systemctl status ecs.service", "docker logs ecs-agent",
                    "docker inspect ecs-agent", "journalctl -u ecs.service", "df /var/lib/ecs-authd", "ecs-authd render",
                    "systemctl status ecs-authd", "docker ps -a", "journalctl -u docker"):
        output = host.shell(f"{command} 2>&1", check=False)
        assert "not found" not in output.replace("Unit docker.service could not be found", "") and output or "logs" in command, command
