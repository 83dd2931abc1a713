# SPDX-License-Identifier: Apache-2.0
import subprocess

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """A dbus-daemon of our own. Its address stays the same when it goes away and comes back."""

    def __init__(self, directory):
        self.socket = directory / "bus.sock"
        self.address = f"unix:path={self.socket}"
        self.config = directory / "bus.conf"
        self.config.write_text(CONFIG.format(address=self.address))
        self.log = directory / "bus.log"
        self.process = None

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            # A session of its own: Ctrl-C in a terminal is for us, and we end it.
            self.process = subprocess.Popen(
                ["dbus-daemon", f"--config-file={self.config}", "--nofork", "--nopidfile", "--nosyslog",
                 "--print-address"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        if not self.process.stdout.readline():
            raise RuntimeError(f"dbus-daemon does not start: {self.log.read_text()}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
        self.socket.unlink(missing_ok=True)
