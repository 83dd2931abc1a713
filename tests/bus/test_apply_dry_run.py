# SPDX-License-Identifier: Apache-2.0
"""ecs-authd apply --dry-run: what would change and what would be done, and nothing of it is."""

import json
import os

import pytest
from bus_host import OTHERS, REGISTRY, USER
from minting_helper import MintingHelper
from standin.credential_file import encode

OTHER = "other.example.com"
OLD = "old.example.com"

UNCHANGED, FAILED, HELD, WOULD_CHANGE = 0, 1, 3, 4


def tree(host):
    """Everything below the directory of the host that ecs-authd could change: content, and when it was made and changed."""
    def look(path):
        st = path.lstat()
        return (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns,
                path.read_bytes() if path.is_file() else None)

    tops = [host.environment_file.parent, host.directory / "state", host.directory / "run", host.credentials.path.parent]
    return {path: look(path) for top in tops if top.exists() for path in (top, *top.rglob("*"))}


def dry_run(host, *more, **settings):
    """Lines of stdout, and the exit status; nothing was done."""
    before, calls = tree(host), host.restarts() + host.starts()
    result = host.run_verb("apply", "--dry-run", *more, **settings)
    assert tree(host) == before
    assert host.restarts() + host.starts() == calls
    for user, password in host.expected.values():
        for secret in (password, encode(user, password)):
            assert secret not in result.stdout + result.stderr
    host.stderr = result.stderr
    return result.stdout.splitlines(), result.returncode


def agent_line(lines):
    line, = [line for line in lines if line.startswith("The agent: ")]
    assert line == lines[-1]
    return line


def apply(host, **settings):
    result = host.run_verb("apply", **settings)
    assert result.returncode == 0, result.stderr
    host.systemd1.calls.clear()


@pytest.fixture(name="live")
def make_live(host):
    """The agent runs with the credentials of one login."""
    host.login()
    apply(host)
    return host


# --- the file ---

def test_a_first_login(host):
    host.login()
    lines, status = dry_run(host)
    assert lines == [
        f"{REGISTRY}: would be added, from {host.credentials.path}",
        "The agent: would be restarted. Container ecs-agent runs with other credentials than "
        f"{host.environment_file} would have",
    ]
    assert status == WOULD_CHANGE
    assert not (host.directory / "state").exists()


def test_each_kind_of_change(live):
    live.login(OTHER)
    live.login(OLD)
    apply(live)
    live.logout(OLD)
    live.login(OTHER)
    live.login("new.example.com")
    file = live.credentials.path
    lines, status = dry_run(live)
    assert lines[:-1] == [
        f"new.example.com: would be added, from {file}",
        f"{OTHER}: would be changed, from {file}",
        f"{REGISTRY}: would be kept, from {file}",
        f"{OLD}: would be removed",
    ]
    assert "would be restarted" in agent_line(lines) and status == WOULD_CHANGE


def test_a_logout(live):
    live.logout()
    lines, status = dry_run(live)
    assert lines[0] == f"{REGISTRY}: would be removed"
    assert "would be restarted" in agent_line(lines) and status == WOULD_CHANGE


def test_it_says_what_apply_then_does(live):
    live.login(OTHER)
    assert dry_run(live)[1] == WOULD_CHANGE
    apply(live)
    assert dry_run(live)[1] == UNCHANGED


def test_without_any_credentials(host):
    host.credentials.replace("{}")
    lines, status = dry_run(host)
    assert lines[0] == f"{host.environment_file}: there are no registry credentials in it, and there would be none"
    assert "would be left as it is. Container ecs-agent" in agent_line(lines)
    assert status == UNCHANGED


def test_credentials_count_and_not_their_text(live):
    """The same entry, spelled otherwise: the agent needs no restart."""
    text = live.environment_file.read_text()
    live.environment_file.write_text(text.replace(f'{{"{REGISTRY}"', f'{{ "https://{REGISTRY}"'))
    assert live.environment_file.read_text() != text
    lines, status = dry_run(live)
    assert lines[:2] == [f"{REGISTRY}: would be kept, from {live.credentials.path}",
                         f"{live.environment_file}: would be written anew; the credentials in it stay the same"]
    assert "would be left as it is" in agent_line(lines)
    assert status == WOULD_CHANGE


def test_lines_that_hold_nothing(host):
    host.credentials.replace("{}")
    host.environment_file.write_text(OTHERS + "ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={}\n")
    lines, status = dry_run(host, "--no-restart")
    assert lines == [f"{host.environment_file}: there are no registry credentials in it, and there would be none"]
    assert status == 0


def test_names_are_printable(host):
    host.credentials.replace(json.dumps({"auths": {}}))
    host.environment_file.write_text('ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={"a\\u001b[31mb c":'
                                     f'{{"auth":"{encode("u", "p")}"}}}}\n')
    lines, _ = dry_run(host, "--no-restart")
    assert lines == [f"a?[31mb c: would be kept; it is in {host.environment_file} by other means than ecs-authd",
                     "a?[31mb c: would be used for no image"]


# --- what fails ---

def test_a_broken_file(live):
    live.credentials.replace("{")
    lines, status = dry_run(live)
    assert lines[0] == f"{live.environment_file}: would stay as it is, for the reason named before"
    assert f"{live.credentials.path}:1:" in live.stderr
    assert "would be left as it is" in agent_line(lines)
    assert status == FAILED


def test_a_broken_file_and_an_agent_without(live):
    live.environment_file.write_text(OTHERS)
    live.agent.restart()
    live.credentials.replace("{")
    lines, status = dry_run(live)
    assert "would be left as it is" in agent_line(lines) and status == FAILED


def test_a_broken_file_among_others(live):
    broken = live.credentials.path.with_name("broken.json")
    broken.write_text("{")
    broken.chmod(0o600)
    live.login(OTHER)
    live.settings["Credentials.File"] = None
    live.config.write_text(f"[Credentials]\nFile={live.credentials.path}\nFile={broken}\n")
    lines, status = dry_run(live)
    assert f"{OTHER}: would be added, from {live.credentials.path}" in lines
    assert f"{REGISTRY}: would be kept, as it stands in {live.environment_file}" in lines
    assert f"{broken}:1:" in live.stderr
    assert status == FAILED


def test_no_credential_file(live):
    live.credentials.path.unlink()
    lines, status = dry_run(live)
    assert lines[0] == f"{live.environment_file}: would stay as it is, for the reason named before"
    assert str(live.credentials.path) in live.stderr and status == FAILED


def test_an_environment_file_that_cannot_be_read(host):
    host.login()
    host.environment_file.unlink()
    host.environment_file.mkdir()
    lines, status = dry_run(host)
    assert lines[0] == f"{host.environment_file}: would stay as it is, for the reason named before"
    assert f"{host.environment_file}: cannot read it" in host.stderr
    assert "would not be restarted now" in agent_line(lines)
    assert status == FAILED


# --- the agent ---

def test_an_agent_that_is_live(live):
    lines, status = dry_run(live)
    assert lines[0] == f"{REGISTRY}: would be kept, from {live.credentials.path}"
    assert "would be left as it is. Container ecs-agent" in agent_line(lines)
    assert "runs with the credentials of 1 registry" in agent_line(lines)
    assert status == UNCHANGED


def test_only_the_restart_is_missing(host):
    host.login()
    assert host.run_verb("apply", "--no-restart").returncode == 0
    lines, status = dry_run(host)
    assert lines == [
        f"{REGISTRY}: would be kept, from {host.credentials.path}",
        f"The agent: would be restarted. Container ecs-agent runs with other credentials than {host.environment_file} has",
    ]
    assert status == WOULD_CHANGE


def unsaved(host):
    host.agent.datadir = None
    host.agent.restart()


AGENT = {
    "tasks": (lambda host: (unsaved(host), host.engine.run_task()), {}, HELD,
              "would not be restarted now. Restart held: 1 task container runs (web), which a restart would lose"),
    "state not kept, no task": (unsaved, {}, WOULD_CHANGE, "would be restarted when no task was seen for a few seconds. "),
    "never": (unsaved, {"Restart_UnsavedState": "never"}, HELD, "Restart held by UnsavedState=never"),
    "no engine": (lambda host: host.engine.stop(), {}, HELD,
                  "would not be restarted now. No restart while the Docker Engine cannot be asked"),
    "no bus": (lambda host: (host.systemd1.disconnect(), host.bus.stop()), {}, HELD,
               "would not be restarted now. No restart while systemd cannot be reached over D-Bus"),
    "a job is queued": (lambda host: host.systemd1.queue_job(), {}, HELD, "has a job queued: left to that"),
    "stopped": (lambda host: (host.agent.stop(), host.systemd1.set_unit(ActiveState="inactive")), {}, UNCHANGED,
                "would be left as it is. ecs.service is stopped; left alone (whether a stop was requested is unknown). Its next start"),
    "start limit": (lambda host: (host.agent.stop(), host.systemd1.set_failed("start-limit-hit")), {}, UNCHANGED,
                    "would be left as it is. Restart held: ecs.service was started too often"),
    "no unit": (lambda host: (host.agent.stop(), host.systemd1.set_unit(LoadState="not-found", ActiveState="inactive")), {},
                UNCHANGED, "there is no unit ecs.service"),
    "Method=none": (lambda host: None, {"Restart_Method": "none"}, UNCHANGED,
                    "would be left as it is, as Method=none says"),
    "Method=docker": (lambda host: None, {"Restart_Method": "docker"}, WOULD_CHANGE,
                      "would be restarted. Container ecs-agent runs with other credentials"),
    "Method=docker, stopped": (lambda host: host.agent.stop(), {"Restart_Method": "docker"}, UNCHANGED,
                               "would be left as it is. ecs-agent is stopped"),
}


@pytest.mark.parametrize("why", AGENT)
def test_the_agent(host, why):
    """Of a file that is written already: what is left is the agent's."""
    prepare, settings, expected, words = AGENT[why]
    host.login()
    assert host.run_verb("apply", "--no-restart").returncode == 0
    written = host.environment_file.read_bytes()
    host.environment_file.write_text(OTHERS)
    prepare(host)  # an agent that starts here has no credentials
    host.environment_file.write_bytes(written)
    lines, status = dry_run(host, **settings)
    assert words in agent_line(lines)
    assert status == expected


def test_a_change_that_is_held(host):
    """The file would change all the same."""
    unsaved(host)
    host.engine.run_task()
    host.login()
    lines, status = dry_run(host)
    assert "would not be restarted now. Restart held: 1 task" in agent_line(lines)
    assert status == WOULD_CHANGE


def test_an_agent_that_does_not_answer(live):
    live.agent.answers = False
    live.agent.restart()
    lines, status = dry_run(live)
    assert "would be left as it is. Waiting for the agent in container ecs-agent to register" in agent_line(lines)
    assert status == UNCHANGED


@pytest.mark.parametrize("interval, head, expected", [
    ("5s", "would be restarted, but not at once. The restart of ecs.service waits ", WOULD_CHANGE),
    ("1d", "would not be restarted now. The restart of ecs.service waits ", HELD),  # longer than apply waits
])
def test_the_distance_of_restarts(live, interval, head, expected):
    live.login()
    assert live.run_verb("apply", "--no-restart").returncode == 0
    lines, status = dry_run(live, Restart_MinIntervalSec=interval)
    assert head in agent_line(lines) and f"at most one restart per MinIntervalSec={interval}" in agent_line(lines)
    assert status == expected


def test_an_agent_that_is_owed(host):
    """Down because of a restart of ours, whose end nobody has seen."""
    host.login()
    host.systemd1.job_result, host.systemd1.start_result = "failed", "failed"
    process = host.start_verb("apply")
    try:
        while "is down since our restart" not in process.stderr.readline():
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    lines, status = dry_run(host)
    assert "would be started. ecs.service is down since our restart" in agent_line(lines)
    assert status == WOULD_CHANGE


def test_a_restart_that_was_in_vain(host):
    host.agent.ignores_file = True
    host.login()
    assert host.run_verb("apply", Restart_VerifySec="1s").returncode == FAILED
    lines, status = dry_run(host)
    assert "would not be restarted now. Restart held: the last one did not bring the credentials" in agent_line(lines)
    assert status == HELD


# --- options ---

def test_without_the_agent(host):
    """--no-restart: of the file alone; neither systemd nor Docker is asked."""
    host.login()
    lines, status = dry_run(host, "--no-restart")
    assert lines == [f"{REGISTRY}: would be added, from {host.credentials.path}"]
    assert status == WOULD_CHANGE
    assert not host.engine.requests and not host.systemd1.calls
    assert host.run_verb("apply", "--no-restart").returncode == 0
    assert dry_run(host, "--no-restart") == ([f"{REGISTRY}: would be kept, from {host.credentials.path}"], UNCHANGED)


@pytest.mark.parametrize("verb", ["run", "render", "check", "status"])
def test_it_belongs_to_apply(host, verb):
    result = host.run_verb(verb, "--dry-run")
    assert result.returncode == 2 and "--dry-run belongs to apply" in result.stderr


# --- beside the service ---

def test_beside_the_service(host):
    """It takes no lock that the service needs, and the service sees nothing of it."""
    host.run_live()
    host.wait_idle()
    said = len(host.daemon.lines())
    lines, status = dry_run(host)
    assert "runs with the credentials of 1 registry" in agent_line(lines) and status == UNCHANGED
    host.look_again()
    assert len(host.daemon.lines()) == said


# --- helpers ---

@pytest.fixture(name="helper")
def make_helper(host):
    if os.geteuid() != 0:
        pytest.skip("only root can put a program where helpers are looked for")
    helper = MintingHelper(host.directory)
    host.settings["Credentials.HelperEnvironment"] = f"MINT={helper.directory}"
    host.credentials.replace(json.dumps({"auths": {}, "credHelpers": {REGISTRY: helper.name}}))
    yield helper
    helper.remove()


def test_a_helper_is_asked_and_its_answer_not_kept(host, helper):
    lines, status = dry_run(host)
    assert lines[0] == f"{REGISTRY}: would be added, from {host.credentials.path} and docker-credential-{helper.name}"
    assert status == WOULD_CHANGE and len(helper.calls()) == 1
    assert helper.login(REGISTRY)[1] not in "\n".join(lines) + host.stderr

    host.expected[REGISTRY] = None
    apply(host)
    host.expected = {REGISTRY: helper.login(REGISTRY)}
    assert host.written() == host.expected
    lines, _ = dry_run(host)  # each time it is asked, as apply does, it has another token
    assert lines[0].startswith(f"{REGISTRY}: would be changed, from ")
    assert len(helper.calls()) == 3 and host.written() == host.expected


def test_a_helper_that_fails(host, helper):
    apply(host)
    helper.does("fail", REGISTRY)
    lines, status = dry_run(host)
    assert lines[0] == f"{REGISTRY}: would be kept, as it stands in {host.environment_file}"
    assert f"docker-credential-{helper.name}: it failed" in host.stderr and status == FAILED
    assert "would be left as it is" in agent_line(lines)


def test_two_readers_of_one_name(host):
    """One entry for a registry, whatever its key: what stands there for it is compared with what would."""
    host.credentials.replace(json.dumps({"auths": {f"https://{REGISTRY}/v1/": {"auth": encode(USER, "new")}}}))
    host.environment_file.write_text("ECS_ENGINE_AUTH_TYPE=dockercfg\n"
                                     f'ECS_ENGINE_AUTH_DATA={{"{REGISTRY}":{{"auth":"{encode(USER, "old")}"}}}}\n')
    lines, status = dry_run(host, "--no-restart")
    assert lines == [f"{REGISTRY}: would be changed, from {host.credentials.path}"]
    assert status == WOULD_CHANGE
