# SPDX-License-Identifier: Apache-2.0
"""ecs-authd check names what is wrong with a host, and its cure, followed to the letter, makes it right."""

import http.server
import json
import os
import re
import subprocess
import threading
import urllib.parse
from pathlib import Path

import dbus
import pytest
from bus_host import OTHERS, REGISTRY
from standin.credential_file import encode


def check(host, *more, **settings):
    """(exit status, {verdict: [lines]})"""
    result = host.run_verb("check", *more, **settings)
    lines = {"ok": [], "warning": [], "problem": []}
    for line in re.sub(r"\n +-> ", " -> ", result.stdout).splitlines():
        verdict, _, text = line.partition(" ")
        if verdict in lines:
            lines[verdict].append(text.strip())
    assert not result.stderr, result.stderr
    return result.returncode, lines


def test_a_sound_host(sound):
    before = sorted((p, p.stat().st_mtime_ns) for p in sound.directory.rglob("*"))
    status, lines = check(sound)
    assert status == 0 and not lines["warning"] and not lines["problem"], lines
    for part in ("config.json is there", f"{REGISTRY}: credentials from", "has these credentials", "the Docker Engine answers",
                 f"runs with what {sound.environment_file} has", "the agent answers", "keeps its state", "ecs.service is running",
                 "comes before ecs.service at boot"):
        assert any(part in line for line in lines["ok"]), part
    # It changes nothing.
    assert sorted((p, p.stat().st_mtime_ns) for p in sound.directory.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.isdir("/etc/cron.daily"), reason="only root can put a file there")
def test_what_cannot_be_read_to_its_end(sound):
    """Among the files that others put on a host: it is not waited for. The others are read."""
    put = f"""mount -t tmpfs none /etc/cron.daily && mkfifo /etc/cron.daily/a-fifo && ln -s /dev/zero /etc/cron.daily/zero &&
        truncate -s 1G /etc/cron.daily/huge && echo '* * * * * root touch {sound.environment_file}' > /etc/cron.daily/job && exec "$@\""""
    result = subprocess.run(["unshare", "--mount", "sh", "-c", put, "sh", *sound.arguments("check")], check=False, text=True,
                            env=sound.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    if "unshare" in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 0 and f"/etc/cron.daily/job names {sound.environment_file}" in result.stdout, result


def own_unit(host, **properties):
    host.systemd1.own_properties.update(properties)
    host.systemd1.disconnect()
    host.systemd1.connect()


def test_a_restart_whose_effect_nobody_has_seen(sound):
    """The service was stopped before it saw it; somebody has logged in since."""
    daemon = sound.run()
    sound.login()
    sound.wait_live()
    daemon.process.terminate()
    daemon.process.wait()
    record = sound.directory / "state" / "restart"
    opened = re.sub(r"^open=0$", "open=1", record.read_text(), flags=re.M)
    assert opened != record.read_text()
    record.write_text(opened)
    sound.login()
    assert sound.run_verb("apply", "--no-restart").returncode == 0
    own_unit(sound, ActiveState="inactive", SubState="dead")
    status, lines = check(sound)
    assert status == 1 and any("ecs-agent runs with other credentials" in line for line in lines["problem"]), lines


def environment_line(host, line):
    with open(host.environment_file, "a", encoding="utf-8") as f:
        f.write(line + "\n")
    host.agent.restart()


def without_line(host, line):
    host.environment_file.write_text(host.environment_file.read_text().replace(line + "\n", ""))
    host.environment_file.chmod(0o600)
    host.agent.restart()


def mounts(host, *paths):
    host.agent.mounts = list(paths)
    host.agent.restart()


def apply(host):
    host.run_verb("apply")
    host.environment_file.chmod(0o600)


def pasted(host):
    """The AWS page's way, with the auths wrapper left on."""
    text = host.environment_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("ECS_ENGINE_AUTH_DATA="))
    host.environment_file.write_text(text.replace(line, 'ECS_ENGINE_AUTH_DATA={"auths":' + line[21:] + "}"))
    host.agent.restart()


# What runs here may have been booted without it.
NO_BUS = ("systemd cannot be reached over D-Bus", "systemctl start dbus") if Path("/run/systemd/system").is_dir() else \
         ("systemd does not run here", "Method=")

# name: (what breaks it, verdict, what is said, a part of the cure, the cure)
BROKEN = {
    "no credential file": (lambda h: h.credentials.path.rename(h.directory / "away"), "problem",
                           "config.json: there is no such file", "docker login",
                           lambda h: (h.directory / "away").rename(h.credentials.path)),
    "broken credential file": (lambda h: h.credentials.path.write_text("{"), "problem", "config.json:1:2: not valid JSON",
                               "Correct it in an editor",
                               lambda h: (h.credentials.path.unlink(), h.login(), h.credentials.path.chmod(0o600), apply(h))),
    "credential file for all to read": (lambda h: h.credentials.path.chmod(0o644), "warning", "config.json can be read by others",
                                        "chmod 600", lambda h: h.credentials.path.chmod(0o600)),
    "environment file for all to read": (lambda h: h.environment_file.chmod(0o644), "warning", "ecs.config can be read by others",
                                         "chmod 600", lambda h: h.environment_file.chmod(0o600)),
    "auth that is no base64": (lambda h: h.credentials.path.write_text(json.dumps({"auths": {
        REGISTRY: {"auth": encode(*h.expected[REGISTRY])}, "other.example": {"auth": "%%%"}}})), "problem",
                               'the entry of other.example has an "auth" that is not base64', "Correct or remove it in an editor",
                               lambda h: h.credentials.path.write_text(json.dumps({"auths": {
                                   REGISTRY: {"auth": encode(*h.expected[REGISTRY])}}}))),
    "a helper that is not there": (lambda h: h.credentials.path.write_text(json.dumps({
        "auths": {REGISTRY: {"auth": encode(*h.expected[REGISTRY])}}, "credHelpers": {"other.example": "nowhere"}})), "problem",
                                   "other.example from docker-credential-nowhere", "By hand (this prints",
                                   lambda h: h.credentials.path.write_text(json.dumps({"auths": {
                                       REGISTRY: {"auth": encode(*h.expected[REGISTRY])}}}))),
    "the auths wrapper pasted as it is": (pasted, "problem", "has other credentials", "ecs-authd apply", apply),
    "a new password that the agent has not got": (lambda h: h.login(), "problem", "ecs.config has other credentials",
                                                  "ecs-authd apply",
                                                  lambda h: (h.credentials.path.chmod(0o600), apply(h))),
    "an agent that was not restarted": (lambda h: (h.login(), h.credentials.path.chmod(0o600),
                                                   h.run_verb("apply", "--no-restart"), own_unit(h, ActiveState="inactive")),
                                        "problem", "ecs-agent runs with other credentials", "ecs-authd apply",
                                        lambda h: (apply(h), own_unit(h, ActiveState="active"))),
    "Docker down": (lambda h: h.engine.stop(), "problem", "the Docker Engine does not answer", "systemctl start docker",
                    lambda h: h.engine.start()),
    "agent stopped": (lambda h: h.agent.stop(), "warning", "container ecs-agent does not run", "systemctl restart ecs.service",
                      lambda h: h.agent.restart()),
    "agent not registered": (lambda h: setattr(h.agent, "answers", False), "warning", "does not answer at http", "docker logs",
                             lambda h: setattr(h.agent, "answers", True)),
    "no ECS_DATADIR": (lambda h: (setattr(h.agent, "datadir", None), h.agent.restart()), "warning", "ECS_DATADIR is not set",
                       "set ECS_DATADIR=/data", lambda h: environment_line(h, "ECS_DATADIR=/data")),
    "ECS_CHECKPOINT=false": (lambda h: environment_line(h, "ECS_CHECKPOINT=false"), "warning", "ECS_CHECKPOINT=false",
                             "remove ECS_CHECKPOINT=false", lambda h: without_line(h, "ECS_CHECKPOINT=false")),
    "ECS_DATADIR without a mount": (lambda h: mounts(h), "warning", "not on a mount", "--volume /var/lib/ecs/data:/data",
                                    lambda h: mounts(h, "/data")),
    "unit masked": (lambda h: h.systemd1.set_unit(LoadState="masked"), "problem", "ecs.service is masked",
                    "systemctl unmask ecs.service", lambda h: h.systemd1.set_unit(LoadState="loaded")),
    "unit with a mistake": (lambda h: h.systemd1.set_unit(LoadState="bad-setting"), "problem", "mistake in its unit file",
                            "systemctl status ecs.service", lambda h: h.systemd1.set_unit(LoadState="loaded")),
    "unit failed": (lambda h: h.systemd1.set_unit(ActiveState="failed"), "problem", "ecs.service has failed",
                    "systemctl reset-failed ecs.service && systemctl start ecs.service",
                    lambda h: h.systemd1.set_unit(ActiveState="active")),
    "unit at its start limit": (lambda h: h.systemd1.set_failed("start-limit-hit"), "problem",
                                "ecs.service was started too often in a short time (its start limit)",
                                "systemctl reset-failed ecs.service && systemctl start ecs.service",
                                lambda h: h.systemd1.set_unit(ActiveState="active")),
    "a job is queued": (lambda h: h.systemd1.queue_job(), "warning", "ecs.service is starting or stopping, or has a job queued",
                        "systemctl status ecs.service", lambda h: h.systemd1.finish_job()),
    "unit not enabled": (lambda h: h.systemd1.set_unit(UnitFileState="disabled"), "warning", "ecs.service is not started at boot",
                         "systemctl enable ecs.service", lambda h: h.systemd1.set_unit(UnitFileState="enabled")),
    "bus down": (lambda h: h.systemd1.disconnect(), "problem", *NO_BUS,
                 lambda h: h.systemd1.connect()),
    "ecs-authd not running": (lambda h: own_unit(h, ActiveState="inactive"), "warning", "ecs-authd.service is not running",
                              "systemctl start ecs-authd", lambda h: own_unit(h, ActiveState="active")),
    "ecs-authd not enabled": (lambda h: own_unit(h, UnitFileState="disabled"), "warning",
                              "ecs-authd.service is not started at boot", "systemctl enable ecs-authd",
                              lambda h: own_unit(h, UnitFileState="enabled")),
    "order at boot": (lambda h: own_unit(h, Before=dbus.Array([], signature="s")), "warning", "not ordered before ecs.service",
                      "Before=ecs.service", lambda h: own_unit(h, Before=dbus.Array(["ecs.service"], signature="s"))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(sound, name):
    break_it, verdict, said, cure, mend = BROKEN[name]
    break_it(sound)
    status, lines = check(sound)
    found = [line for line in lines[verdict] if said in line]
    assert found and cure in found[0], lines
    assert status == (1 if lines["problem"] else 0)
    mend(sound)
    status, lines = check(sound)
    assert status == 0 and not lines["warning"] and not lines["problem"], lines


def test_a_unit_of_another_name(sound):
    """SUSE: the setting is the cure."""
    status, lines = check(sound, Restart_Unit="amazon-ecs.service")
    assert status == 1
    assert any("there is no unit amazon-ecs.service -> install the ECS agent, or set [Restart] Unit=" in line
               for line in lines["problem"])


def test_a_unit_that_reads_another_file(sound):
    sound.systemd1.environment_files = ["/etc/default/ecs"]
    sound.systemd1.disconnect()
    sound.systemd1.connect()
    assert any("reads other environment files" in line for line in check(sound)[1]["warning"])


def test_an_environment_file_that_cannot_be_read(sound):
    """Its problem is one finding, and the agent is examined."""
    sound.environment_file.unlink()
    sound.environment_file.mkdir()
    findings = json.loads(sound.run_verb("check", "--json").stdout)["findings"]
    found, = [f for f in findings if "cannot read it: Is a directory" in f["text"]]
    assert found["id"] == "environment-file" and found["verdict"] == "problem"
    assert [f["verdict"] for f in findings if f["id"] == "docker-engine"] == ["ok"]


def test_before_anything_is_there(host):
    host.engine.stop()
    host.environment_file.unlink()
    os.rmdir(host.environment_file.parent)
    status, lines = check(host)
    assert status == 1
    assert any("does not exist -> install the ECS agent" in line for line in lines["problem"])


# It said "problem: runs with other credentials" of each of these.

def about_agent(lines):
    return [line for verdict in lines for line in lines[verdict] if "container ecs-agent" in line or "Restart held" in line]


def test_a_host_without_a_login(host):
    _, lines = check(host)
    assert any("no registry has credentials" in line for line in lines["warning"])
    assert about_agent(lines) == [f"container ecs-agent runs with what {host.environment_file} has"], lines


def test_credentials_that_only_the_agent_has_left(sound):
    """It was "about to be restarted", which the service never does."""
    sound.credentials.path.unlink()
    sound.environment_file.write_text(OTHERS)
    _, lines = check(sound)
    assert any("Restart held: there is no credential file" in line for line in lines["warning"]), lines


def test_a_broken_file_whose_entries_are_kept(sound):
    sound.credentials.replace("{")
    _, lines = check(sound)
    assert about_agent(lines) == [f"container ecs-agent runs with what {sound.environment_file} has"], lines
    assert any("config.json:1:" in line for line in lines["problem"])


def test_seconds_after_a_login(sound):
    daemon = sound.run(Restart_SettleSec="1h")
    sound.wait_status("live in ecs-agent")
    sound.login()
    sound.credentials.path.chmod(0o600)
    sound.wait_written()
    _, lines = check(sound)
    assert about_agent(lines) == ["container ecs-agent has to be restarted: the service is about to"], lines
    assert daemon.runs()


def test_a_restart_behind_a_job(sound):
    """The service leaves the agent to the job of another program: it is not about to restart the agent."""
    sound.login()
    sound.credentials.path.chmod(0o600)
    assert sound.run_verb("apply", "--no-restart").returncode == 0
    sound.environment_file.chmod(0o600)
    sound.systemd1.queue_job()
    _, lines = check(sound)
    assert lines["warning"] == ["ecs.service is starting or stopping, or has a job queued -> systemctl status ecs.service"], lines
    assert not about_agent(lines), lines
    assert "ecs.service is starting or stopping, or has a job queued: left to that" in lines["ok"], lines
    sound.systemd1.finish_job()
    assert about_agent(check(sound)[1]) == ["container ecs-agent has to be restarted: the service is about to"]


def test_a_restart_that_is_held(sound):
    """With the sentence of the service itself."""
    sound.agent.datadir = None
    sound.agent.restart()
    sound.engine.run_task("one")
    daemon = sound.run()
    sound.login()
    held = daemon.wait_said("Restart held: 1 task container runs")
    status, lines = check(sound)
    assert about_agent(lines)[0] == held.text and held.text in lines["warning"], lines


def test_a_cluster_that_is_not_the_one_it_is_registered_in(sound):
    """Before a restart finds out, with status 5."""
    without_line(sound, "ECS_CLUSTER=demo")
    environment_line(sound, "ECS_CLUSTER=arn:aws:ecs:eu-west-1:111122223333:cluster/other")
    status, lines = check(sound)
    assert status == 1
    assert any("ECS_CLUSTER=other, and the agent is registered in demo: its next start ends with status 5 -> "
               "set ECS_CLUSTER=demo there" in line for line in lines["problem"]), lines


class Registry(http.server.BaseHTTPRequestHandler):
    """Takes one password; with a realm, only a token gets in."""

    def do_POST(self):
        """A refresh token, as OAuth 2 has it."""
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form == {"grant_type": ["refresh_token"], "service": ["reg"], "client_id": ["ecs-authd"],
                        "refresh_token": [self.server.token]} and "Authorization" not in self.headers
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_GET(self):
        good = self.headers.get("Authorization") == f"Basic {self.server.auth}"
        token = self.path.startswith("/token?service=reg")
        self.send_response(200 if good and (token or not self.server.bearer) else 401)
        if not token and self.server.bearer:
            self.send_header("WWW-Authenticate", f'Bearer realm="http://{self.server.name}/token",service="reg"')
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("bearer", [False, True], ids=["basic", "bearer"])
def test_login(sound, bearer):
    server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
    server.name = f"127.0.0.1:{server.server_port}"
    server.bearer = bearer
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        password = sound.login(server.name)
        server.auth = encode("puller", password)
        _, lines = check(sound, "--login")
        assert any(f"{server.name} takes these credentials" in line for line in lines["ok"]), lines
        server.auth = encode("puller", "another")
        status, lines = check(sound, "--login")
        assert status == 1
        assert any(f"{server.name} refuses these credentials: status 401 -> docker login {server.name}" in line
                   for line in lines["problem"]), lines
        # A name that nobody knows is nobody's refusal.
        assert any(f"{REGISTRY} could not be asked" in line for line in lines["warning"])
    finally:
        server.shutdown()
        server.server_close()


def test_login_with_an_identity_token(sound):
    """A real login leaves an empty password beside the token, which was sent instead of it, and refused."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Registry)
    server.name = f"127.0.0.1:{server.server_port}"
    server.bearer, server.auth, server.token = True, None, "id&token=+/ ä"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    entry = {"auth": encode("puller", ""), "identitytoken": server.token}
    try:
        sound.credentials.replace(json.dumps({"auths": {server.name: entry}}))
        _, lines = check(sound, "--login")
        assert any(f"{server.name} takes these credentials" in line for line in lines["ok"]), lines
        server.token = "another"
        _, lines = check(sound, "--login")
        assert any(f"{server.name} refuses these credentials" in line for line in lines["problem"]), lines
    finally:
        server.shutdown()
        server.server_close()


def test_no_secret(sound):
    result = sound.run_verb("check")
    assert sound.expected[REGISTRY][1] not in result.stdout and encode(*sound.expected[REGISTRY]) not in result.stdout
