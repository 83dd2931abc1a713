# SPDX-License-Identifier: Apache-2.0
"""status.json, and ecs-authd status, which shows it."""

import json
import os
import re
import subprocess

import pytest
from bus_host import REGISTRY, USER
from standin.credential_file import encode
from standin.terminal import on_terminal
from standin.wait import wait_for


def wait_state(host, state):
    wait_for(lambda: (host.directory / "run/status.json").exists() and host.status()["state"] == state, 10,
             f"the state is {state}", host.seen)
    return host.status()


def test_live(host):
    host.login("a.example")
    host.run_live()
    status = wait_state(host, "live")
    assert status["schema"] == 1 and status["pid"] == host.daemon.pid
    assert status["sentence"] == "2 registries live in ecs-agent; watching 1 file"
    assert [(r["name"], r["source"], r["helper"]) for r in status["registries"]] == [
        (name, str(host.credentials.path), None) for name in ("a.example", REGISTRY)]
    assert status["agent"]["state"] == "running" and status["agent"]["cluster"] == "demo" and status["agent"]["keeps_state"]
    assert status["last_restart"] and status["last_change"] and status["since"] and not status["problems"]
    assert (host.directory / "run/status.json").stat().st_mode & 0o777 == 0o644


def test_shown(host):
    host.run_live()
    wait_state(host, "live")
    result = host.run_verb("status")
    assert result.returncode == 0, result.stderr
    # Without a locale there is no such character as that of systemctl.
    assert re.match(r"\* live since \d\d:\d\d:\d\d UTC\n +1 registry live in ecs-agent; watching 1 file\n", result.stdout)
    assert re.search(rf"Registries: {REGISTRY} from {host.credentials.path}\n", result.stdout)
    assert "Amazon ECS Agent - v1.105.1 (*a8b3e7d3); cluster demo; keeps its state; 0 task containers" in result.stdout
    assert "\033" not in result.stdout
    assert json.loads(host.run_verb("status", "--json").stdout) == host.status()
    _, shown = on_terminal(host.arguments("status"), {**host.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8"}, 60)
    assert shown.startswith("\033[32m● live\033[0m since ")


def test_images_of_each_key(host):
    """A key that does not cover all images of its host is described, and one that no image can use is a problem, not a registry."""
    path = f"{REGISTRY}/team"
    images = f"only images whose names begin with {path}, even {path}-x"
    host.login(path)
    daemon = host.run_live()
    status = wait_state(host, "live")
    assert [(r["name"], r["covers"], r["images"]) for r in status["registries"]] == [
        (REGISTRY, "host", f"all images of {REGISTRY}"), (path, "path", images)]
    assert f"{path} from {host.credentials.path}; {images}\n" in host.run_verb("status").stdout
    daemon.wait_said(f"{REGISTRY}, {path}. {path}: {images}")
    assert f"{path}: used for {images}" in host.run_verb("check").stdout

    host.login("docker.io/myorg")
    status = wait_state(host, "problem")
    assert status["registry_count"] == 2 and len(status["registries"]) == 2
    assert "no image can use the login 'docker.io/myorg'" in status["problems"][0]["text"]
    shown = host.run_verb("status")
    assert shown.returncode == 3 and "Run 'docker logout docker.io/myorg'" in " ".join(shown.stdout.split())
    checked = host.run_verb("check")
    assert checked.returncode == 1 and "no image can use the login 'docker.io/myorg'" in " ".join(checked.stdout.split())
    daemon.wait_said("no image can use the login 'docker.io/myorg'")
    assert "docker.io/myorg" not in host.environment_file.read_text()


def test_first_login_is_waited_for(host):
    """A host to which nobody has logged in yet has no problem."""
    daemon = host.run()
    status = wait_state(host, "waiting")
    assert status["sentence"] == f"Waiting for the first docker login, which makes {host.credentials.path}"
    assert [p["level"] for p in status["problems"]] == ["note"]
    assert not daemon.said("stay in use")
    host.wait_status("Waiting for the first docker login")
    shown = host.run_verb("status")
    assert shown.returncode == 0 and "Problems:" not in shown.stdout, shown.stdout
    applied = host.run_verb("apply")
    assert applied.returncode == 0, applied.stderr
    host.login()
    host.wait_live()
    assert wait_state(host, "live")["problems"] == []


def test_an_agent_and_a_login_are_waited_for(host):
    """As on an image that is made before either is there: no alert, and no restart to be held."""
    host.agent.stop()
    host.run(Restart_Unit="later.service")
    status = wait_state(host, "waiting")
    assert status["sentence"] == ("Waiting for later.service, which does not exist yet, and for the first docker login, which makes "
                                  f"{host.credentials.path}")
    assert host.run_verb("status").returncode == 0
    host.login()
    assert "no unit later.service" in wait_state(host, "held")["sentence"]
    assert host.run_verb("status").returncode == 3


HOMES = [".dockercfg", ".config/containers/auth.json", "snap/docker/current/.docker/config.json"]


def log_in_elsewhere(host, place):
    """With another tool than docker login, or another docker."""
    home = host.directory / "root"
    if place.startswith("snap/"):
        (home / "snap/docker/2915").mkdir(parents=True)
        (home / "snap/docker/current").symlink_to("2915")
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    auths = {REGISTRY: {"auth": encode("puller", "pw-elsewhere")}}
    path.write_text(json.dumps(auths if path.name == ".dockercfg" else {"auths": auths}))
    path.chmod(0o600)
    host.config.write_text(f"[Credentials]\nFile={host.credentials.path}\n")
    return path


@pytest.mark.parametrize("place", HOMES)
def test_first_login_is_in_another_place(host, place):
    path = log_in_elsewhere(host, place)
    daemon = host.run(Credentials_File=None)
    sentence = wait_state(host, "waiting")["sentence"]
    assert sentence == (f"Waiting for the first docker login, which makes {host.credentials.path}. {path} has a login, but is not "
                        f"watched: to use it, add the line File={path} to [Credentials] in /etc/ecs-authd.conf; then: systemctl "
                        "reload ecs-authd")
    daemon.wait_said(re.escape(sentence))
    assert host.run_verb("status", Credentials_File=None).returncode == 0
    assert sentence in host.run_verb("apply", "--dry-run", Credentials_File=None).stdout
    assert "pw-elsewhere" not in daemon.log.read_text() + json.dumps(host.status())

    # The printed fix.
    line, section = re.search(r"add the line (\S+) to (\[\w+\]) in", sentence).groups()
    host.config.write_text(host.config.read_text().replace(section, f"{section}\n{line}"))
    daemon.hang_up()
    host.expected = {REGISTRY: ("puller", "pw-elsewhere")}
    host.wait_live()
    assert "elsewhere" not in wait_state(host, "live")["sentence"]


@pytest.mark.parametrize("break_it", [lambda path: path.chmod(0o666), lambda path: path.write_text("{"),
                                      lambda path: path.write_text("{}"),
                                      lambda path: (path.unlink(), os.mkfifo(path))],
                         ids=["for all to write", "broken", "empty", "a FIFO"])
def test_what_is_no_login_in_another_place(host, break_it):
    break_it(log_in_elsewhere(host, ".dockercfg"))
    host.run(Credentials_File=None)
    host.wait_status("Waiting for the first docker login")
    assert wait_state(host, "waiting")["sentence"] == f"Waiting for the first docker login, which makes {host.credentials.path}"


def test_a_login_in_another_place_where_nothing_is_left_of_the_first(host):
    daemon = host.run_live()
    path = log_in_elsewhere(host, ".dockercfg")
    host.credentials.path.unlink()
    daemon.wait_said("there is no such file")
    host.environment_file.write_text("ECS_CLUSTER=demo\n")
    daemon.wait_said(f"Restart held: there is no credential file.*add the line File={re.escape(str(path))} to")


def test_agent_with_credentials_keeps_them_where_nothing_is_left_of_a_login(host):
    """The credential file is gone, and something else has rewritten ecs.config: that is no host before its first login."""
    daemon = host.run_live()
    host.credentials.path.unlink()
    daemon.wait_said("there is no such file")
    since = daemon.mark()
    host.environment_file.write_text("ECS_CLUSTER=demo\n")
    daemon.wait_said("Restart held: there is no credential file, and no credentials in", since)
    assert wait_state(host, "held") and host.restarts() == 0
    assert not daemon.said("in order again", since)
    assert host.run_verb("apply", "--dry-run").returncode == 3


def test_no_credentials(host):
    """Somebody has logged out everywhere."""
    host.run_live()
    host.logout()
    host.wait_live()
    host.wait_status("No registry credentials in use in ecs-agent; watching")
    assert wait_state(host, "live")["registry_count"] == 0


def test_problem_is_named_beside_what_is_live(host):
    host.run_live()
    host.credentials.replace("{")
    host.wait_status(rf"Problem: {host.credentials.path}:1:2: .*stay in use \(1 registry live in ecs-agent; watching")
    assert wait_state(host, "problem")["sentence"].startswith("1 registry live in ecs-agent; watching")
    assert host.run_verb("status").returncode == 3


def test_left_out(host):
    host.login("123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    del host.expected["123456789012.dkr.ecr.eu-west-1.amazonaws.com"]
    host.run_live()
    status = wait_state(host, "live")
    assert status["problems"] == [] and "123456789012" in status["left_out"][0]
    shown = host.run_verb("status")
    assert re.search("^ +Left out: .*123456789012", shown.stdout, re.M) and "Problems:" not in shown.stdout


def test_held(host):
    host.agent.datadir = None
    host.agent.restart()
    host.run_live()
    host.engine.run_task("one")
    host.login()
    status = wait_state(host, "held")
    assert "1 task container runs" in status["sentence"]
    assert status["agent"]["task_containers"] == 1 and not status["agent"]["keeps_state"]
    assert "* held since" in host.run_verb("status").stdout


def test_problem(host):
    host.run_live()
    host.credentials.replace("{")
    status = wait_state(host, "problem")
    assert status["problems"][0]["level"] == "error" and "config.json:1:" in status["problems"][0]["text"]
    # What stands in the file is live all the same.
    assert [r["name"] for r in status["registries"]] == [REGISTRY]
    assert "Problems:" in host.run_verb("status").stdout


def test_problem_where_nothing_is_restarted(host):
    """The same is a problem with each method."""
    host.login()
    daemon = host.run(Restart_Method="none")
    assert "is up to date; nothing is restarted, as Method=none says" in wait_state(host, "written")["sentence"]
    assert host.run_verb("status").returncode == 0

    before = host.credentials.path.read_text()
    host.credentials.replace('{"credHelpers": {"b.example": "nowhere"}, ' + before[1:])
    status = wait_state(host, "problem")
    assert "is up to date, and nothing is restarted, as Method=none says. 1 problem was named before" in status["sentence"]
    assert "docker-credential-nowhere" in status["problems"][0]["text"]
    assert host.run_verb("status").returncode == 3
    daemon.wait_said("docker-credential-nowhere")
    daemon.wait_said("is up to date, and nothing is restarted, as Method=none says. 1 problem was named before")
    shown = host.run_verb("status").stdout
    assert re.search(r"b\.example .*; has not worked yet; next try", " ".join(shown.split())), shown
    two_spellings = {"auths": {REGISTRY: {"auth": encode("a", "b")}, f"https://{REGISTRY}": {"auth": encode("c", "d")}}}
    host.credentials.replace(json.dumps(two_spellings | {"credHelpers": {"b.example": "nowhere"}}))
    wait_for(lambda: "1 problem and 1 warning were named before" in host.status()["sentence"], 10, "both are counted", host.seen)
    host.credentials.replace('{"credHelpers": {"b.example": "nowhere"}, ' + before[1:])
    wait_for(lambda: "1 problem was named before" in host.status()["sentence"], 10, "one is counted", host.seen)

    since = daemon.mark()
    host.credentials.replace("{")
    daemon.wait_said("could not be brought up to date", since)
    wait_for(lambda: "could not be brought up to date" in host.status()["sentence"], 10, "the status says so", host.seen)

    since = daemon.mark()
    host.credentials.replace(before)
    daemon.wait_said("is up to date; nothing is restarted", since)
    wait_state(host, "written")
    assert host.run_verb("status").returncode == 0 and host.restarts() == 0


def test_nothing_has_failed_before_the_first_look(host):
    host.login()
    daemon = host.run(Restart_Method="none")
    daemon.wait_said("is up to date; nothing is restarted")
    wait_state(host, "written")
    told = [text for text, _ in host.notify.messages if text.startswith("STATUS=")]
    assert told[0] == "STATUS=Looking"
    assert "could not" not in "".join(told) and not daemon.said("could not")


def test_no_service(host):
    result = host.run_verb("status")
    assert result.returncode == 1 and "the service does not run" in result.stderr
    daemon = host.run_live()
    wait_state(host, "live")
    daemon.stop()
    assert not (host.directory / "run/status.json").exists()


def test_killed_service(host):
    daemon = host.run_live()
    wait_state(host, "live")
    daemon.process.kill()
    daemon.process.wait()
    result = host.run_verb("status")
    assert result.returncode == 1 and "ended without a word" in result.stderr


def test_watch(host):
    host.run_live()
    wait_state(host, "live")
    watcher = subprocess.Popen(host.arguments("status", "--json", "--watch"), env=host.environment(), stdout=subprocess.PIPE,
                               text=True)
    try:
        host.login("second.example.com")
        while '"registry_count":2' not in watcher.stdout.readline().replace(" ", ""):
            assert watcher.poll() is None
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()


def test_no_secret(host):
    host.run_live()
    wait_state(host, "live")
    text = (host.directory / "run/status.json").read_text()
    assert host.expected[REGISTRY][1] not in text and USER not in text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_not_a_status(host, text):
    (host.directory / "run").mkdir()
    (host.directory / "run/status.json").write_text(text)
    assert host.run_verb("status").returncode == 1
