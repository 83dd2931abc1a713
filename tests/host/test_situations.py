# SPDX-License-Identifier: Apache-2.0
"""What people see in each situation, on a real host: ecs-authd status, systemctl status, ecs-authd check, their exit statuses and
the worst priority in the journal agree with each other. situations.md is the table; ECS_AUTHD_WRITE_SITUATIONS=1 writes it anew."""

import json
import os
import re

import pytest

from host_parts import HERE, wait_for

TABLE = HERE / "situations.md"
HEAD = ("# What people see\n\nMade by `tests/host/test_situations.py` on a real host, and compared with by it.\n\n"
        "| situation | `ecs-authd status` | exit | `systemctl status` | `check` exit | journal, worst priority |\n"
        "| --- | --- | --- | --- | --- | --- |\n")
SETTINGS = "/etc/ecs-authd.conf.d/90-situation.conf"
FILE = "/root/.docker/config.json"
NEEDS_A_LOOK = ("held", "silent", "problem")
PRIORITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info"]
ARN = "arn:aws:ecs:us-west-2:012345678910:task/stand-in/1"


@pytest.fixture(scope="module", name="host")
def make_situations_host(make_host, registry, engine):
    h = make_host()
    h.registry, h.engine_part = registry, engine
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    h.write(FILE, credentials(h), 0o600)
    h.boot()
    h.wait_said("runs with the credentials of 1 registry")
    yield h
    h.power_off()


@pytest.fixture(scope="module", name="rows")
def make_rows():
    rows = {}
    yield rows
    if os.environ.get("ECS_AUTHD_WRITE_SITUATIONS") and set(rows) == set(SITUATIONS):
        TABLE.write_text(HEAD + "".join(rows.values()))


def credentials(host, **more):
    return json.dumps({"auths": {host.registry.name: {"auth": host.registry.entry()}}, **more})


def log_in(host, **more):
    host.put(FILE, credentials(host, **more))
    host.shell(f"chmod 600 {FILE}")


def another_login(host):
    host.put(FILE, json.dumps({"auths": {host.registry.name: {"auth": "dXNlcjpvdGhlcg=="}}}))


def settings(host, text):
    host.put(SETTINGS, text)
    host.restart_daemon()


def line_of_agent(host, line):
    host.shell(f"echo '{line}' >> /etc/ecs/ecs.config")
    host.restart_agent()


def with_tasks(host):
    line_of_agent(host, "ECS_DATADIR=")
    host.engine_part.control.set(tasks=[(ARN, "RUNNING", "web")])
    host.restart_daemon()
    wait_for(lambda: host.status_file().get("agent", {}).get("tasks") == 1, 20, "the task is seen", host.tail)
    another_login(host)


def silent(host):
    host.engine_part.control.set(register=None)
    settings(host, "[Restart]\nVerifySec=2s\n")
    host.restart_agent()


def refused(host):
    line_of_agent(host, "AGENT_EXIT=5")
    wait_for(lambda: host.property("ecs.service", "ActiveState") == "failed", 20, "the unit has failed", host.tail)


def read_only(host):
    host.shell("mkdir -p /root/saved; cp -a /etc/ecs/. /root/saved; mount -t tmpfs -o mode=755 tmpfs /etc/ecs; "
               "cp -a /root/saved/. /etc/ecs; systemctl restart ecs-authd; mount -o remount,ro /etc/ecs")
    another_login(host)


# name: (what makes it so, the state, what both screens say)
SITUATIONS = {
    "all is well": (lambda h: None, "live", "1 registry live in ecs-agent"),
    "nobody has logged in yet": (f"systemctl stop ecs-authd; rm {FILE}; sed -i /ECS_ENGINE_AUTH/d /etc/ecs/ecs.config; "
                                 "systemctl restart ecs; systemctl start ecs-authd", "waiting",
                                 "Waiting for the first docker login, which makes /root/.docker/config.json"),
    "logged out of everything": (lambda h: h.put(FILE, "{}"), "live", "No registry credentials in use in ecs-agent"),
    "a login to Amazon ECR beside it": (lambda h: log_in(h, credHelpers={"123456789012.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"}),
                                        "live", "1 registry live in ecs-agent"),
    "credential file broken": (lambda h: h.put(FILE, "{"), "problem", "not valid JSON"),
    "credential file gone": (f"rm {FILE}", "problem", "there is no such file"),
    "credential file for all to read": (f"chmod 644 {FILE}; chmod 755 /root /root/.docker", "live", "everybody on this host can read"),
    "credential file for all to write": (f"chmod 666 {FILE}", "problem", "others can change it"),
    "credential helper not there": (lambda h: log_in(h, credHelpers={"other.example": "nowhere"}), "problem",
                                    "docker-credential-nowhere"),
    "new credentials settle": (lambda h: (settings(h, "[Restart]\nSettleSec=1h\n"), another_login(h)), "waiting",
                               "waiting for them to settle"),
    "a restart was not long ago": (lambda h: (settings(h, "[Restart]\nMinIntervalSec=1h\n"), another_login(h)), "waiting",
                                   "at most one restart per MinIntervalSec=1h"),
    "a task would be lost": (with_tasks, "held", "1 task has not ended (web), which a restart would lose"),
    "UnsavedState=never": (lambda h: (line_of_agent(h, "ECS_DATADIR="), settings(h, "[Restart]\nUnsavedState=never\n"),
                                      another_login(h)), "held", "Restart held by UnsavedState=never"),
    "agent stopped": ("systemctl stop ecs", "stopped", "ecs.service is stopped; left alone"),
    "agent exited (docker restart)": ("docker restart ecs-agent", "held",
                                      "ecs.service is inactive: the agent exited with status 0, and no stop was requested before"),
    "agent's unit masked": ("systemctl stop ecs; mv /etc/systemd/system/ecs.service /root/; systemctl daemon-reload; "
                            "systemctl mask ecs", "held", "ecs.service is masked"),
    "agent's unit not there": ("systemctl stop ecs; mv /etc/systemd/system/ecs.service /root/; systemctl daemon-reload", "held",
                               "there is no unit ecs.service"),
    "agent refuses (status 5)": (refused, "held", "The agent ended with status 5"),
    "agent does not register": (silent, "silent", "has not registered with ECS"),
    "Docker Engine down": (lambda h: h.engine_part.stop(), "held", "the Docker Engine cannot be asked"),
    "Method=none": (lambda h: settings(h, "[Restart]\nMethod=none\n"), "written", "is up to date; nothing is restarted, as Method=none says"),
    "reload with a mistake in the settings": (lambda h: (h.put(SETTINGS, "[Restart]\nMehtod=none\n"),
                                                         h.run("systemctl", "reload", "ecs-authd", check=False)), "problem",
                                              "unknown setting Mehtod="),
    "ecs.config cannot be written": (read_only, "problem", "Read-only file system"),
}
BACK = f"""umount /etc/ecs 2>/dev/null; rm -rf /root/saved {SETTINGS}
test ! -e /root/ecs.service || {{ systemctl unmask ecs; mv /root/ecs.service /etc/systemd/system/; systemctl daemon-reload; systemctl enable ecs; }}
sed -i -e /AGENT_EXIT/d -e /ECS_DATADIR/d /etc/ecs/ecs.config
chmod 700 /root /root/.docker
systemctl reset-failed ecs ecs-authd
systemctl restart ecs-authd; systemctl restart ecs"""


def exit_status(host, *command):
    return int(host.shell(f"{' '.join(command)} > /dev/null 2>&1; echo $?"))


def verdicts_of_check(host):
    """{"settings"}: with a mistake in the settings nothing else is looked at."""
    output = host.run("ecs-authd", "check", "--json", check=False)
    return {finding["verdict"] for finding in json.loads(output)["findings"]} if output else {"settings"}


def status_text(host):
    return host.property("ecs-authd", "StatusText")


def plain(text):
    """Without what is another one each time."""
    text = re.sub(r"127\.0\.0\.1:\d+", "registry.example.com", text)
    text = re.sub(r" \(since [^)]*\)", "", text)
    text = re.sub(r"\([0-9a-f]{12}\)", "(9f2c1d07b3aa)", text)
    return text.replace("|", "\\|")


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(host, rows, name):
    make, state, says = SITUATIONS[name]
    host.status_file = lambda: json.loads(host.run("cat", "/run/ecs-authd/status.json", check=False) or "{}")
    since = host.cursor()
    if callable(make):
        make(host)
    else:
        host.shell(make)
    try:
        wait_for(lambda: host.status_file().get("state") == state and says in status_text(host) + host.status_file()["sentence"], 40,
                 f"{state}: {says}", lambda: host.run("ecs-authd", "status", check=False) + host.tail())
        text = wait_for(lambda: next(filter(lambda text: says in text, [status_text(host)]), None), 20,
                        f"systemctl status says: {says}", lambda: status_text(host))
        worst = min(int(entry["PRIORITY"]) for entry in host.journal(since)) if host.journal(since) else 6
        # An agent that restarts all the time, as without Docker, is something else for moments.
        shown = 3 if state in NEEDS_A_LOOK else 0
        wait_for(lambda: exit_status(host, "ecs-authd", "status") == shown, 20, f"status ends with {shown}", host.tail)
        checked, verdicts = exit_status(host, "ecs-authd", "check"), verdicts_of_check(host)
        assert checked == (78 if "settings" in verdicts else 1 if "problem" in verdicts else 0)
        if state in NEEDS_A_LOOK:
            assert worst <= 4 and verdicts & {"warning", "problem", "settings"}
        else:
            assert "problem" not in verdicts and (worst > 4 or status_text(host).startswith("Warning: ")), [
                entry["MESSAGE"] for entry in host.journal(since)]

        def row(text):
            return f"| {name} | {state} | {shown} | {plain(text)} | {checked} | {PRIORITIES[worst]} |\n"

        if not os.environ.get("ECS_AUTHD_WRITE_SITUATIONS"):
            # The end of the situation before may still be seen for a moment.
            text = wait_for(lambda: next(filter(lambda text: row(text) in TABLE.read_text(), [status_text(host)]), None), 20,
                            "the table has this row", lambda: row(status_text(host)))
        rows[name] = row(text)
    finally:
        back(host)


def back(host):
    if not host.engine_part.answers():
        host.engine_part.start()
    host.engine_part.control.reset()
    host.shell(BACK, check=False)
    log_in(host)
    wait_for(lambda: host.status_file().get("state") == "live" and host.status_file()["registry_count"] == 1 and
             not host.status_file()["problems"], 60, "all is well again", host.tail)


def test_service_that_does_not_run(host):
    host.run("systemctl", "stop", "ecs-authd")
    assert exit_status(host, "ecs-authd", "status") == 1
    assert exit_status(host, "ecs-authd", "check") == 0
    host.run("systemctl", "start", "ecs-authd")
