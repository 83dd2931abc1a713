# SPDX-License-Identifier: Apache-2.0
"""A helper's secret is a lease: it is asked when its entry is new, when its lease is due, when somebody says so, after a
failure with a pause; and never because something else woke the daemon."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bus_host import OTHERS, REGISTRY, USER
from file_events import FileEvents
from minting_helper import PROGRAMS, MintingHelper
from standin.credential_file import encode
from standin.wait import never, wait_for

OTHER = "other.example.com"
LOGINS = 5
WAKE_UPS = int(os.environ.get("ECS_AUTHD_WAKE_UPS", "2000"))


@pytest.fixture(name="helper")
def make_helper(host):
    if os.geteuid() != 0:
        pytest.skip("only root can put a program where helpers are looked for")
    helper = MintingHelper(host.directory)
    host.settings["Credentials.HelperEnvironment"] = f"MINT={helper.directory}"
    yield helper
    helper.remove()


@pytest.fixture(name="opens")
def make_opens(host):
    """Of the first credential file, from here on."""
    host.credentials.path.parent.mkdir(parents=True, exist_ok=True)
    opens = FileEvents.opens(host.credentials.path)
    yield opens
    opens.close()


def config(helper, registries=(REGISTRY,), auths=None):
    return json.dumps({"auths": auths or {}, "credHelpers": {r: helper.name for r in registries}}, indent="\t")


def expect_last(host, helper, *registries):
    """What the helper gave last for each of these is what is expected of the host."""
    for registry in registries:
        wait_for(lambda r=registry: helper.login(r), 10, f"the helper is asked for {registry}", host.seen)
        host.expected[registry] = helper.login(registry)


def run_live(host, helper, registries=(REGISTRY,), **settings):
    host.credentials.replace(config(helper, registries))
    host.run(**settings)
    expect_last(host, helper, *registries)
    host.wait_live()
    host.wait_idle()
    host.systemd1.calls.clear()
    assert len(helper.calls()) == len(registries)


def run_without_answer(host, helper):
    """The helper has said that it has nothing; from here on it has."""
    helper.does("none", REGISTRY)
    host.credentials.replace(config(helper))
    host.run()
    wait_calls(host, helper, 1)
    host.wait_idle()
    helper.stops("none", REGISTRY)


def wait_calls(host, helper, n, seconds=20, registry=None):
    wait_for(lambda: len(helper.calls(registry)) >= n, seconds, f"{n} calls of the helper, not {helper.calls()}", host.seen)


def wait_state(host, state):
    wait_for(lambda: (host.directory / "run/status.json").exists() and host.status()["state"] == state, 20,
             f"the state is {state}", host.seen)


def identity(path):
    st = path.stat()
    return st.st_ino, st.st_mtime_ns


# --- when it is asked ---


def test_jwt_that_ends(host, helper):
    """Asked again at two thirds of what the token says, and the agent is restarted with the next one."""
    helper.gives_jwts_of(12)
    run_live(host, helper)
    host.daemon.wait_said("good for so short a time that the agent is restarted every 1min;")
    first = host.expected[REGISTRY]
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    assert host.expected[REGISTRY] != first
    assert host.restarts() == 1 and host.writes() == 2
    earlier, later = helper.calls()
    # The token says whole seconds: it is good for 11 to 12 s.
    assert 11 * 2 / 3 - 0.5 < later - earlier < 12 * 2 / 3 + 1.5


def test_lifetime_from_the_settings(host, helper):
    run_live(host, helper, Credentials_HelperLifetime="*.example.com 9s")
    registry = host.status()["registries"][0]
    assert registry["helper"] == helper.name and registry["ends"] and registry["asked_again"] and not registry["failing"]
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    earlier, later = helper.calls()
    assert 5.5 < later - earlier < 7.5
    assert host.restarts() == 1 and host.writes() == 2


def test_sighup_asks(host, helper):
    run_live(host, helper)
    host.daemon.hang_up()
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    host.wait_idle()
    assert len(helper.calls()) == 2 and host.restarts() == 1 and host.writes() == 2


def test_apply_asks(host, helper):
    """And the service beside it asks nobody a second time."""
    run_live(host, helper)
    assert host.run_verb("apply").returncode == 0
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    host.wait_idle()
    assert len(helper.calls()) == 2 and host.restarts() == 1


def test_failure_and_recovery(host, helper):
    """A state of its own, with pauses that grow; apply fails, too."""
    helper.does("fail", REGISTRY)
    host.credentials.replace(config(helper))
    host.run()
    wait_state(host, "problem")
    assert host.run_verb("status").returncode == 3
    wait_calls(host, helper, 3, 25)
    first, second, third = helper.calls()[:3]
    assert 3.7 < second - first < 6.5 and 7.4 < third - second < 12
    result = host.run_verb("apply")
    assert result.returncode == 1 and "docker-credential-" + helper.name in result.stderr, result.stderr
    assert host.writes() == 0 and host.restarts() == 0
    helper.stops("fail", REGISTRY)
    host.daemon.hang_up()
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    wait_state(host, "live")
    assert host.restarts() == 1 and host.writes() == 1


def test_stderr_of_a_helper_is_kept_nowhere(host, helper):
    """The service cannot know which parts of it are secret."""
    secret = "swordfish-7"
    helper.does("fail", REGISTRY, f"cannot log in as {USER} with {secret}\n")
    host.credentials.replace(config(helper))
    host.run()
    wait_state(host, "problem")
    host.daemon.wait_said(r"By hand \(this prints the secret\): echo ")
    assert host.run_verb("apply").returncode == 1
    files = [host.daemon.log, *(path for name in ("state", "run") for path in (host.directory / name).rglob("*"))]
    assert host.directory / "state/leases" in files and host.directory / "run/status.json" in files
    for path in filter(Path.is_file, files):
        assert secret.encode() not in path.read_bytes(), path
    assert secret not in host.notify.text() and secret not in host.run_verb("status").stdout


@pytest.mark.parametrize("verb", [("apply",), ("apply", "--dry-run"), ("render",), ("check",)], ids=" ".join)
def test_stderr_of_a_helper_goes_to_the_terminal(host, helper, verb):
    """To no file or pipe that stderr may be instead: others may read that."""
    helper.does("fail", REGISTRY, "with its own words\n")
    host.credentials.replace(config(helper))
    assert "with its own words" not in host.run_verb(*verb).stderr
    terminal, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", buffering=0) as theirs:
        theirs.write(b"begin\n")  # so that there is something to read
        subprocess.run(host.arguments(*verb), env=host.environment(), check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=theirs, timeout=30)
        said = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "with its own words" in said, said


@pytest.fixture(name="escaped")
def make_escaped(helper):
    """The helper hangs. A process of it, which has a session of its own and no parent, holds this pipe open."""
    path = helper.directory / f"escape-{REGISTRY}"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield pipe
    os.close(pipe)


def children_of(pid):
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ""


def hear(pipe):
    assert select.select([pipe], [], [], 20)[0]
    return os.read(pipe, 100)


def test_nothing_is_left_of_a_killed_job(host, helper, escaped):
    host.credentials.replace(config(helper))
    host.run(Credentials_HelperTimeoutSec="60s")
    assert hear(escaped) == b"runs\n"
    helper.stops("escape", REGISTRY)
    [job] = [pid for pid in host.children() if children_of(pid)]
    os.kill(job, signal.SIGKILL)
    assert hear(escaped) == b""


def test_nothing_is_left_of_a_killed_apply(host, helper, escaped):
    """Neither its job nor apply itself is there to end anything."""
    host.credentials.replace(config(helper))
    with host.start_verb("apply", Credentials_HelperTimeoutSec="60s") as apply:
        assert hear(escaped) == b"runs\n"
        apply.kill()
    assert hear(escaped) == b""


def test_failure_when_due(host, helper):
    """The agent keeps what it has, is not said to be live, and has the next one as soon as there is one."""
    run_live(host, helper, Credentials_HelperLifetime="9s")
    helper.does("fail", REGISTRY)
    wait_state(host, "problem")
    host.wait_agent()
    assert host.status()["registries"][0]["failing"]
    failed = len(helper.calls())
    helper.stops("fail", REGISTRY)
    wait_calls(host, helper, failed + 1)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    wait_state(host, "live")
    assert host.restarts() == 1 and host.writes() == 2


def test_one_of_two_hangs(host, helper):
    helper.does("hang", REGISTRY)
    host.credentials.replace(config(helper, (REGISTRY, OTHER)))
    host.run(Credentials_HelperTimeoutSec="2s")
    expect_last(host, helper, OTHER)
    host.wait_agent()
    wait_state(host, "problem")
    host.wait_idle()
    # Nobody asks for the other one when this one is tried again.
    helper.stops("hang", REGISTRY)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    assert len(helper.calls(OTHER)) == 1 and host.restarts() == 2


def test_nothing_waits_for_a_helper_that_hangs(host, helper):
    """Neither the first write nor one in the middle of the next try."""
    helper.does("hang", OTHER)
    begin = time.monotonic()
    host.credentials.replace(config(helper, (OTHER,), {REGISTRY: {"auth": encode(USER, "first")}}))
    host.run(Credentials_HelperTimeoutSec="8s")
    host.expected[REGISTRY] = (USER, "first")
    host.wait_written()
    assert time.monotonic() - begin < 5
    wait_calls(host, helper, 2, 30, OTHER)
    begin = time.monotonic()
    host.credentials.replace(config(helper, (OTHER,), {REGISTRY: {"auth": encode(USER, "second")}}))
    host.expected[REGISTRY] = (USER, "second")
    host.wait_written()
    assert time.monotonic() - begin < 5 and len(helper.calls(OTHER)) == 2


def test_answer_that_vanished(host, helper):
    """Somebody took our lines out: asked again each time, with pauses that grow from 5 s, and never called live without."""
    run_live(host, helper)
    asked = helper.calls()[0]
    host.environment_file.write_text(OTHERS)
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    assert helper.calls()[1] - asked > 4.5 and len(helper.calls()) == 2
    host.wait_idle()
    host.environment_file.write_text(OTHERS)
    wait_state(host, "problem")
    wait_calls(host, helper, 3)
    assert helper.calls()[2] - helper.calls()[1] > 9.9
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    wait_state(host, "live")


def test_first_login_of_a_named_helper(host, helper):
    """credHelpers names the registry, and docker login adds an empty entry to "auths"; docker logout takes it away."""
    run_without_answer(host, helper)
    host.credentials.replace(config(helper, auths={REGISTRY: {}}))
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    helper.does("none", REGISTRY)
    host.credentials.replace(config(helper))
    del host.expected[REGISTRY]
    host.wait_live()
    assert len(helper.calls()) == 3


def test_stale_secret_beside_a_helper(host, helper):
    """The helper fails for once: its last answer stays, not what stands in the file since before there was one."""
    host.credentials.replace(config(helper, auths={REGISTRY: {"auth": encode(USER, "stale")}}))
    host.run(Credentials_HelperLifetime="9s")
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    helper.does("fail", REGISTRY)
    wait_state(host, "problem")
    host.look_again()
    assert host.written() == host.expected


def test_registry_without_any_answer_is_shown(host, helper):
    helper.does("fail", REGISTRY)
    host.credentials.replace(config(helper))
    host.run()
    wait_state(host, "problem")
    [entry] = host.status()["registries"]
    assert entry["name"] == REGISTRY and entry["failing"] and entry["missing"]
    assert f"{REGISTRY} (not there yet)" in host.run_verb("status").stdout


def test_login_while_the_helper_is_asked(host, helper):
    """What it is about to say may be of before."""
    run_live(host, helper)
    helper.does("wait", REGISTRY, "3")
    host.credentials.replace(config(helper))
    wait_for(lambda: helper.waits(REGISTRY), 10, "it is asked", host.seen)
    helper.stops("wait", REGISTRY)
    host.credentials.replace(config(helper))
    wait_calls(host, helper, 3, 45)
    expect_last(host, helper, REGISTRY)
    host.wait_live()


def test_reload_while_the_helper_is_asked(host, helper):
    """From then on nothing is written from the files of before."""
    other = host.directory / "other.json"
    other.write_text(host.credentials.text({OTHER: {"auth": encode(USER, "new")}}))
    run_live(host, helper)
    host.config.write_text(f"[Credentials]\nFile={host.credentials.path}\n")
    assert host.daemon.stop() == 0
    host.run(Credentials_File=None)
    host.wait_live()
    helper.does("wait", REGISTRY, "3")
    host.daemon.hang_up()
    wait_for(lambda: helper.waits(REGISTRY), 10, "it is asked", host.seen)
    host.config.write_text(f"[Credentials]\nFile={other}\n")
    host.daemon.hang_up()
    host.expected = {OTHER: (USER, "new")}
    before = host.writes()
    host.wait_live()
    never(lambda: host.written() != host.expected, 4, "the job of before writes")
    assert host.writes() == before + 1


def test_stop_while_the_helper_is_asked(host, helper):
    """It has not failed, and is asked at the next start."""
    helper.does("hang", REGISTRY)
    host.credentials.replace(config(helper))
    host.run()
    wait_calls(host, helper, 1)
    begin = time.monotonic()
    assert host.daemon.stop() == 0 and time.monotonic() - begin < 5
    helper.stops("hang", REGISTRY)
    host.run()
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    assert len(helper.calls()) == 2


def test_clock_that_was_set_back(host, helper):
    """One more call, and not one after the other."""
    run_live(host, helper)
    assert host.daemon.stop() == 0
    path = host.directory / "state/leases"
    leases = json.loads(path.read_text())
    for lease in leases["leases"]:
        for name in "asked", "given", "due":
            lease[name] += 600 * 1000000
    path.write_text(json.dumps(leases))
    host.run()
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_live()
    host.look_again()
    assert len(helper.calls()) == 2


# --- beside an apply ---


def test_apply_is_not_undone_by_the_service(host, helper):
    """It knows that the helper has nothing; apply learns otherwise."""
    run_without_answer(host, helper)
    for n in range(4):
        assert host.run_verb("apply", "--no-restart").returncode == 0
        expect_last(host, helper, REGISTRY)
        host.wait_live()
        host.wait_idle()
        assert host.written() == host.expected and len(helper.calls()) == n + 2


@pytest.mark.parametrize("first", ["service", "apply"])
def test_the_later_of_two_answers_counts(host, helper, first):
    """Whoever was asked first is the last to answer."""
    run_live(host, helper)
    helper.does("wait", REGISTRY, "4")
    slow = None
    if first == "service":
        host.daemon.hang_up()
    else:
        slow = host.start_verb("apply", "--no-restart")
    wait_for(lambda: helper.waits(REGISTRY), 10, "the first is asking", host.seen)
    helper.stops("wait", REGISTRY)
    assert host.run_verb("apply", "--no-restart").returncode == 0
    expect_last(host, helper, REGISTRY)
    if slow:
        slow.communicate(timeout=30)
    wait_for(lambda: (helper.directory / f"answer-{REGISTRY}-2").exists(), 10, "the slow one has answered", host.seen)
    host.wait_live()
    host.wait_idle()
    host.look_again()
    assert host.written() == host.expected and len(helper.calls()) == 3


def test_apply_with_other_files_leaves_leases_alone(host, helper):
    run_live(host, helper)
    other = host.directory / "other.json"
    other.write_text(config(helper, (OTHER,)))
    environment_file = host.directory / "other.config"
    environment_file.write_text(OTHERS)
    assert host.run_verb("apply", "--no-restart", Credentials_File=other,
                         Agent_EnvironmentFile=environment_file).returncode == 0
    assert len(helper.calls(OTHER)) == 1
    with host.environment_file.open("a") as f:
        f.write("# another line\n")
    host.look_again()
    assert len(helper.calls(REGISTRY)) == 1


# --- when it is not asked ---


def test_restart_of_the_daemon(host, helper):
    """Within a lease it asks nobody, writes nothing and restarts nothing."""
    run_live(host, helper)
    before = identity(host.environment_file)
    leases = host.directory / "state/leases"
    assert leases.stat().st_mode & 0o777 == 0o600
    assert helper.login(REGISTRY)[1] not in leases.read_text()
    assert host.daemon.stop() == 0
    host.run()
    host.wait_live()
    host.wait_idle()
    assert len(helper.calls()) == 1 and host.restarts() == 0
    assert identity(host.environment_file) == before and host.writes() == 0


def test_login_to_another_registry(host, helper):
    """One change is one write and one restart, and no helper is asked."""
    run_live(host, helper)
    host.credentials.replace(config(helper, auths={OTHER: {"auth": encode(USER, "pw")}}))
    host.expected[OTHER] = (USER, "pw")
    host.wait_live()
    host.wait_idle()
    assert len(helper.calls()) == 1 and host.restarts() == 1 and host.writes() == 2


def test_nothing_follows_from_our_own_write(host, opens):
    """A login is one write and one restart. The daemon may notice its own write and read the files again, but then it rests."""
    host.run_live()
    host.wait_idle()
    looks = opens.count()
    for n in range(LOGINS):
        password = f"pw-{n}"
        host.credentials.replace(host.credentials.text({REGISTRY: {"auth": encode(USER, password)}}))
        host.expected[REGISTRY] = (USER, password)
        host.wait_live()
        host.wait_idle()
    assert host.restarts() == LOGINS and host.writes() == LOGINS + 1
    assert LOGINS <= opens.count() - looks <= 3 * LOGINS


def test_somebody_elses_change_is_seen(host):
    """What is not our own write wakes us, also right after it."""
    host.run_live()
    for _ in range(5):
        host.login()
        host.wait_written()
        host.environment_file.write_text(OTHERS)
        wait_for(lambda: host.written() == host.expected, 10, "our lines are back", host.seen)
    host.wait_live()


def test_login_into_the_helper(host, helper):
    """The credential file is written anew, and not one byte of it changes. After the first of many the last one counts."""
    run_live(host, helper)
    for _ in range(20):
        host.credentials.replace(config(helper))
        host.wait_idle()
    assert len(helper.calls()) == 2
    wait_for(lambda: len(helper.calls()) == 3, 40, "it is asked once more, 30 s after the last time", host.seen)
    assert 29.5 < helper.calls()[2] - helper.calls()[1] < 33
    expect_last(host, helper, REGISTRY)
    host.wait_live()


def test_broken_file_among_others(host, helper):
    """It changes nothing for what ecs.config has; a file that comes later still counts."""
    names = [host.directory / "root" / name for name in ("first.json", "broken.json", "last.json")]
    names[0].parent.mkdir(exist_ok=True)
    names[0].write_text(config(helper))
    names[1].write_text(json.dumps({"auths": {OTHER: {"auth": encode(USER, "old")}}}))
    names[2].write_text("{}")
    host.config.write_text("[Credentials]\n" + "".join(f"File={name}\n" for name in names))
    host.run(Credentials_File=None)
    expect_last(host, helper, REGISTRY)
    host.expected[OTHER] = (USER, "old")
    host.wait_live()

    names[1].write_text("{")
    wait_state(host, "problem")
    names[2].write_text(json.dumps({"auths": {"last.example": {"auth": encode(USER, "new")}}}))
    host.expected["last.example"] = (USER, "new")
    host.wait_written()
    # Neither one that an older, good file names, nor one that only the broken one named.
    names[0].write_text(config(helper, auths={OTHER: {"auth": encode(USER, "older")}}))
    host.daemon.hang_up()
    # A helper's own last answer is renewed as ever.
    wait_calls(host, helper, 2)
    expect_last(host, helper, REGISTRY)
    host.wait_written()
    host.look_again()
    assert host.written() == host.expected and len(helper.calls()) == 2
    names[1].unlink()
    names[1].write_text("{}")
    host.expected[OTHER] = (USER, "older")
    host.wait_live()
    wait_state(host, "live")


class Storm:
    """Events that wake the daemon, and are no reason to run a helper, to write or to restart."""

    def __init__(self, host, opens):
        self.opens = opens
        self.host = host
        self.pauses = 0
        self.replaced = 0
        self.ours = "".join(line + "\n" for line in host.environment_file.read_text().splitlines()
                            if line.startswith("ECS_ENGINE_AUTH_"))
        self.n = 0

    def touch_another_file(self):
        self.host.credentials.path.with_name(f"other{self.n % 10}").write_text(str(self.n))

    def replace_environment_file(self):
        temporary = self.host.environment_file.with_name("ecs.config.new")
        temporary.write_text(f"{OTHERS}# {self.n}\n{self.ours}")
        temporary.rename(self.host.environment_file)
        self.replaced += 1

    def write_environment_file(self):
        self.host.environment_file.write_text(f"# {self.n}\n{self.ours}{OTHERS}")

    def signal_of_the_unit(self):
        self.host.systemd1.set_unit(SubState=self.host.systemd1.properties["SubState"])

    def docker_event(self):
        self.host.engine.tell("start" if self.n % 2 else "die", f"task{self.n}")

    def blow(self, n):
        kinds = (self.touch_another_file, self.replace_environment_file, self.signal_of_the_unit, self.docker_event,
                 self.write_environment_file)
        for self.n in range(n):
            kinds[self.n % len(kinds)]()
            if self.n % 50 == 0:  # else they are one wake-up
                self.host.wait_idle()
                self.pauses += 1
                self.opens.count()  # the kernel keeps only so many
                self.host.writes()


def test_many_wake_ups(host, helper, opens, capsys):
    """ECS_AUTHD_WAKE_UPS=100000 is the long way."""
    run_live(host, helper)
    looks, begin = opens.count(), time.monotonic()
    storm = Storm(host, opens)
    storm.blow(WAKE_UPS)
    host.wait_idle()
    host.look_again()
    seconds, looks = time.monotonic() - begin, opens.count() - looks
    writes = host.writes() - storm.replaced - 1
    with capsys.disabled():
        print(f"\n{WAKE_UPS} wake-ups in {seconds:.0f} s: {looks} looks at the credentials, "
              f"{len(helper.calls()) - 1} calls, {writes} writes, {host.restarts()} restarts")
    assert looks >= storm.pauses - 1  # they were wake-ups: each change of ecs.config is followed by a look
    assert len(helper.calls()) == 1 and writes == 0 and host.restarts() == 0
    assert host.written() == host.expected and re.search("# [0-9]+\n", host.environment_file.read_text())
    assert not host.daemon.said("busy|has it open")


# --- more than a line of the environment file has room for ---

ROOM = 6553


@pytest.fixture(name="big_store")
def make_big_store(host):
    """A credential store whose list is too long."""
    if os.geteuid() != 0:
        pytest.skip("only root can put a program where helpers are looked for")
    program = PROGRAMS / f"docker-credential-big-{os.getpid()}"
    program.write_text(f"""#!/bin/sh
[ "$1" = list ] || {{ echo asked >> {host.directory}/asked; exit 1; }}
seq -s, -f '"r%.0f.example":"user"' {ROOM} | sed 's/.*/{{"{REGISTRY}":"user",&}}/'
""")
    program.chmod(0o755)
    yield f"big-{os.getpid()}"
    program.unlink()


def test_store_with_too_many(host, big_store):
    """What stands in ecs.config stays, a problem says why, and nothing else is done."""
    daemon = host.run_live()
    restarts, since = host.restarts(), daemon.mark()
    host.credentials.replace(json.dumps({"auths": {}, "credsStore": big_store}))
    daemon.wait_said(rf"credential helpers have {ROOM + 1} registries, and a line of the environment file has room for {ROOM}", since)
    wait_for(lambda: host.status()["problems"], 10, "the status has it", host.seen)
    host.wait_idle()
    assert host.written() == host.expected and host.restarts() == restarts
    assert not (host.directory / "asked").exists()
    assert not daemon.said("in order again|Removed", since)


def test_logins_beside_too_many_helpers(host):
    """They cost themselves, and no other."""
    host.run_live()
    helpers = {f"r{n}.example": "nowhere" for n in range(ROOM + 1)}
    password = "pw-" + os.urandom(8).hex()
    host.credentials.replace(json.dumps({"auths": {REGISTRY: {"auth": encode("puller", password)}}, "credHelpers": helpers}))
    host.expected = {REGISTRY: ("puller", password)}
    host.wait_live()


def test_too_many_helpers_no_more(host, helper):
    """Those that are left are asked at once."""
    daemon = host.run_live()
    since = daemon.mark()
    host.credentials.replace(config(helper, [f"r{n}.example" for n in range(ROOM + 1)]))
    daemon.wait_said("credential helpers have", since)
    host.wait_idle()
    assert not helper.calls()
    host.credentials.replace(config(helper))
    host.expected = {}
    expect_last(host, helper, REGISTRY)
    host.wait_written(seconds=3)
    host.wait_live()
    assert not host.status()["problems"]
