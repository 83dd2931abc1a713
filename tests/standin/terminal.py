# SPDX-License-Identifier: Apache-2.0
"""What a command shows on a terminal."""

import fcntl
import os
import pty
import struct
import termios


def on_terminal(command, environment, columns):
    """(exit status, all that it writes on a terminal of that many columns)"""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for fd in (0, 1, 2):
                os.dup2(child, fd)
            os.execve(command[0], command, environment)
        finally:
            os._exit(127)
    os.close(child)
    data = b""
    try:
        while chunk := os.read(parent, 65536):
            data += chunk
    except OSError:  # the other end is closed
        pass
    os.close(parent)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data.decode().replace("\r\n", "\n")
