# SPDX-License-Identifier: Apache-2.0
"""status and check on terminals of several widths, with and without colour and UTF-8, as the files in screens/ have them.
ESC is shown there as \\e. After a change that is meant: ECS_AUTHD_WRITE_SCREENS=1 and this test write them anew."""

import datetime
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from bus_host import ECS_AUTHD, REGISTRY
from standin.terminal import on_terminal

SCREENS = Path(__file__).parent / "screens"
WIDTHS = [40, 80, 200]
LOOKS = {
    "colour-utf8": {"LC_ALL": "C.UTF-8"},
    "colour-ascii": {"LC_ALL": "C"},
    "plain-utf8": {"LC_ALL": "C.UTF-8", "NO_COLOR": "1"},
    "plain-ascii": {"LC_ALL": "C", "TERM": "dumb"},
}
# What takes a line back.
WIPE = "\r\033[K"

# A bit of everything that can be seen, on a day that is not today.
STATUS = {
    "schema": 1,
    "ecs_authd": "1",
    "pid": os.getpid(),
    "state": "problem",
    "sentence": "/etc/ecs/ecs.config could not be brought up to date, and ecs.service is not restarted for what stands there now",
    "since": "2001-02-03T22:05:06Z",
    "sources": ["/root/.docker/config.json", "/home/zoë/.docker/config.json"],
    "environment_file": "/etc/ecs/ecs.config",
    "registry_count": 23,
    "registries": [
        {"name": "https://index.docker.io/v1/", "source": "/root/.docker/config.json", "helper": None, "identity_token": False,
         "asked": None, "ends": None, "asked_again": None, "failing": False, "missing": False},
        {"name": "an-account-with-a-long-name.jfrog.example.com", "source": None, "helper": None, "identity_token": False,
         "asked": None, "ends": None, "asked_again": None, "failing": False, "missing": False},
        {"name": "registry.example.com", "source": "/home/zoë/.docker/config.json", "helper": "secretservice",
         "identity_token": True, "asked": "2001-02-03T21:00:00Z", "ends": "2001-02-04T09:00:00Z",
         "asked_again": "2001-02-04T05:00:00Z", "failing": False, "missing": False},
    ],
    "problems": [
        {"level": "error", "text": "/home/zoë/.docker/config.json:7:1: not valid JSON (unexpected end of data). The last good "
                                   "credentials stay in use. Run 'docker login' again, or mend the file"},
        {"level": "warning", "text": "docker-credential-secretservice was slow"},
    ],
    "last_change": "2001-02-03T22:05:04Z",
    "last_restart": "2001-02-03T20:00:00Z",
    "failed_restarts": 0,
    "agent": {"container": "ecs-agent", "id": "0123456789abcdef0123456789abcdef", "state": "running", "cluster": "production",
              "version": "Amazon ECS Agent - v1.105.1 (*a8b3e7d3)", "answers": True, "keeps_state": True, "tasks": 4,
              "task_containers": 7, "unknown_task_containers": 0, "task_families": "web, api"},
}


def environment(directory, **variables):
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
    return {**keep, "RUNTIME_DIRECTORY": str(directory), "TERM": "xterm", "TZ": "UTC", **variables}


@pytest.fixture(name="directory")
def make_directory(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps(STATUS))
    return tmp_path


def show_status(directory, columns, **variables):
    status, shown = on_terminal([str(ECS_AUTHD), "status"], environment(directory, **variables), columns)
    assert status == 3
    return shown


def lines_of(shown):
    return re.sub("\033\\[[0-9]*m", "", shown).splitlines()


def check_lines(shown, columns):
    """None is wider than the terminal, unless it is one word behind its label; none ends in a blank."""
    for line in lines_of(shown):
        assert len(line) <= columns or " " not in line[12:].strip(), (columns, line)
        assert line == line.rstrip(), line


def compare(name, shown):
    file = SCREENS / f"{name}.txt"
    shown = shown.replace("\033", "\\e")
    if os.environ.get("ECS_AUTHD_WRITE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        file.write_text(shown)
    assert shown == file.read_text(), f"{file}: is it meant? See the head of {Path(__file__).name}"


# --- status ---

@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", WIDTHS)
def test_status(directory, columns, look):
    shown = show_status(directory, columns, **LOOKS[look])
    check_lines(shown, columns)
    assert ("\033" in shown) == look.startswith("colour")
    assert ("●" in shown) == look.endswith("utf8")
    compare(f"status-{columns}-{look}", shown)


@pytest.mark.parametrize("columns", [41, 63, 64, 65, 66, 67, 120])
def test_status_at_other_widths(directory, columns):
    check_lines(show_status(directory, columns, LC_ALL="C.UTF-8"), columns)


def test_status_on_a_terminal_of_unknown_width(directory):
    assert show_status(directory, 0, LC_ALL="C.UTF-8") == show_status(directory, 80, LC_ALL="C.UTF-8")


def test_status_that_is_not_on_a_terminal(directory):
    """Lines are whole, for grep."""
    result = subprocess.run([ECS_AUTHD, "status"], env=environment(directory, LC_ALL="C.UTF-8"), check=False, text=True,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    assert result.returncode == 3 and not result.stderr
    assert f"Problems: {STATUS['problems'][0]['text']}\n" in result.stdout
    compare("status-no-terminal", result.stdout)


def test_times_of_one_zone(directory):
    """Of the reader; the first line names it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    today = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    (directory / "status.json").write_text(json.dumps({**STATUS, "last_restart": today}))
    shown = show_status(directory, 200, TZ="IST-5:30")
    assert re.search(r"problem\S* since 2001-02-04 03:35 IST\n", shown)
    assert "asked 2001-02-04 02:30, good until 2001-02-04 14:30, asked again 2001-02-04 10:30" in " ".join(shown.split())
    if datetime.datetime.now(zone).date() == now.astimezone(zone).date():  # it was not midnight meanwhile
        assert f"Restarted: {now.astimezone(zone):%H:%M:%S}\n" in shown


# --- check ---

@pytest.fixture(name="broken")
def make_broken(host):
    """The directory of a host has a name of the same length each time."""
    host.login()
    host.credentials.path.chmod(0o644)
    host.engine.stop()
    return host


def show_check(host, columns, settings=(), **variables):
    _, shown = on_terminal(host.arguments("check", **dict(settings)), {**host.environment(), "TERM": "xterm", **variables},
                           columns)
    directory = str(host.directory)
    shown = shown.replace(directory, "/tmp/ecs-authd-the-host"[:len(directory)].ljust(len(directory), "-"))
    # What is announced is there for a moment, and never runs into the next line.
    for announced in re.findall(r"\.\.\. [^\r\n]*", shown):
        assert len(announced) <= columns, announced
    assert ("..." in shown) == (variables.get("TERM") != "dumb")
    shown = re.sub(r"\.\.\. [^\r\n]*" + re.escape(WIPE), "", shown)
    assert "... " not in shown
    return shown.replace(WIPE, "")


def findings(shown, *parts):
    """Those that say one of the parts: of what else is found on this machine, a test knows nothing."""
    found = re.split(r"\n+(?=\S)", shown)
    return "".join(f + "\n" for part in parts for f in found if part in " ".join(f.split()))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("columns", WIDTHS)
def test_check(broken, columns, look):
    shown = show_check(broken, columns, **LOOKS[look])
    check_lines(shown, columns)
    assert ("\033" in shown) == look.startswith("colour")
    compare(f"check-{columns}-{look}", findings(shown, REGISTRY + ": credentials from", "can be read by others",
                                                "the Docker Engine does not answer"))


def test_a_cure_stands_below_itself(broken):
    shown = findings(show_check(broken, 40), "the Docker Engine does not answer")
    assert [line[:13] for line in lines_of(shown)[-2:]] == ["         -> s", "            s"], shown


@pytest.mark.parametrize("columns", [20, 60])
def test_what_is_announced_is_wiped_where_nothing_was_found(broken, columns):
    """Two in a row stood on one line."""
    show_check(broken, columns, settings={"Restart_Method": "docker"})
