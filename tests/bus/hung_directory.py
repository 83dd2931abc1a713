# SPDX-License-Identifier: Apache-2.0
"""A file system that does not answer."""

import ctypes
import os
import struct
import threading

MNT_FORCE, MNT_DETACH = 1, 2
FUSE_INIT = 26


class HungDirectory:
    """A FUSE mount whose server answers nothing."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0".encode()
        if ctypes.CDLL(None, use_errno=True).mount(b"hung", bytes(path), b"fuse", 0, options) < 0:
            error = ctypes.get_errno()
            os.close(self.fd)
            raise OSError(error, os.strerror(error))

    def take_requests(self):
        """From now on the server takes each request, after which who waits for the answer cannot even be killed."""
        def serve():
            try:
                while True:
                    request = os.read(self.fd, 1 << 17)
                    operation, unique = struct.unpack_from("<IQ", request, 4)
                    if operation == FUSE_INIT:
                        answer = struct.pack("<II", 7, 31).ljust(64, b"\0")
                        os.write(self.fd, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
            except OSError:  # end()
                pass

        threading.Thread(target=serve, daemon=True).start()

    def end(self):
        if self.fd < 0:
            return
        ctypes.CDLL(None).umount2(bytes(self.path), MNT_FORCE)  # and each call that waits fails
        os.close(self.fd)
        self.fd = -1
        ctypes.CDLL(None).umount2(bytes(self.path), MNT_DETACH)
