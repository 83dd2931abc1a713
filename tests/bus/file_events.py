# SPDX-License-Identifier: Apache-2.0
"""How often a file is opened or replaced, as the kernel reports it."""

import ctypes
import os
import struct

IN_CLOSE, IN_OPEN, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW = 0x18, 0x20, 0x40, 0x80, 0x4000


class FileEvents:
    """Counts events of one file, by its name in its directory.

    The kernel merges an event with an equal one just before it in the queue, so that three opens in a row count as one.
    It does not merge them if another event is between them: each open is followed by a close, and each renamed file has
    left another name before."""

    def __init__(self, path, counted, between=0):
        self.name = path.name.encode()
        self.counted = counted
        self.n = 0
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0 and libc.inotify_add_watch(self.fd, bytes(path.parent), counted | between) >= 0

    @classmethod
    def opens(cls, path):
        return cls(path, IN_OPEN, IN_CLOSE)

    @classmethod
    def replacements(cls, path):
        return cls(path, IN_MOVED_TO, IN_MOVED_FROM)

    def count(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except BlockingIOError:
                return self.n
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                assert not mask & IN_Q_OVERFLOW, "too many events"
                self.n += bool(mask & self.counted) and data[16:16 + length].rstrip(b"\0") == self.name
                data = data[16 + length:]

    def close(self):
        os.close(self.fd)
