# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, and exit statuses that scripts rely on."""

import fcntl
import json
import os
import pty
import signal
import subprocess

import pytest
from bus_host import ECS_AUTHD, OTHERS, REGISTRY


def command(*arguments):
    return subprocess.run([str(ECS_AUTHD), *arguments], check=False, text=True, capture_output=True, timeout=10,
                          stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option):
    result = command(option)
    assert result.returncode == 0 and result.stderr == ""
    for word in ("run", "apply", "render", "--config", "-o", "--no-restart", "--dry-run", "--reveal", "--version", "78"):
        assert word in result.stdout


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option):
    result = command(option)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("ecs-authd ") and any(c.isdigit() for c in result.stdout)


@pytest.mark.parametrize("arguments", [
    [], ["frobnicate"], ["run", "away"], ["--frobnicate", "run"], ["--config"], ["-o"], ["run", "--no-restart"],
    ["apply", "--reveal"],
])
def test_usage(arguments):
    result = command(*arguments)
    assert result.returncode == 2
    assert result.stdout == "" and "ecs-authd" in result.stderr


def test_help():
    assert command("help").stdout == command("--help").stdout == command("-h").stdout != ""


@pytest.mark.parametrize("arguments, said", [
    (["stauts"], "unknown verb: 'stauts'; did you mean 'status'?"),
    (["Check"], "unknown verb: 'Check'; did you mean 'check'?"),
    (["frobnicate"], "unknown verb: 'frobnicate'"),
    (["run", "away"], "unexpected argument: 'away'"),
    (["status", "--jsno"], "unknown option: '--jsno'; did you mean '--json'?"),
    (["--confg=/s3cret", "status"], "unknown option: '--confg'; did you mean '--config'?"),
    (["--norestart", "apply"], "unknown option: '--norestart'; did you mean '--no-restart'?"),
    (["--frobnicate"], "unknown option: '--frobnicate'"),
    (["--" + "x" * 100 + "=s3cret"], "unknown option: '--" + "x" * 63 + "'"),
    (["--=s3cret"], "unknown option: '--'"),
    (["--json", "-xy"], "unknown option: '-x'"),
    (["--json=s3cret", "status"], "--json takes no value"),
    (["--help=s3cret"], "--help takes no value"),
    (["--jso=s3cret", "status"], "--json takes no value"),  # getopt takes what is short of one
    (["status", "--config"], "--config needs a value"),
    (["render", "-o"], "-o needs a value: Section.Key=VALUE"),
])
def test_what_is_wrong_with_the_command_line(arguments, said):
    result = command(*arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == f"ecs-authd: {said}\nTry 'ecs-authd --help'.\n"


@pytest.mark.parametrize("arguments", [["render", "--rev"], ["render", "--revea"], ["--ver"], ["--conf", "/x", "status"], ["--conf=/x", "status"]])
def test_no_option_may_be_shortened(arguments):
    """A new option would change the meaning of the short form, and --rev prints secrets."""
    result = command(*arguments)
    assert result.returncode == 2 and result.stdout == "" and "unknown option: '--" in result.stderr


@pytest.mark.parametrize("verb", ["run", "apply", "render"])
@pytest.mark.parametrize("text, where", [
    ("[Agent]\nContainer=a\nContaner=b\n", ":3: "),
    ("[Restart]\nSettleSec=5 apples\n", ":2: "),
    ("[Restart\n", ":1: "),
])
def test_bad_settings(host, verb, text, where):
    host.config.write_text(text)
    result = host.run_verb(verb, timeout=5)
    assert result.returncode == 78
    assert f"{host.config}{where}" in result.stderr


def test_bad_settings_in_a_drop_in(host):
    drop_in = host.config.with_name("ecs-authd.conf.d") / "10-mine.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("# mine\n[Agent]\nAuthType=best\n")
    result = host.run_verb("render")
    assert result.returncode == 78 and f"{drop_in}:3: " in result.stderr


def test_bad_option(host):
    result = host.run_verb("render", Agent_AuthType="best")
    assert result.returncode == 78 and "Agent.AuthType=best" in result.stderr


def test_settings_come_in_order(host):
    """The file, then the drop-ins by name, then -o."""
    host.login()
    host.config.with_name("ecs-authd.conf.d").mkdir()
    for name, value in (("ecs-authd.conf", "docker"), ("ecs-authd.conf.d/10.conf", "dockercfg"),
                        ("ecs-authd.conf.d/20.conf", "docker")):
        (host.config.parent / name).write_text(f"[Agent]\nAuthType={value}\n")
    assert "AUTH_TYPE=docker\n" in host.run_verb("render").stdout
    assert "AUTH_TYPE=dockercfg\n" in host.run_verb("render", Agent_AuthType="dockercfg").stdout


# --- render ---

def test_render(host):
    password = host.login()
    result = host.run_verb("render")
    assert result.returncode == 0
    assert result.stderr == f"{REGISTRY}: from {host.credentials.path}\n"  # stdout is what would be written, and no more
    assert result.stdout == ("ECS_ENGINE_AUTH_TYPE=dockercfg\n"
                             f'ECS_ENGINE_AUTH_DATA={{"{REGISTRY}":{{"auth":"***"}}}}\n')
    assert password not in result.stdout
    assert host.environment_file.read_text() == OTHERS
    assert not host.systemd1.calls and not host.engine.requests


def test_render_reveal(host):
    host.login()
    result = host.run_verb("render", "--reveal")
    assert result.returncode == 0 and result.stdout == host.our_lines()


def test_render_of_broken_credentials(host):
    host.credentials.replace("{")
    result = host.run_verb("render")
    assert result.returncode == 1 and result.stdout == ""
    assert f"{host.credentials.path}:1:" in result.stderr


# --- apply ---

def test_apply(host):
    host.login()
    result = host.run_verb("apply")
    assert result.returncode == 0, result.stderr
    assert host.environment_file.read_text() == OTHERS + host.our_lines()
    assert host.agent.credentials() == host.expected
    assert host.restarts() == 1

    assert host.run_verb("apply").returncode == 0
    assert host.restarts() == 1


def test_apply_without_restart(host):
    host.login()
    result = host.run_verb("apply", "--no-restart")
    assert result.returncode == 0, result.stderr
    assert "is up to date; nothing is restarted" in result.stderr and "could not" not in result.stderr
    assert host.environment_file.read_text() == OTHERS + host.our_lines()
    assert host.restarts() == 0


@pytest.mark.parametrize("lock", ["digest.lock", "leases.lock"])
def test_apply_beside_a_lock_that_is_held(host, lock):
    """Another process may hang while it has the lock: nothing that needs no helper waits for it."""
    host.login()
    directory = host.directory / "state"
    directory.mkdir(mode=0o700, exist_ok=True)
    with open(directory / lock, "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = host.run_verb("apply", "--no-restart", timeout=8)
    assert result.returncode == 0, result.stderr
    assert host.written() == host.expected


def test_apply_without_restart_names_the_failure_first(host):
    host.login()
    host.credentials.replace("{")
    result = host.run_verb("apply", "--no-restart")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    failure, *_ = [n for n, line in enumerate(lines) if line.startswith(f"{host.credentials.path}:1:")]
    assert [n for n, line in enumerate(lines) if "could not be brought up to date" in line] == [failure + 1]


def test_apply_without_restart_needs_neither_systemd_nor_docker(host):
    host.login()
    host.systemd1.disconnect()
    host.bus.stop()
    host.engine.stop()
    result = host.run_verb("apply", "--no-restart")
    assert result.returncode == 0, result.stderr
    assert host.environment_file.read_text() == OTHERS + host.our_lines()


HELD = {
    "no bus": (lambda host: (host.systemd1.disconnect(), host.bus.stop()), "systemd cannot be reached"),
    "no engine": (lambda host: host.engine.stop(), "Docker Engine"),
    "tasks": (lambda host: host.engine.run_task(), "which a restart would lose"),
}


@pytest.mark.parametrize("why", HELD)
def test_apply_with_the_restart_held(host, why):
    prepare, reason = HELD[why]
    if why == "tasks":
        host.agent.datadir = None
        host.agent.restart()
    prepare(host)
    host.login()
    result = host.run_verb("apply")
    assert result.returncode == 3, result.stderr
    assert reason in result.stderr
    assert host.environment_file.read_text() == OTHERS + host.our_lines()
    assert host.restarts() == 0


NOT_RUNNING = {
    "inactive": (lambda host: host.systemd1.set_unit(ActiveState="inactive"), "is stopped; left alone"),
    "failed": (lambda host: host.systemd1.set_failed(), "has failed"),
    "not found": (lambda host: host.systemd1.set_unit(LoadState="not-found", ActiveState="inactive"), "no unit"),
}


@pytest.mark.parametrize("why", NOT_RUNNING)
def test_apply_where_the_agent_does_not_run(host, why):
    """As in user data: written is all that there is to do. It was 3."""
    prepare, reason = NOT_RUNNING[why]
    host.agent.stop()
    prepare(host)
    host.login()
    result = host.run_verb("apply")
    assert result.returncode == 0, result.stderr
    assert reason in result.stderr
    assert host.environment_file.read_text() == OTHERS + host.our_lines()
    assert (host.restarts(), host.starts()) == (0, 0)


FAILED = {
    "broken credentials": (lambda host: host.credentials.replace("{"), "config.json:1:"),
    "refused": (lambda host: setattr(host.systemd1, "refusal",
                                     ("org.freedesktop.DBus.Error.AccessDenied", "Not you.")), "Not you."),
    "without them": (lambda host: setattr(host.agent, "ignores_file", True), "did not bring the credentials"),
    "ecs.config in the way": (lambda host: (host.environment_file.unlink(), host.environment_file.mkdir()),
                              "ecs.config"),
}


@pytest.mark.parametrize("why", FAILED)
def test_apply_fails(host, why):
    prepare, reason = FAILED[why]
    host.login()
    prepare(host)
    result = host.run_verb("apply", Restart_VerifySec="1s")
    assert result.returncode == 1, result.stderr
    assert reason in result.stderr


def test_apply_starts_what_its_restart_took_down(host):
    host.login()
    host.systemd1.job_result = "failed"
    result = host.run_verb("apply", timeout=40)
    assert result.returncode == 0, result.stderr
    assert "is down since our restart" in result.stderr
    assert (host.restarts(), host.starts()) == (1, 1)
    host.wait_agent()


def test_apply_waits_for_no_registration(host):
    """User data with AWS unreachable: the agent has the credentials, or has no container yet."""
    host.login()
    host.agent.answers = False
    assert host.run_verb("apply", "--no-restart").returncode == 0
    host.agent.restart()
    for _ in range(2):
        result = host.run_verb("apply", timeout=20, Restart_VerifySec="1h")
        assert (result.returncode, host.restarts()) == (0, 0), result.stderr
        host.agent.stop()



def test_apply_is_interrupted(host):
    """It ends, and not with the status of a success."""
    host.login()
    host.agent.answers = False
    process = subprocess.Popen(host.arguments("apply", Restart_VerifySec="1h"), env=host.environment(),
                               stderr=subprocess.PIPE, text=True)
    try:
        while "done" not in process.stderr.readline():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(5) == 1
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_control_characters_in_names(host):
    """What another program wrote to ecs.config reaches neither the terminal nor the log as a control character."""
    host.login()
    entries = {name: {"username": "u", "password": "p"} for name in ("ev\u009b31mil.example.com", "\u202etxt.example.com")}
    host.environment_file.write_text(f"ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={json.dumps(entries, ensure_ascii=False)}\n")
    shown = [host.run_verb(*verb) for verb in (["render"], ["apply", "--dry-run"], ["check"], ["check", "--json"], ["apply"])]
    host.run().wait_said("runs with the credentials")
    shown += [host.run_verb("status"), host.run_verb("status", "--json")]
    text = "".join(result.stdout + result.stderr for result in shown) + host.daemon.log.read_text()
    assert "ev?31mil.example.com" in text and "?txt.example.com" in text
    assert not set(text) & {"\u009b", "\u202e", "\x1b"}


def test_run_on_a_terminal(host):
    """It says that it is the service, and which verb makes one pass."""
    ours, its = pty.openpty()
    with subprocess.Popen(host.arguments("run"), env=host.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=its, start_new_session=True) as process:
        os.close(its)
        assert os.read(ours, 4096).decode().startswith("This is the service, which runs until Ctrl-C;")
        process.terminate()
    os.close(ours)
    assert host.run_verb("apply").returncode == 0


def test_run_as_an_ordinary_user(host):
    """It says what it may lack. Somebody may run it on purpose, with settings of their own."""
    needs_root()
    with subprocess.Popen(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", str(ECS_AUTHD), "run", "-o",
                           f"Agent.DockerSocket={host.directory}/none"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, env={"STATE_DIRECTORY": "/nowhere", "RUNTIME_DIRECTORY": "/nowhere"}) as process:
        assert process.stderr.readline().startswith("This is not root: it may not read root's credential file")
        process.terminate()


def needs_root():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become an ordinary user")
