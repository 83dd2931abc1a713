# SPDX-License-Identifier: Apache-2.0
"""The fix that a message names, followed to the letter, removes the message. tests/fixes.py lists the messages."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from bus_host import REGISTRY
from standin.credential_file import encode
from standin.daemon import Daemon
from standin.docker_engine import DockerEngine
from standin.wait import wait_for
from test_check_json import ALICE, find_beside
from test_verify import make_liar  # noqa: F401

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def shell(command):
    """Runs a fix as it is printed; the sandbox has no other PATH and no other root directory."""
    return subprocess.run(["sh", "-ec", command], check=True, text=True, capture_output=True).stdout


def without_rights(*command):
    """As in the unit: root, without a right over the files of others."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]


def problems(host, *more, prefix=(), verb="apply", **settings):
    """The complaints of apply --no-restart, or of another verb."""
    more = more or (("--no-restart",) if verb == "apply" else ())
    said = subprocess.run([*prefix, *host.arguments(verb, *more, **settings)], env=host.environment(), check=False, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stderr
    return "".join(line for line in said.splitlines(True) if not re.search("^Wrote the credentials|nothing is restarted, as asked", line))


def findings(host, *more, prefix=(), **settings):
    """{text: fix} of check, without what is ok."""
    result = subprocess.run([*prefix, *host.arguments("check", "--json", *more, **settings)], env=host.environment(), check=False,
                            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return {f["text"]: f["cure"] for f in json.loads(result.stdout)["findings"] if f["verdict"] != "ok"}


def fix_of(host, said, *more, **settings):
    """The fix of the one finding with that text."""
    found = findings(host, *more, **settings)
    matching = [cure for text, cure in found.items() if re.search(said, text)]
    assert len(matching) == 1, found
    return matching[0]


def is_gone(host, said, *more, **settings):
    found = findings(host, *more, **settings)
    return not any(re.search(said, text) for text in found) or found


@contextlib.contextmanager
def mounted(*arguments):
    """mount ARGUMENTS, the last of which is the directory or file."""
    result = subprocess.run(["mount", *arguments], check=False, text=True, capture_output=True)
    if result.returncode != 0:
        pytest.skip(f"cannot mount here: {result.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", arguments[-1]], check=True)


@contextlib.contextmanager
def on_own_file_system(host, *options):
    """The directory of the environment file is a file system of its own."""
    directory = str(host.environment_file.parent)
    content = host.environment_file.read_text()
    with mounted("-t", "tmpfs", "-o", ",".join(["mode=755", *options]), "none", directory):
        host.environment_file.write_text(content)
        host.environment_file.chmod(0o600)
        yield directory


# --- files that others can change ---

def link_of_another_user(path):
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")
    os.chown(path, NOBODY, -1, follow_symlinks=False)


def directories_of_other_users(path):
    os.chown(path.parent, NOBODY, -1)
    os.chown(path.parent.parent, NOBODY - 1, -1)


@as_root
@pytest.mark.parametrize("how", [lambda p: os.chown(p, NOBODY, -1), directories_of_other_users, link_of_another_user,
                                 lambda p: p.chmod(0o666), lambda p: p.parent.chmod(0o777)],
                         ids=["owner", "owners of directories", "owner of a link", "mode", "mode of a directory"])
def test_a_file_that_others_can_change(sound, how):
    how(sound.credentials.path)
    for _ in range(3):
        found = re.search("is not read, since others can change it: .*; run '(.*?)'", problems(sound))
        if not found:
            break
        shell(found.group(1))
    assert not problems(sound)
    assert any("credentials from" in f["text"] for f in json.loads(sound.run_verb("check", "--json").stdout)["findings"])


@as_root
@pytest.mark.parametrize("of_directory", [False, True])
def test_a_link_that_another_user_may_change(sound, of_directory):
    """The user could have root read a file that the user may not read; its registries were in status.json."""
    home, mine = sound.directory / "home-of-nobody", sound.credentials.path
    home.mkdir()
    link = home / "link"
    link.symlink_to(mine.parent if of_directory else mine)
    for path in (home, link):
        os.chown(path, NOBODY, -1, follow_symlinks=False)
    file = link / mine.name if of_directory else link
    said = problems(sound, Credentials_File=file)
    assert f"user {NOBODY} may change leads to {mine}, which belongs to user 0; name that file itself" in said
    assert "without the link" not in problems(sound, Credentials_File=mine)

    # A file of the same user is read.
    own = home / "config.json"
    own.write_text(mine.read_text())
    own.chmod(0o600)
    link.unlink()
    link.symlink_to(home if of_directory else own)
    for path in (own, link):
        os.chown(path, NOBODY, -1, follow_symlinks=False)
    assert "leads to" not in problems(sound, Credentials_File=link / own.name if of_directory else link)


@as_root
def test_strict_modes_turned_off(sound):
    """The other fix of the same message; what check says of the file then has a fix of its own."""
    sound.credentials.path.chmod(0o666)
    assert "see StrictModes= in ecs-authd.conf(5)" in problems(sound)
    assert "StrictModes" not in problems(sound, Credentials_StrictModes="no")
    said = r"can be written by others, who decide .*StrictModes=no"
    shell(fix_of(sound, said, Credentials_StrictModes="no"))
    assert is_gone(sound, said, Credentials_StrictModes="no") is True


def test_settings_that_others_can_change(sound):
    sound.config.chmod(0o666)
    said = problems(sound, "--settings", verb="check")
    shell(re.search("can be written by others; run '(.*)'", said).group(1))
    assert problems(sound, "--settings", verb="check") == ""


def test_files_that_everybody_can_read(sound):
    for path in (sound.directory, sound.credentials.path.parent, sound.credentials.path.parent.parent):
        path.chmod(0o755)
    for path in (sound.credentials.path, sound.environment_file):
        path.chmod(0o644)
        found = re.search(rf"{path}: everybody on this host can read .*; run '(.*)'", problems(sound))
        shell(found.group(1))
    assert problems(sound) == ""


# --- settings and arguments ---

@pytest.mark.parametrize("text", ["[Restart]\nRollback=yes\n", "[Restart]\nPendingSec=1s\nSettleSec=1s\n"])
def test_a_setting_of_before(host, text):
    host.config.write_text(text)
    line = int(re.search(r"conf:(\d+): there is no \w+= any more \(since 0.2.0\): remove it",
                         problems(host, "--settings", verb="check")).group(1))
    host.config.write_text("".join(l for n, l in enumerate(text.splitlines(True), 1) if n != line))
    assert problems(host, "--settings", verb="check") == ""


@pytest.mark.parametrize("section, name, value", [("Restart", "SetlteSec", "2s"), ("Agent", "unit", "x"), ("Restat", "SettleSec", "2s")])
def test_did_you_mean_for_a_setting(host, section, name, value):
    host.config.write_text(f"[{section}]\n{name}={value}\n")
    said = problems(host, "--settings", verb="check")
    meant = re.search(r"did you mean (?:\[(\w+)\])? ?(?:(\w+)=)?\?", said)
    host.config.write_text(f"[{meant.group(1) or section}]\n{meant.group(2) or name}={value}\n")
    assert problems(host, "--settings", verb="check") == ""


@pytest.mark.parametrize("arguments", [["stauts"], ["status", "--jsno"], ["check", "--setings"], ["rendr"]])
def test_did_you_mean_for_an_argument(host, arguments):
    def run():
        return subprocess.run([host.program, "--config", host.config, *arguments], env=host.environment(), check=False, text=True,
                              capture_output=True)

    wrong, meant = re.search("unknown .*: '(.*)'; did you mean '(.*)'", run().stderr).groups()
    arguments[arguments.index(wrong)] = meant
    assert run().returncode != 2, run().stderr


@pytest.mark.parametrize("arguments", [["check", "--reveal"], ["run", "--no-restart"], ["check", "--dry-run"],
                                       ["check", "--settings", "--login"], ["render", "--login"], ["render", "--json"],
                                       ["check", "--watch"], ["-o"], ["status", "--config"]])
def test_an_option_in_the_wrong_place(sound, arguments):
    """The verb that the message names takes it; a value that it asks for makes it whole."""
    said = problems(sound, *arguments[1:], verb=arguments[0])
    belongs = re.search(r"(--[\w-]+)(?: and --\w+)? belongs? to (\w+)", said)
    without = re.search(r"--settings goes without (--\w+) and --json", said)
    if belongs:
        option, verb = belongs.groups()
        arguments = [verb, option]
    elif without:
        arguments.remove(without.group(1))
    else:
        assert re.search("(-o|--config) needs a value", said)
        return
    result = sound.start_verb(*arguments)
    if "--watch" in arguments:
        result.kill()
    _, said = result.communicate(timeout=30)
    assert result.returncode != 2, said


# --- the environment file ---

@as_root
def test_not_as_root(sound):
    for directory in (sound.directory, *sound.environment_file.parents[:2], *sound.credentials.path.parents[:2]):
        directory.chmod(0o755)
    sound.environment_file.chmod(0o644)
    nobody = ["setpriv", f"--reuid={NOBODY}", "--clear-groups"]
    for file, verb in ((sound.credentials.path, "render"), (sound.environment_file, "apply")):
        assert re.search(f"{file}: .*Permission denied.*Run this as root", problems(sound, prefix=nobody, verb=verb))
        assert "Run this as root" not in problems(sound, verb=verb)
        sound.environment_file.chmod(0o600)
    assert fix_of(sound, "this is not root", prefix=nobody) == "sudo ecs-authd check"
    assert is_gone(sound, "this is not root") is True
    # Nor may he write there.
    sound.environment_file.chmod(0o644)
    assert fix_of(sound, "ecs cannot be written to", prefix=nobody) == "run this as root"
    assert is_gone(sound, "ecs cannot be written to") is True
    # Nor ask the engine.
    assert fix_of(sound, "Docker Engine does not answer.*Permission denied", prefix=nobody) == "sudo ecs-authd check"


@as_root
@pytest.mark.parametrize("of", [lambda f: f, lambda f: f.parent], ids=["file", "directory"])
def test_an_environment_file_of_another_owner(sound, of):
    path = of(sound.environment_file)
    sound.login()
    os.chown(path, 1234, 5678)
    said = problems(sound, prefix=without_rights())
    assert re.search(r"It has another owner or group than|Its directory has another owner than", said)
    assert "make it root:root (chown), or give the service that right" in said, said
    shell(f"chown root:root {path}")
    assert problems(sound, prefix=without_rights()) == ""


@as_root
def test_an_environment_file_that_its_owner_may_not_read(sound):
    sound.environment_file.chmod(0)
    sound.login()
    said = problems(sound, prefix=without_rights())
    assert "Its mode denies that to its owner: chmod u+rw" in said, said
    shell(f"chmod u+rw {sound.environment_file}")
    assert problems(sound, prefix=without_rights()) == ""


@as_root
def test_a_directory_that_its_owner_may_not_write_to(sound):
    sound.login()
    sound.environment_file.parent.chmod(0o555)
    assert "The mode of its directory denies that to its owner: chmod u+rwx" in problems(sound, prefix=without_rights())
    shell(f"chmod u+rwx {sound.environment_file.parent}")
    assert problems(sound, prefix=without_rights()) == ""


@as_root
def test_a_directory_that_is_closed_to_root(sound):
    """The owner of one on the way has closed it."""
    closed = sound.directory / "closed"
    (closed / "ecs").mkdir(parents=True)
    file = shutil.copy2(sound.environment_file, closed / "ecs")
    closed.chmod(0o700)
    os.chown(closed, 1234, -1)
    said = problems(sound, prefix=without_rights(), Agent_EnvironmentFile=file)
    assert "Look at the owners and modes of its directories (namei -l): each has to be open to root" in said
    assert re.search("drwx------ +1234 .* closed", shell(f"namei -l {file}"))
    os.chown(closed, 0, -1)
    assert problems(sound, prefix=without_rights(), Agent_EnvironmentFile=file) == ""


@as_root
@pytest.mark.parametrize("of", [lambda f: f, lambda f: f.parent], ids=["file", "directory"])
def test_what_is_immutable(sound, of):
    path = of(sound.environment_file)
    try:
        shell(f"chattr +i {path}")
    except subprocess.CalledProcessError as e:
        pytest.skip(e.stderr)
    try:
        sound.login()
        said = problems(sound)
        assert re.search(r"lsattr -d.*chattr -i", said), said
        assert re.search("^-*i", shell(f"lsattr -d {path}"))
        if path.is_dir():
            assert fix_of(sound, "cannot be written to: Operation not permitted") == f"chattr -i {path}"
    finally:
        shell(f"chattr -i {path}")
    assert problems(sound) == ""
    assert is_gone(sound, "cannot be written to") is True


@as_root
def test_a_full_file_system(sound):
    with on_own_file_system(sound, "size=64k") as directory:
        filler = Path(directory, "filler")
        with contextlib.suppress(OSError):
            filler.write_bytes(b"x" * 65536)
        sound.login()
        assert re.search(r"Make room on its file system \(df\)", problems(sound))
        fix = fix_of(sound, "is on a file system that is full")
        assert fix == f"make room: df {directory}" and "100%" in shell(fix.removeprefix("make room: "))
        filler.unlink()
        assert problems(sound) == ""
        shell(f"mount -o remount,size=4m {directory}")  # check warns below 1 MB
        assert is_gone(sound, "full") is True


@as_root
@pytest.mark.parametrize("below", [False, True], ids=["the mount itself", "a directory below it"])
def test_a_read_only_file_system(sound, below):
    """On most hosts /etc/ecs is no mount: the file system is that of /."""
    with on_own_file_system(sound) as directory:
        file = sound.environment_file
        if below:
            Path(directory, "ecs").mkdir()
            file = shutil.move(file, Path(directory, "ecs"))
        shell(f"mount -o remount,ro {directory}")
        sound.login()
        assert "Its file system is read-only" in problems(sound, Agent_EnvironmentFile=file)
        shell(fix_of(sound, "is on a read-only file system", Agent_EnvironmentFile=file))
        assert problems(sound, Agent_EnvironmentFile=file) == ""
        assert is_gone(sound, "read-only", Agent_EnvironmentFile=file) is True


@as_root
def test_a_file_that_is_a_mount_point(sound):
    file = sound.environment_file
    source = sound.directory / "elsewhere"
    source.mkdir()
    shutil.copy2(file, source)
    with mounted("--bind", str(source / file.name), str(file)):
        sound.login()
        assert "The file itself is a mount point: mount its directory instead" in problems(sound)
    with mounted("--bind", str(source), str(file.parent)):
        assert problems(sound) == ""


@pytest.mark.parametrize("break_it, said", [
    (lambda f: (f.unlink(), f.parent.rmdir()), r"Its directory does not exist: install the ECS agent, or set \[Agent\] EnvironmentFile="),
    (lambda f: (f.unlink(), f.mkdir()), r"It has to be a regular file: set \[Agent\] EnvironmentFile="),
    (lambda f: os.truncate(f, 1 << 30), r"No environment file is that long: set \[Agent\] EnvironmentFile="),
], ids=["no directory", "no file", "long"])
def test_another_environment_file(sound, break_it, said):
    right = shutil.copy2(sound.environment_file, sound.directory / "right")
    break_it(sound.environment_file)
    assert re.search(said, problems(sound))
    assert problems(sound, Agent_EnvironmentFile=right) == ""


def test_the_agents_directory(sound):
    """What the ECS agent's package makes."""
    file = sound.environment_file
    file.unlink()
    file.parent.rmdir()
    assert fix_of(sound, f"{file.parent} does not exist") == \
        "install the ECS agent, or set [Agent] EnvironmentFile= in /etc/ecs-authd.conf"
    file.parent.mkdir(mode=0o755)
    assert is_gone(sound, f"{file.parent} does not exist") is True
    assert problems(sound) == ""


@pytest.mark.parametrize("logged_in", [True, False])
def test_no_environment_file_yet(sound, logged_in):
    """Without a login there is nothing to write: apply does not make the file, and it is no problem."""
    if not logged_in:
        sound.logout()
    sound.environment_file.unlink()
    if logged_in:
        fix = fix_of(sound, "does not exist yet")
        assert fix == "systemctl start ecs-authd, or: ecs-authd apply --no-restart"
        assert sound.run_verb("apply", "--no-restart").returncode == 0
    assert is_gone(sound, "does not exist yet") is True


def test_a_lock_that_another_process_holds(sound):
    path = sound.directory / "state" / "environment.lock"
    with subprocess.Popen(["sleep", "100"], stdin=open(path, "rb")) as holder:  # its descriptor has the lock
        with open(f"/proc/{holder.pid}/fd/0", "rb"):
            pass
        fd = os.open(path, os.O_RDWR)
        locker = subprocess.Popen(["flock", path, "sleep", "100"], start_new_session=True)
        os.close(fd)
        holder.kill()
        try:
            wait_for(lambda: subprocess.run(["flock", "--nonblock", path, "true"], check=False).returncode, 5, "it is locked")
            sound.login()
            said = problems(sound)
            found = re.search(r"another ecs-authd has been writing it for 20 s.* See who holds (\S+) \((fuser -v)\)", said)
            result = subprocess.run(f"{found.group(2)} {found.group(1)}", shell=True, check=True, text=True, capture_output=True)
            assert str(locker.pid) in result.stdout.split()
        finally:
            os.killpg(locker.pid, 9)
            locker.wait()
    assert problems(sound) == ""


# --- credential files ---

def test_a_later_file_that_is_broken(sound):
    later = sound.directory / "later.json"
    later.write_text("{")
    sound.config.write_text(f"[Credentials]\nFile={sound.credentials.path}\nFile={later}\n")
    sound.login()
    del sound.settings["Credentials.File"]
    assert "Mend that file, or take it out of [Credentials] File=" in problems(sound)
    text = sound.config.read_text()
    sound.config.write_text(text.replace(f"File={later}\n", ""))
    assert problems(sound) == ""
    sound.config.write_text(text)
    later.write_text("{}")
    later.chmod(0o600)
    assert problems(sound) == ""


def test_a_line_that_is_too_long(sound):
    """Of the heaviest Docker's CLI logs out."""
    entries = {name: {"auth": encode("user", name[0] * 60000)} for name in ("a.example", "b.example", "c.example")}
    sound.credentials.replace(json.dumps({"auths": {REGISTRY: {"auth": encode("u", "p")}, **entries}}))
    said = problems(sound)
    heaviest = re.search("Log out of registries that this host does not pull from; the heaviest come first: ([^,]*)", said).group(1)
    assert heaviest in entries
    for name in sorted(entries, key=lambda name: name != heaviest)[:2]:
        shell(f"docker --config {sound.credentials.path.parent} logout {name}")
    assert problems(sound) == ""


@pytest.mark.parametrize("break_it, said, right", [
    (lambda p: p.unlink(), r"there is no such file. Run 'docker login', or set \[Credentials\] File=", "right"),
    (lambda p: (p.unlink(), p.mkdir()), "It has to be a regular file", "right"),
    (lambda p: os.truncate(p, 5 << 20), "No credential file is that long", "right"),
])
def test_another_credential_file(sound, break_it, said, right):
    right = shutil.copy2(sound.credentials.path, sound.directory / right)
    break_it(sound.credentials.path)
    assert re.search(said, problems(sound))
    assert problems(sound, Credentials_File=right) == ""


@as_root
def test_a_credential_file_that_the_service_may_not_read(sound):
    """Its owner and mode, and those of its directories, show it."""
    sound.credentials.path.chmod(0)
    assert "Look at its owner and mode, and at those of its directories (namei -l)" in problems(sound, prefix=without_rights())
    assert f"---------- root root {sound.credentials.path.name}" in re.sub(" +", " ", shell(f"namei -l {sound.credentials.path}"))
    sound.credentials.path.chmod(0o600)
    assert problems(sound, prefix=without_rights()) == ""


# --- check: the agent ---

def test_credentials_of_check(sound):
    sound.login()
    sound.credentials.path.chmod(0o600)
    fix = fix_of(sound, "ecs.config has other credentials")
    assert fix == "systemctl start ecs-authd, or: ecs-authd apply --no-restart"
    assert sound.run_verb("apply", "--no-restart").returncode == 0
    assert is_gone(sound, "ecs.config has other credentials") is True

    assert fix_of(sound, "ecs-agent runs with other credentials .*Method=none", Restart_Method="none") == "restart the agent"
    sound.agent.restart()
    assert is_gone(sound, "ecs-agent runs with other credentials", Restart_Method="none") is True


def test_an_agent_that_keeps_no_checkpoint(sound):
    """The line is in a file that the agent reads at its start."""
    with open(sound.environment_file, "a", encoding="utf-8") as f:
        f.write("ECS_CHECKPOINT=false\n")
    sound.agent.restart()
    fix = fix_of(sound, "ECS_CHECKPOINT=false")
    assert fix == "remove ECS_CHECKPOINT=false, and restart the agent"
    shell(f"sed -i /^ECS_CHECKPOINT=false$/d {sound.environment_file}")
    sound.agent.restart()
    assert is_gone(sound, "ECS_CHECKPOINT=false") is True


def test_a_cluster_that_is_not_the_one_it_is_registered_in(sound):
    shell(f"sed -i s/^ECS_CLUSTER=.*/ECS_CLUSTER=other/ {sound.environment_file}")
    line = re.search(r"set (ECS_CLUSTER=\S+) there", fix_of(sound, "its next start ends with status 5")).group(1)
    shell(f"sed -i s/^ECS_CLUSTER=.*/{line}/ {sound.environment_file}")
    assert is_gone(sound, "its next start ends with status 5") is True


def test_docker_does_not_answer(sound):
    """Each error has its own fix."""
    said = "the Docker Engine does not answer"
    assert fix_of(sound, said, Agent_DockerSocket="/nonexistent") == "systemctl start docker, or set [Agent] DockerSocket="
    assert is_gone(sound, said) is True
    assert fix_of(sound, said, Agent_DockerSocket=sound.bus.address.split("=")[1].split(",")[0]) == \
        "set [Agent] DockerSocket= to the socket of the Docker Engine"


def test_docker_hangs(sound):
    """Until an operator restarts it."""
    sound.login()
    daemon = sound.run()
    sound.wait_live()
    sound.engine.misbehaves = "hangs"
    sound.login()
    daemon.wait_said(r"cannot be asked at .* \(it does not answer: see journalctl -u docker\)", seconds=30)
    said = "the Docker Engine does not answer"
    assert fix_of(sound, said) == "journalctl -u docker; then: systemctl restart docker"
    sound.engine.recover()
    sound.wait_live(seconds=30)
    assert is_gone(sound, said) is True


@pytest.mark.parametrize("answer, said", [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", r"its answer is not Docker's: is DockerSocket= right\?"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"[" * 99999999, r"its answer is longer than any of Docker's: is DockerSocket= right\?"),
], ids=["another", "endless"])
def test_another_socket_for_the_service(host, answer, said):
    """It is that of another program."""
    other = DockerEngine(host.directory / "other.sock")
    other.start()
    try:
        other.misbehaves = answer
        del host.settings["Agent.DockerSocket"]
        host.config.write_text(f"[Agent]\nDockerSocket={other.socket}\n")
        host.login()
        daemon = host.run()
        daemon.wait_said(said)
        host.config.write_text(f"[Agent]\nDockerSocket={host.engine.socket}\n")
        daemon.hang_up()
        host.wait_live(seconds=30)
    finally:
        other.stop()


def test_a_port_that_another_user_holds(sound, liar):
    """The command shows who it is."""
    daemon = sound.run()
    line = daemon.wait_said(r"Find the process, and end it: (ss -ltnp 'sport = :\d+')")
    for command in (re.search("end it: (.*)", line.text).group(1),
                    fix_of(sound, "is held by user").removesuffix(" shows the process; end it")):
        assert f"pid={liar.pid}," in shell(command)
    os.kill(liar.pid, signal.SIGTERM)
    liar.wait()
    sound.agent.answers = True
    sound.wait_live()
    assert is_gone(sound, "is held by user") is True


@pytest.mark.parametrize("method, fix", [("systemd", "systemctl restart ecs.service"), ("docker", "docker start ecs-agent"),
                                         ("upstart", "start ecs"), ("none", "start the agent")])
def test_an_agent_that_does_not_run(sound, method, fix):
    """Of systemd a unit that is active, and so has to be restarted; elsewhere there is no unit."""
    sound.agent.stop()
    assert fix_of(sound, "container ecs-agent does not run", Restart_Method=method) == fix
    sound.engine.containers["ecs-agent"]["State"]["Running"] = True
    assert is_gone(sound, "container ecs-agent does not run", Restart_Method=method) is True


def test_an_agent_that_does_not_exist(sound):
    sound.engine.remove("ecs-agent")
    assert fix_of(sound, "container ecs-agent does not exist", Restart_Method="docker") == \
        "start the agent, or set [Agent] Container= to the name of its container"
    sound.agent.restart()
    assert is_gone(sound, "container ecs-agent does not exist", Restart_Method="docker") is True


def test_a_unit_of_another_name(sound):
    fix = fix_of(sound, "there is no unit amazon-ecs.service", Restart_Unit="amazon-ecs.service")
    assert re.search(r"set \[Restart\] Unit= .*, or Method=docker", fix)
    assert is_gone(sound, "there is no unit", Restart_Unit="ecs.service") is True
    assert is_gone(sound, "there is no unit", Restart_Unit="amazon-ecs.service", Restart_Method="docker") is True


@as_root
def test_a_login_of_another_user(host):
    fix = find_beside(host, f"put {ALICE}")[0]["cure"]
    path = re.search(r"add the line File=(\S+) to \[Credentials\]", fix).group(1)
    assert not find_beside(host, f"put {ALICE}", Credentials_File=path)


def test_a_unit_that_reads_another_file(sound):
    other = shutil.copy2(sound.environment_file, sound.directory / "etc" / "other")
    sound.systemd1.environment_files = [other]
    sound.systemd1.disconnect()
    sound.systemd1.connect()
    assert fix_of(sound, "reads other environment files") == "set [Agent] EnvironmentFile= to the one that it reads"
    assert is_gone(sound, "reads other environment files", Agent_EnvironmentFile=other) is True


def test_a_host_without_systemd(sound):
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    sound.systemd1.disconnect()
    assert fix_of(sound, "systemd does not run here") == "set [Restart] Method= to upstart, docker or none (ecs-authd.conf(5))"
    for method in ("upstart", "docker", "none"):
        assert is_gone(sound, "systemd does not run here", Restart_Method=method) is True


@as_root
def test_watches_of_inotify(sound):
    """The limit is each user's own: another user has reached his. A limit that is high already is raised, not lowered."""
    user = 54321
    take = ("import ctypes, sys; libc = ctypes.CDLL(None)\nwhile libc.inotify_init1(0) >= 0: pass\nprint('taken', flush=True)\n"
            "sys.stdin.read()")
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    before = limit.read_text()
    for directory in (sound.directory, *sound.environment_file.parents[:2], *sound.credentials.path.parents[:2]):
        directory.chmod(0o755)
    prefix = ["setpriv", f"--reuid={user}", "--clear-groups"]
    with subprocess.Popen([*prefix, "/usr/bin/python3", "-c", take], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as taker:
        try:
            assert taker.stdout.readline() == "taken\n"
            daemon = Daemon([*prefix, *sound.arguments("run")], sound.environment(), sound.directory / "log-of-user")
            sound.daemons.append(daemon)
            daemon.wait_said(r"cannot be watched: .* \(sysctl fs.inotify.max_user_instances\)")
            fix = fix_of(sound, "files cannot be watched", prefix=prefix)
            command, number = re.match(r"(sysctl -w fs.inotify.max_user_instances=(\d+)), and the same in /etc/sysctl.d/$", fix).groups()
            assert int(number) > int(before)
            try:
                shell(command)
            except subprocess.CalledProcessError as e:
                pytest.skip(f"cannot set a limit here: {e.stderr}")
            assert is_gone(sound, "files cannot be watched", prefix=prefix) is True
            daemon.hang_up()
            daemon.wait_said("^Watching ")
        finally:
            with contextlib.suppress(OSError):
                limit.write_text(before)
            taker.kill()


# --- the service ---

def test_first_login(host):
    """And the one for check."""
    daemon = host.run()
    daemon.wait_said("Waiting for the first docker login, which makes")
    assert fix_of(host, "no registry has credentials") == "docker login REGISTRY"
    host.login()
    host.wait_live()
    assert is_gone(host, "no registry has credentials") is True


def test_credentials_that_only_the_agent_has_left(host):
    daemon = host.run_live()
    host.credentials.path.unlink()
    daemon.wait_said("there is no such file")
    host.environment_file.write_text("ECS_CLUSTER=demo\n")
    daemon.wait_said("Restart held: there is no credential file.* Run docker login, which makes")
    since = daemon.mark()
    host.login()
    host.wait_live()
    assert not daemon.said("held", since)


def test_a_unit_that_does_not_read_the_file(host):
    """It is mended, and a reload tries again."""
    host.agent.ignores_file = True
    host.login()
    daemon = host.run(Restart_VerifySec="1s")
    assert "'systemctl reload ecs-authd' tries again" in daemon.wait_said("Restart held: the last one did not bring").text
    host.agent.ignores_file = False
    daemon.hang_up()
    host.wait_live(seconds=30)


def test_the_service_with_a_unit_of_another_name(host):
    host.config.write_text("[Restart]\nUnit=amazon-ecs.service\n")
    host.login()
    daemon = host.run()
    daemon.wait_said(r"Restart held: there is no unit amazon-ecs.service; install the ECS agent, or set \[Restart\] Unit=")
    host.config.write_text("[Restart]\nUnit=ecs.service\n")
    daemon.hang_up()
    host.wait_live()


def test_unsaved_state_never(host):
    host.agent.datadir = None
    host.agent.restart()
    host.login()
    daemon = host.run(Restart_UnsavedState="never")
    said = daemon.wait_said("Restart held by UnsavedState=never").text
    assert said.endswith("When its tasks may be lost: ecs-authd apply -o Restart.UnsavedState=force")
    assert host.run_verb("apply", Restart_UnsavedState="force").returncode == 0
    host.wait_live()


@pytest.mark.parametrize("break_it, mend_it, said", [
    (lambda a: setattr(a, "datadir", None), lambda a: setattr(a, "datadir", "/data"),
     "ECS_DATADIR is not set: set ECS_DATADIR=/data and mount a directory there"),
    (lambda a: setattr(a, "mounts", []), lambda a: setattr(a, "mounts", ["/data"]),
     "ECS_DATADIR is not on a mount of the container: mount a directory of the host there"),
    (lambda a: a.environment_file.write_text("ECS_CHECKPOINT=false\n"), lambda a: a.environment_file.write_text(""),
     "ECS_CHECKPOINT=false: remove that line"),
], ids=["ECS_DATADIR", "mount", "ECS_CHECKPOINT"])
def test_a_restart_that_is_held_for_tasks(host, break_it, mend_it, said):
    """With its state kept, the agent's next restart is not held."""
    break_it(host.agent)
    host.agent.restart()
    host.agent.tasks = ["RUNNING"]
    host.login()
    daemon = host.run()
    assert said in daemon.wait_said("Restart held: 1 task has not ended").text
    mend_it(host.agent)
    host.agent.restart()
    since = daemon.mark()
    host.login()
    host.wait_live(seconds=20)
    assert not daemon.said("Restart held", since)


def test_tasks_that_the_agent_does_not_tell(host):
    host.agent.datadir = None
    host.agent.restart()
    host.agent.pages["/v1/tasks"] = b"<html>"
    host.login()
    daemon = host.run()
    daemon.wait_said("Restart held: the agent does not keep its state .*: set ECS_DATADIR=/data and mount a directory there.*which tasks")
    host.agent.datadir = "/data"
    host.agent.restart()
    host.wait_live(seconds=20)


@as_root
@pytest.mark.parametrize("how", ["others can write there", "full"])
def test_a_restart_that_cannot_be_recorded(host, how):
    state = host.directory / "state"
    state.mkdir(0o700)
    with contextlib.ExitStack() as stack:
        if how == "full":
            stack.enter_context(mounted("-t", "tmpfs", "-o", "mode=700,size=64k", "none", str(state)))
            filler = state / "filler"
            with contextlib.suppress(OSError):
                filler.write_bytes(b"x" * 65536)
        else:
            state.chmod(0o777)
        host.login()
        daemon = host.run()
        said = daemon.wait_said("Restart held: it cannot be written down").text
        fix = re.search(r"Make room there \(df (\S+)\), or, if others can write there: (chmod go-w \S+)$", said)
        if how == "full":
            assert "100%" in shell(f"df {fix.group(1)}")
            filler.unlink()
        else:
            shell(fix.group(2))
        daemon.hang_up()  # it is tried again in half a minute at the latest
        host.wait_live(seconds=45)
        if daemon.runs():
            daemon.stop()


def test_no_container(host):
    daemon = host.run_live(Restart_VerifySec="1s")
    host.agent.stop()
    said = daemon.wait_said("container ecs-agent does not run, for a while", seconds=20).text
    assert "See journalctl -u ecs.service and docker logs ecs-agent; then restart ecs.service" in said
    host.agent.restart()
    host.wait_live()


def test_an_agent_that_exits_again_and_again(host):
    """Its unit stays active, as ecs-init does: the reason is in the agent's log, and a restart of the unit is no fix."""
    daemon = host.run_live(Restart_VerifySec="3s")
    host.agent.answers = False
    host.agent.stop(exit_status=1)
    host.wait_status("ended with status 1, 1 time, and is started again")
    host.agent.restart()
    host.look_again()
    host.agent.stop(exit_status=1)
    host.wait_status("ended with status 1, 2 times")
    said = daemon.wait_said("ended with status 1, 2 times.* The credentials are not the cause", seconds=20).text
    assert said.endswith("See journalctl -u ecs.service and docker logs ecs-agent")
    assert host.status()["state"] == "silent"
    assert fix_of(host, "container ecs-agent ended with status 1") == "docker logs ecs-agent"
    host.agent.answers = True
    host.agent.restart()
    host.wait_live()
    assert is_gone(host, "ended with status") is True


def wait_metrics(host):
    host.login()
    wait_for(lambda: (host.directory / "metrics" / "ecs-authd.prom").exists() and not host.status()["metrics_error"], 20,
             "the metrics are written", host.seen)


@as_root
def test_metrics_on_a_full_file_system(host):
    directory = host.directory / "metrics"
    directory.mkdir()
    with mounted("-t", "tmpfs", "-o", "mode=755,size=64k", "none", str(directory)):
        filler = directory / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(b"x" * 65536)
        daemon = host.run_live(Status_MetricsFile=directory / "ecs-authd.prom")
        assert daemon.wait_said("ecs-authd.prom: cannot be written: No space").text.endswith("; make room on its file system (df)")
        assert "100%" in shell(f"df {directory}")
        filler.unlink()
        wait_metrics(host)
        daemon.stop()


def test_metrics_without_a_directory(host):
    daemon = host.run_live(Status_MetricsFile=host.directory / "metrics" / "ecs-authd.prom")
    said = daemon.wait_said("ecs-authd.prom: cannot be written: No such file or directory").text
    assert said.endswith("; its directory has to exist, and to be in ReadWritePaths= of the unit")
    (host.directory / "metrics").mkdir()
    wait_metrics(host)


def test_status_without_a_service(host):
    """apply needs none."""
    said = problems(host, verb="status")
    assert "systemctl status ecs-authd tells more; 'ecs-authd apply' needs no service" in said
    host.login()
    assert host.run_verb("apply").returncode == 0
