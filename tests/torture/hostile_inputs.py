# SPDX-License-Identifier: Apache-2.0
"""What can stand where a file is expected: each is put in the place of a good file, and taken away again."""

import ctypes
import fcntl
import os
import pty
import shutil
import socket
import stat
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, NamedTuple

from measured import CannotHere

MB = 1024 * 1024
NOBODY = 65534
NEWLINE = "newline in the name"  # torture_files.py names the place so
FS_IMMUTABLE = 0x10
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602


class Input(NamedTuple):
    """bad, unsure: for which kinds of file it is no use, and for which it may or may not be (it depends on the user, or on how
    far its owner is trusted): c credential file, e ecs.config, s settings. Elsewhere it is of use."""
    name: str
    put: Callable  # (path, good bytes, undo: ExitStack)
    bad: str = ""
    unsure: str = ""


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def in_place_of(path, good, undo, make):
    """make(path) where there is nothing now; undone by the good file."""
    remove(path)
    undo.callback(put_good, path, good)
    make(path)


def put_good(path, good):
    """As tools do: whole, under another name first. None: there was nothing."""
    if good is None or (path.is_dir() and not path.is_symlink()):
        remove(path)
    if good is None:
        return
    temporary = path.with_name(f"{path.name[:100]}.torture")
    temporary.write_bytes(good)
    temporary.chmod(0o600)
    temporary.rename(path)


def put_new(make, bad="", unsure=""):
    """Something that has nothing to do with the good file."""
    return (lambda path, good, undo: in_place_of(path, good, undo, make)), bad, unsure


def put_text(change, bad="", unsure=""):
    """A regular file; change(good bytes, path) gives its content."""
    def put(path, good, undo):
        content = change(good or b"", path)
        in_place_of(path, good, undo, lambda p: p.write_bytes(content))
    return put, bad, unsure


# --- no regular files ---

def make_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def make_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        raise CannotHere from None


def make_terminal(path, good, undo):
    ours, theirs = pty.openpty()
    undo.callback(os.close, ours)
    undo.callback(os.close, theirs)
    in_place_of(path, good, undo, lambda p: p.symlink_to(os.ttyname(theirs)))


def make_full_directory(path):
    path.mkdir()
    (path / "something").write_text("")


def make_loop(path):
    other = path.with_name("loop")
    other.unlink(missing_ok=True)
    other.symlink_to(path.name)
    path.symlink_to("loop")


def chain(links):
    def put(path, good, undo):
        def make(p):
            target = p.with_name("at-the-end")
            target.write_bytes(good or b"")
            target.chmod(0o600)
            for i in range(links - 1):
                link = p.with_name(f"link{i}")
                link.unlink(missing_ok=True)
                link.symlink_to(target.name)
                target = link
            p.symlink_to(target.name)
        in_place_of(path, good, undo, make)
    return put


def make_sparse(path):
    with open(path, "wb") as f:
        f.truncate(1024 * MB)


# --- others than root can do something to it ---

def put_attributes(change):
    """A good file; change(path) does something to it that undo(path) takes back."""
    def put(path, good, undo):
        in_place_of(path, good, undo, lambda p: put_good(p, good or b""))
        change(path, undo)
    return put


def open_directory_to_all(path, undo):
    mode = path.parent.stat().st_mode
    undo.callback(path.parent.chmod, stat.S_IMODE(mode))
    path.parent.chmod(0o777)


def make_immutable(path, undo):
    def set_flag(on):
        with open(path, "rb") as f:
            flags = ctypes.c_long(0)
            fcntl.ioctl(f, FS_IOC_GETFLAGS, flags)
            flags.value = flags.value | FS_IMMUTABLE if on else flags.value & ~FS_IMMUTABLE
            fcntl.ioctl(f, FS_IOC_SETFLAGS, flags)

    try:
        set_flag(True)
    except OSError:
        raise CannotHere from None
    undo.callback(set_flag, False)


def mount(*arguments):
    if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode != 0:
        raise CannotHere


def unmount(path):
    subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def mount_file(path, undo):
    other = path.with_name("mounted")
    other.write_bytes(path.read_bytes())
    other.chmod(0o600)
    mount("--bind", str(other), str(path))
    undo.callback(unmount, path)


def mount_directory(path, good, undo):
    """Everything in its directory on a file system of its own."""
    in_place_of(path, good, undo, lambda p: put_good(p, good or b""))
    content = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file() and not p.is_symlink()}
    mount("-t", "tmpfs", "-o", "size=1m,mode=700", "torture", str(path.parent))
    undo.callback(unmount, path.parent)
    for name, text in content.items():
        put_good(path.parent / name, text)


# --- others at work on it ---

def being_written(path, good, undo):
    half = len(good or b"") // 2
    in_place_of(path, good, undo, lambda p: p.write_bytes((good or b"")[:half]))
    f = open(path, "ab", buffering=0)
    undo.callback(f.close)
    undo.callback(f.write, (good or b"")[half:])


def growing(path, good, undo):
    in_place_of(path, good, undo, lambda p: p.write_bytes(good or b""))
    over = threading.Event()

    def grow():
        with open(path, "ab", buffering=0) as f:
            while not over.wait(0.001) and f.tell() < 16 * MB:
                f.write(b"#" * 4096 + b"\n")
            over.wait()
    thread = threading.Thread(target=grow)
    thread.start()
    undo.callback(thread.join)
    undo.callback(over.set)


# --- content ---

def long_line(good, _):
    return good + b"\nLONG=" + b"a" * (500 * 1024) + b"\n"


def put_long(block, count, first=b"", last=b""):
    """Blocks between the first and the last of it. Never whole in this process: its own memory is what it can measure from."""
    def write(path):
        with open(path, "wb") as f:
            f.write(first)
            for left in range(count, 0, -1024):
                f.write(block * min(left, 1024))
            f.write(last)
    return lambda path, good, undo: in_place_of(path, good, undo, write)


INPUTS = [Input(name, *put) if isinstance(put, tuple) else Input(name, put, *more) for name, put, *more in (
    ("fifo", put_new(os.mkfifo, "ces")),
    ("device", put_new(make_device, "ces")),
    ("link to /dev/zero", put_new(lambda path: path.symlink_to("/dev/zero"), "ces")),
    ("terminal", make_terminal, "ces"),
    ("socket", put_new(make_socket, "ces")),
    ("directory", put_new(Path.mkdir, "ces")),
    ("full directory", put_new(make_full_directory, "ces")),
    ("nothing", put_new(lambda path: None, "cs")),
    ("dangling link", put_new(lambda path: path.symlink_to("nowhere"), "cs")),
    ("link into nowhere", put_new(lambda path: path.symlink_to("no/where"), "ces")),
    ("loop of links", put_new(make_loop, "ces")),
    ("10 links", chain(10)),
    ("60 links", chain(60), "ces"),
    ("empty", put_text(lambda good, path: b"", "c")),
    ("8 MB and a byte", put_long(b" ", 8 * MB + 1), "ces"),
    ("8 MB in lines", put_long(b"#" * 79 + b"\n", 8 * MB // 80 + 1), "ces"),
    ("1 GB sparse", put_new(make_sparse, "ces")),
    ("long line", put_text(long_line, "cs")),
    ("NUL bytes", put_text(lambda good, path: good + b"\0" * 1000 + b"\n", "cs", "e")),
    ("100,000 brackets", put_text(lambda good, path: b"[" * 100_000, "cs")),
    ("4 MB of objects", put_long(b"{},", 1300 * 1024, b'{"auths":{},"x":[', b"{}]}"), "es", "c"),
    ("random bytes", put_text(lambda good, path: os.urandom(100_000), "cs", "e")),
    ("half of it", put_text(lambda good, path: good[:len(good) // 2], "c", "s")),
    ("being written", being_written, "ce", "s"),
    ("growing", growing, "e", "cs"),
    ("mode 000", put_attributes(lambda path, undo: path.chmod(0)), "", "ces"),
    ("anybody may write", put_attributes(lambda path, undo: path.chmod(0o666)), "", "ces"),
    ("another owner", put_attributes(lambda path, undo: os.chown(path, NOBODY, NOBODY)), "", "ces"),
    ("directory of anybody", put_attributes(open_directory_to_all), "", "ces"),
    (NEWLINE, put_attributes(lambda path, undo: None)),
    ("hard link", put_attributes(lambda path, undo: os.link(path, path.with_name(f"other{os.urandom(4).hex()}"))), "", "ces"),
    ("immutable", put_attributes(make_immutable), "e"),
    ("mounted file", put_attributes(mount_file), "e"),
    ("mounted directory", mount_directory),
)]
