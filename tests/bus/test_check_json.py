# SPDX-License-Identifier: Apache-2.0
"""ecs-authd check --json, and what check finds left behind on a host: each with its id."""

import json
import os
import re
import shutil
import subprocess

import dbus
import pytest
from bus_host import REGISTRY, TOP
from standin.credential_file import encode

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

# What a person logs in with, who forgot sudo.
LOGIN = json.dumps({"auths": {"mine.example": {"auth": encode("alice", "pw")}}})


def parse(result):
    """The findings of one run; what stands around them is right."""
    assert not result.stderr, result.stderr
    answer = json.loads(result.stdout)
    assert list(answer) == ["schema", "ecs_authd", "counts", "findings"] and answer["schema"] == 1, answer
    findings = answer["findings"]
    for finding in findings:
        assert list(finding) == ["id", "verdict", "subject", "text", "cure"], finding
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", finding["id"]) and finding["text"]
    counts = {verdict: sum(f["verdict"] == verdict for f in findings) for verdict in ("ok", "warning", "problem")}
    assert answer["counts"] == counts and sum(counts.values()) == len(findings)
    assert result.returncode == (1 if counts["problem"] else 0)
    return findings


def find(host, *more, **settings):
    return parse(host.run_verb("check", "--json", *more, **settings))


def bad(findings):
    """{id: finding} of what is not ok."""
    return {f["id"]: f for f in findings if f["verdict"] != "ok"}


# --- the form ---

def test_a_sound_host(sound):
    findings = find(sound)
    assert not bad(findings)
    assert {"credential-file", "registry", "environment-file-credentials", "docker-engine", "agent-credentials", "agent-answers",
            "agent-keeps-state", "agent-unit", "service"} <= {f["id"] for f in findings}
    assert {"id": "registry", "verdict": "ok", "subject": REGISTRY, "cure": None,
            "text": f"{REGISTRY}: credentials from {sound.credentials.path}"} in findings
    assert sound.expected[REGISTRY][1] not in json.dumps(findings)


def test_the_same_as_for_people(sound):
    sound.environment_file.chmod(0o644)
    sound.systemd1.set_unit(LoadState="masked")
    findings = find(sound)
    found = bad(findings)
    assert found["environment-file-mode"] == {
        "id": "environment-file-mode", "verdict": "warning", "subject": str(sound.environment_file),
        "text": f"{sound.environment_file} can be read by others than its owner (mode 0644)",
        "cure": f"chmod 600 {sound.environment_file}"}
    assert found["agent-unit"]["verdict"] == "problem" and found["agent-unit"]["cure"] == "systemctl unmask ecs.service"
    lines = sound.run_verb("check").stdout
    assert re.findall(r"^(ok|warning|problem) +(.*)$", lines, re.M) == [(f["verdict"], f["text"]) for f in findings]


def test_text_from_elsewhere_is_json(sound):
    sound.credentials.replace('{"auths": {"a\\u0007\\"b.example": {"auth": "%%%"}}}')
    assert "a?\"b.example" in bad(find(sound))["credentials"]["text"]


def test_bad_settings_leave_stdout_empty(sound):
    result = sound.run_verb("check", "--json", Restart_Method="nonsense")
    assert result.returncode == 78 and not result.stdout and "nonsense" in result.stderr


def test_json_belongs_to_two_verbs(sound):
    result = sound.run_verb("apply", "--json")
    assert result.returncode == 2 and "--json belongs to status and check" in result.stderr


def test_a_full_disk_is_a_failure(sound):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run(sound.arguments("check", "--json"), env=sound.environment(), check=False, stdout=full)
    assert result.returncode == 1


# --- a login by another user ---

OTHERS = """
mount -t tmpfs -o mode=755 none /home && mount -t tmpfs -o mode=755 none /run && mount -t tmpfs -o mode=700 none /root || exit 99
[ ! -d /etc/docker ] || mount -t tmpfs -o mode=755 none /etc/docker || exit 99
put() { mkdir -p "$(dirname "$1")" && printf %s "$LOGIN" > "$1" && chmod 600 "$1"; }
mkdir /run/user && mkdir -m 700 /home/alice /home/bob /run/user/1234 /root/.docker
"""


def find_beside(host, files, *more, sudo_user=None, **settings):
    """With those files in the homes of others: a shell script, in a mount namespace of its own."""
    program = shutil.copy(host.program, host.directory / "program")  # it may be in a home itself
    script = OTHERS + files + '\nchown -R 1234:1234 /home/alice /run/user/1234 && chown -R 1235:1235 /home/bob; exec "$@"'
    variables = {**host.environment(), "LOGIN": LOGIN, **({"SUDO_USER": sudo_user} if sudo_user else {})}
    arguments = [program, *host.arguments("check", "--json", *more, **settings)[1:]]
    result = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *arguments], check=False, text=True, env=variables,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    if "unshare:" in result.stderr or result.returncode == 99:
        pytest.skip(result.stderr)
    return [f for f in parse(result) if f["id"] == "other-login"]


ALICE = "/home/alice/.docker/config.json"


@needs_root
@pytest.mark.parametrize("path,directory,capability", [
    (ALICE, "/home/alice", True), ("/run/user/1234/containers/auth.json", "/run/user/1234", True),
    ("/run/containers/0/auth.json", None, False), ("/home/alice/.config/containers/auth.json", "/home/alice", True),
    ("/home/alice/.dockercfg", "/home/alice", True), ("/root/.config/containers/auth.json", None, False),
    ("/root/.dockercfg", None, False), ("/etc/docker/config.json", None, False)])
def test_a_login_by_another_user(host, path, directory, capability):
    found, = find_beside(host, f"put {path}", Credentials_File="/root/.docker/config.json")
    assert found == {"id": "other-login", "verdict": "warning", "subject": path,
                     "text": f"{path} has a login, but is not a file that ecs-authd watches",
                     "cure": f"sudo docker login REGISTRY; or: {cure_of(path, directory, capability)}"}


def cure_of(path, directory=None, capability=False):
    """The line of the settings, and those of the drop-in if the service may not read the file."""
    lines = (["CapabilityBoundingSet=CAP_DAC_READ_SEARCH"] if capability else []) + \
        ([f"BindReadOnlyPaths=-{directory}"] if directory else [])
    more = f"; run systemctl edit ecs-authd and add to [Service]: {' and '.join(lines)} (ecs-authd(8), PRIVILEGES)" if lines else ""
    return f"add the line File={path} to [Credentials] in /etc/ecs-authd.conf{more}; then: systemctl " \
           f"{'restart' if lines else 'reload'} ecs-authd"


@needs_root
def test_a_login_by_several(host):
    """An empty file of root's is as good as none; a helper for a registry is a login, and a store alone is none."""
    files = f"""put {ALICE}; put /home/bob/.docker/config.json
        echo '{{"credHelpers": {{"mine.example": "pass"}}}}' > /home/bob/.docker/config.json
        mkdir -p /run/user/1234/containers; echo '{{"auths": {{}}, "credsStore": "pass"}}' > /run/user/1234/containers/auth.json
        echo '{{"auths": {{}}}}' > /root/.docker/config.json; chmod 600 /root/.docker/config.json"""
    found = find_beside(host, files, Credentials_File="/root/.docker/config.json")
    assert [f["subject"] for f in found] == [ALICE, "/home/bob/.docker/config.json"]


@needs_root
def test_another_file_is_watched(host):
    """Then root's login goes to no file that is read."""
    found, = find_beside(host, f"put {ALICE}")
    assert found["cure"] == cure_of(ALICE, "/home/alice", True)
    found, = find_beside(host, "put /root/.docker/config.json")
    assert found["cure"] == cure_of("/root/.docker/config.json")


@needs_root
def test_the_home_of_who_runs_sudo(host):
    """Wherever the list of users has it."""
    home = "/run/user/home-of-carol"
    users = f"""(cat /etc/passwd; echo carol:x:1236:1236::{home}:/bin/sh) > /run/user/passwd
        mount --bind /run/user/passwd /etc/passwd; put {home}/.docker/config.json; chown -R 1236:1236 {home}"""
    settings = {"Credentials_File": "/root/.docker/config.json"}
    found, = find_beside(host, users, **settings)
    assert found["subject"] == f"{home}/.docker/config.json" and f"BindReadOnlyPaths=-{home} " in found["cure"]
    found, = find_beside(host, users, sudo_user="carol", **settings)
    assert found["subject"] == f"{home}/.docker/config.json"
    # Once, where two ways lead to it; and a name that nobody has is nobody's.
    assert len(find_beside(host, users.replace(home, "/home/alice"), sudo_user="carol", **settings)) == 1
    assert not find_beside(host, "", sudo_user="nobody-of-that-name", **settings)


@needs_root
def test_a_home_outside_home(host):
    """Of a user whom only the database names; the service sees it, and may not read it."""
    found, = find_beside(host, """mkdir -p /mnt/alice && mount -t tmpfs -o mode=755 none /mnt && put /mnt/alice/.dockercfg
        chown -R 1236:1236 /mnt/alice; (cat /etc/passwd; echo carol:x:1236:1236::/mnt/alice:/bin/sh) > /run/user/passwd
        mount --bind /run/user/passwd /etc/passwd""", Credentials_File="/root/.docker/config.json")
    assert found["subject"] == "/mnt/alice/.dockercfg"
    assert found["cure"] == "sudo docker login REGISTRY; or: " + cure_of("/mnt/alice/.dockercfg", capability=True)


@needs_root
@pytest.mark.parametrize("home", ["/root", "/home/alice"])
def test_a_login_of_dockers_snap(host, home):
    """A link to a numbered folder. docker login, again, would not write root's usual file."""
    path = f"{home}/snap/docker/current/.docker/config.json"
    found, = find_beside(host, f"put {home}/snap/docker/2915/.docker/config.json; ln -s 2915 {home}/snap/docker/current",
                         Credentials_File="/root/.docker/config.json")
    assert found["subject"] == path
    assert found["cure"] == (cure_of(path) if home == "/root" else cure_of(path, home, True))


@needs_root
def test_one_file_with_two_names(host):
    found, = find_beside(host, "put /root/.dockercfg; mkdir -p /root/.config/containers; "
                               "ln -s /root/.dockercfg /root/.config/containers/auth.json",
                         Credentials_File="/root/.docker/config.json")
    assert found["subject"] == "/root/.config/containers/auth.json"


@needs_root
def test_a_home_that_hangs(host, hung):
    """It is left, and what the others have is said."""
    host.variables["ASAN_OPTIONS"] = "detect_leaks=0"  # which waits for the thread that hangs
    users = f"""(cat /etc/passwd; echo carol:x:1236:1236::{hung.path}:/bin/sh) > /run/user/passwd
        mount --bind /run/user/passwd /etc/passwd; put {ALICE}"""
    found, = find_beside(host, users, sudo_user="carol", Credentials_File="/root/.docker/config.json")
    assert found["subject"] == ALICE


@needs_root
@pytest.mark.parametrize("files", [
    "",
    "mkdir -p /home/alice/.docker; mkfifo /home/alice/.docker/config.json",
    "mkdir -p /home/alice/.docker; ln -s /dev/zero /home/alice/.docker/config.json",
    "mkdir -p /home/alice/.docker; truncate -s 1G /home/alice/.docker/config.json",
    "mkdir -p /home/alice/.docker/config.json",
    "put /home/alice/x; mkdir /home/alice/.docker; ln -s config.json /home/alice/.docker/config.json",
    f"put {ALICE}; printf '{{' > {ALICE}",
    f"put {ALICE}; echo '[\"auths\"]' > {ALICE}",
    # Of neither alice nor root: nobody knows whose login it is.
    "put /run/b/config.json; chown -R 1235:1235 /run/b; mkdir /home/alice/.docker; ln -s /run/b/config.json /home/alice/.docker/",
    f"put {ALICE}; chmod 666 {ALICE}",
    f"""mkdir -p /home/alice/.docker; echo '{{"credHelpers": {{"1.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"}}}}' > {ALICE}""",
    f"""mkdir -p /home/alice/.docker; echo '{{"auths": {{"mine.example": {{}}}}}}' > {ALICE}""",
], ids=["nothing", "a FIFO", "a device", "a huge file", "a directory", "a link to itself", "no JSON", "no object",
        "a file of somebody else", "a file for all to write", "an excluded registry", "an empty entry"])
def test_no_login_of_another_user(host, files):
    assert not find_beside(host, files, Credentials_File="/root/.docker/config.json")


@needs_root
@pytest.mark.parametrize("more,settings", [
    ("put /root/.docker/config.json", {"Credentials_File": "/root/.docker/config.json"}),
    ("printf '{' > /root/.docker/config.json", {"Credentials_File": "/root/.docker/config.json"}),
    ("", {"Credentials_File": ALICE}),
], ids=["root has logged in, too", "nobody knows whether root has", "it is watched"])
def test_not_said(host, more, settings):
    assert not find_beside(host, f"put {ALICE}; {more}", **settings)


# --- what was left behind ---

def own_unit(host, service=None, **properties):
    host.systemd1.own_properties.update(properties)
    host.systemd1.own_service_properties.update(service or {})
    host.systemd1.disconnect()
    host.systemd1.connect()


@pytest.fixture(name="process")
def make_process(sound):
    """The service, as systemd tells of it: what runs, and from which file."""
    program = shutil.copy("/bin/sleep", sound.directory / "ecs-authd")
    with subprocess.Popen([program, "1000"]) as process:
        try:
            line = (str(program), dbus.Array([str(program), "run"], signature="s"), False, *[dbus.UInt64(0)] * 4, dbus.UInt32(0),
                    dbus.Int32(0), dbus.Int32(0))
            own_unit(sound, {"MainPID": dbus.UInt32(process.pid),
                             "ExecStart": dbus.Array([dbus.Struct(line, signature="sasbttttuii")], signature="(sasbttttuii)")})
            yield program
        finally:
            process.kill()


def upgrade(program):
    shutil.copy(program, f"{program}.new")
    os.rename(f"{program}.new", program)


def test_an_old_program_runs(sound, process):
    assert not bad(find(sound))
    upgrade(process)
    assert bad(find(sound)) == {"service-program": {
        "id": "service-program", "verdict": "warning", "subject": "ecs-authd.service",
        "text": f"{process} has been replaced, and ecs-authd.service still runs the old one",
        "cure": "systemctl restart ecs-authd"}}


def test_the_program_of_a_service_that_is_down(sound, process):
    upgrade(process)
    own_unit(sound, {"MainPID": dbus.UInt32(0)}, ActiveState="inactive")
    assert list(bad(find(sound))) == ["service"]


def test_a_unit_file_that_systemd_has_not_read(sound):
    own_unit(sound, NeedDaemonReload=dbus.Boolean(False))
    sound.systemd1.set_unit(NeedDaemonReload=dbus.Boolean(False))
    assert not bad(find(sound))
    own_unit(sound, NeedDaemonReload=dbus.Boolean(True))
    found = bad(find(sound))
    assert list(found) == ["service-reload"] and found["service-reload"]["verdict"] == "warning", found
    assert found["service-reload"]["cure"] == "systemctl daemon-reload && systemctl restart ecs-authd"

    own_unit(sound, NeedDaemonReload=dbus.Boolean(False))
    sound.systemd1.set_unit(NeedDaemonReload=dbus.Boolean(True))
    found = bad(find(sound))
    assert list(found) == ["agent-unit-reload"] and found["agent-unit-reload"]["subject"] == "ecs.service", found
    assert found["agent-unit-reload"]["cure"] == "systemctl daemon-reload"


def test_a_credential_file_for_all_to_write(sound):
    path = sound.credentials.path
    path.chmod(0o622)
    found = bad(find(sound))
    assert found["credentials"]["verdict"] == "problem" and f"run 'chmod go-w {path}'" in found["credentials"]["text"], found
    # It is read where that is said to be right, and who can write it decides what the agent pulls with.
    found = bad(find(sound, Credentials_StrictModes="no"))
    assert found["credential-file-writers"] == {
        "id": "credential-file-writers", "verdict": "warning", "subject": str(path),
        "text": f"{path} can be written by others, who decide then what the agent pulls with (StrictModes=no)",
        "cure": f"chmod go-w {path}"}
    path.chmod(0o600)
    path.parent.chmod(0o777)
    found = bad(find(sound, Credentials_StrictModes="no"))
    assert found["credential-file-writers"]["cure"] == f"chmod go-w {path.parent}"
    path.parent.chmod(0o700)
    assert not bad(find(sound, Credentials_StrictModes="no"))
