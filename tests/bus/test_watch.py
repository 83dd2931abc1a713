# SPDX-License-Identifier: Apache-2.0
"""How files change: each way has to be noticed without a signal and without RefreshSec=."""

import itertools
import os
import signal
import threading

import pytest
from bus_host import OTHERS, REGISTRY
from standin.credential_file import CredentialFile, encode
from standin.wait import wait_for


def new_text(host):
    """A credential file with a new password, which the tests then bring in place their own way."""
    password = "pw-" + os.urandom(8).hex()
    host.expected = {REGISTRY: ("puller", password)}
    return CredentialFile.text({REGISTRY: {"auth": encode("puller", password)}})


def test_directory_does_not_exist_yet(host):
    """~/.docker comes with the first login; here not even its parent is there."""
    assert not host.credentials.path.parent.parent.exists()
    daemon = host.run()
    daemon.wait_said("there is no such file")
    host.login()
    host.wait_live()
    host.login()
    host.wait_live()


def test_directories_appear_one_by_one(host):
    daemon = host.run()
    daemon.wait_said("there is no such file")
    for directory in (host.credentials.path.parent.parent, host.credentials.path.parent):
        directory.mkdir()
        host.look_again()
    host.login()
    host.wait_live()


def test_logins_in_a_row(host):
    """Each replaces the file: a watch on the file itself goes deaf with the first."""
    host.run_live()
    for _ in range(3):
        host.login()
        host.wait_written()
    host.login()
    host.login()
    host.wait_live()


def test_written_in_place(host):
    host.run_live()
    host.credentials.path.write_text(new_text(host))
    host.wait_live()


def test_linked_in_place(host):
    """A name that appears with all its content: nobody writes and closes it there."""
    daemon = host.run_live()
    host.credentials.path.unlink()
    daemon.wait_said("there is no such file")
    prepared = host.credentials.path.with_name("prepared")
    prepared.write_text(new_text(host))
    host.credentials.path.hardlink_to(prepared)
    host.wait_live()


def test_directory_moved_in_place(host):
    host.run_live()
    directory = host.credentials.path.parent
    prepared = directory.with_name("prepared")
    prepared.mkdir()
    (prepared / "config.json").write_text(new_text(host))
    directory.rename(directory.with_name("old"))
    prepared.rename(directory)
    host.wait_live()
    host.login()
    host.wait_live()


def test_deleted_and_back(host):
    daemon = host.run_live()
    before = host.environment_file.read_bytes()
    host.credentials.path.unlink()
    daemon.wait_said("there is no such file")
    assert host.environment_file.read_bytes() == before
    host.login()
    host.wait_live()


def test_directory_deleted_and_back(host):
    daemon = host.run_live()
    host.credentials.path.unlink()
    host.credentials.path.parent.rmdir()
    daemon.wait_said("there is no such file")
    host.login()
    host.wait_live()


def test_symlinked_file(host):
    real = host.directory / "elsewhere" / "auth.json"
    host.credentials.path.parent.mkdir(parents=True)
    host.credentials.path.symlink_to(real)
    daemon = host.run()
    daemon.wait_said("there is no such file")
    # The link dangles; its directory comes with the first login.
    for _ in range(2):
        host.login()
        host.wait_live()
    assert host.credentials.path.is_symlink() and real.exists()


def test_symlink_turned_to_another_file(host):
    host.run_live()
    other = host.directory / "other.json"
    other.write_text(new_text(host))
    link = host.credentials.path.with_name("link")
    link.symlink_to(other)
    link.rename(host.credentials.path)
    host.wait_live()
    other.write_text(new_text(host))
    host.wait_live()


def swap(link, target):
    temporary = link.with_name(link.name + ".tmp")
    temporary.symlink_to(target)
    temporary.rename(link)


def test_symlinked_directory_swapped(host):
    """As Kubernetes does with a mounted secret: config.json -> ..data/config.json, ..data -> ..2024_01_01."""
    directory = host.credentials.path.parent
    directory.mkdir(parents=True)
    host.credentials.path.symlink_to("..data/config.json")
    for n in range(4):
        version = directory / f"..2024_01_0{n}"
        version.mkdir()
        (version / "config.json").write_text(new_text(host))
        swap(directory / "..data", version.name)
        if not host.daemon:
            host.run()
        host.wait_live()


def test_symlinked_parent_swapped(host):
    parent = host.credentials.path.parent
    parent.parent.mkdir(parents=True)
    for n in range(3):
        version = host.directory / f"version{n}"
        version.mkdir()
        (version / "config.json").write_text(new_text(host))
        swap(parent, version)
        if not host.daemon:
            host.run()
        host.wait_live()
    # And what happens in there afterwards.
    host.login()
    host.wait_live()


def test_file_half_written(host):
    """Somebody writes it slowly: what stands there meanwhile is not taken for the end."""
    daemon = host.run_live()
    since = daemon.mark()
    text = new_text(host)
    with open(host.credentials.path, "w", encoding="utf-8") as f:
        f.write(text[:20])
        f.flush()
        host.look_again()
        f.write(text[20:])
    host.wait_live()
    assert not daemon.said("config.json:", since)


def test_busy_directory(host):
    """Others write beside the credential file without a pause; a login is seen all the same."""
    host.run_live()
    stop = threading.Event()

    def write():
        for n in itertools.count():
            if stop.is_set():
                return
            (host.credentials.path.parent / f"other-{n % 10}").write_text("")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            host.login()
            host.wait_written(seconds=5)
    finally:
        stop.set()
        writer.join()
    host.wait_live()


def test_queue_overflow(host):
    """More events than inotify keeps, the one that counts not among them."""
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as f:
        limit = int(f.read())
    if limit > 200000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}: too many to make")
    host.run_live()
    noise = [os.open(host.credentials.path.with_name(name), os.O_CREAT | os.O_WRONLY) for name in ("a", "b")]
    host.wait_idle()
    watcher = host.child("ecs-authd-watch")
    os.kill(watcher, signal.SIGSTOP)
    for n in range(limit + 10):
        os.fchmod(noise[n % 2], 0o600 + n % 4)
    host.login()
    os.kill(watcher, signal.SIGCONT)
    for fd in noise:
        os.close(fd)
    host.wait_live()


def test_watcher_killed(host):
    """It is begun again, and what happens meanwhile is seen."""
    daemon = host.run_live()
    since = daemon.mark()
    os.kill(host.child("ecs-authd-watch"), signal.SIGKILL)
    daemon.wait_said("cannot be watched: the process that watches them has ended", since)
    host.login()
    host.wait_live()
    daemon.wait_said("^Watching ", since)
    host.login()
    host.wait_live()


def test_no_event_at_all(host):
    """Changed by way of another name in another directory, as a file system over the network would: no event."""
    alias = host.directory / "alias.json"
    host.login()
    alias.hardlink_to(host.credentials.path)
    host.run(Credentials_RefreshSec="500ms")
    host.wait_live()
    with open(alias, "r+", encoding="utf-8") as f:
        f.write(new_text(host))
        f.truncate()
    host.wait_live()


# --- ecs.config ---

TOOL = "# by a tool\nECS_CLUSTER=other\nECS_LOGLEVEL=debug\n"


def overwrite(path):
    path.write_text(TOOL)


def rename_over(path):
    temporary = path.with_name("new")
    temporary.write_text(TOOL)
    temporary.rename(path)


def delete_and_create(path):
    path.unlink()
    path.write_text(TOOL)


@pytest.mark.parametrize("how", [overwrite, rename_over, delete_and_create])
def test_environment_file_overwritten(host, how):
    """Our two lines come back, everything else stays as the tool wrote it, and the agent is left in peace."""
    host.run_live()
    how(host.environment_file)
    wait_for(lambda: host.environment_file.read_text() == TOOL + host.our_lines(), 5, "our lines are back", host.seen)
    host.look_again()
    assert host.restarts() == 0
    how(host.environment_file)
    wait_for(lambda: host.environment_file.read_text() == TOOL + host.our_lines(), 5, "they are back again", host.seen)


def test_our_lines_edited(host):
    host.run_live()
    text = host.environment_file.read_text()
    host.environment_file.write_text(text.replace("dockercfg", "docker"))
    wait_for(lambda: host.environment_file.read_text() == OTHERS + host.our_lines(), 5, "our lines are right again",
             host.seen)


def test_environment_file_deleted(host):
    host.run_live()
    host.environment_file.unlink()
    wait_for(lambda: host.environment_file.exists() and host.environment_file.read_text() == host.our_lines(), 5,
             "the file is back", host.seen)
    assert host.environment_file.stat().st_mode & 0o777 == 0o600


def test_environment_file_left_alone_while_it_is_written(host):
    """A tool that has it open is not overtaken, and its text is not lost."""
    daemon = host.run_live()
    host.wait_idle()
    with open(host.environment_file, "w", encoding="utf-8") as f:
        f.write(TOOL[:30])
        f.flush()
        daemon.hang_up()
        daemon.wait_said("another program has it open for writing")
        assert host.environment_file.read_text() == TOOL[:30]
        f.write(TOOL[30:])
    wait_for(lambda: host.environment_file.read_text() == TOOL + host.our_lines(), 5, "our lines are back", host.seen)
