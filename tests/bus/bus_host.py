# SPDX-License-Identifier: Apache-2.0
"""The host of one test: the sandbox, and what the tests do to it and wait for."""

import os
import re
import secrets
from collections import Counter
from pathlib import Path

from file_events import FileEvents
from notify_socket import NotifySocket
from standin.credential_file import encode
from standin.ecs_config import credentials, read_environment
from standin.sandbox import Sandbox
from standin.wait import wait_for

TOP = Path(__file__).resolve().parents[2]
ECS_AUTHD = os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd")

REGISTRY = "registry.example.com"
USER = "puller"

# What is not ours in ecs.config.
OTHERS = "# written by hand\nECS_CLUSTER=demo\n\n  ECS_LOGLEVEL=info  \n"

# The line that says that all is done, and true.
LIVE = r"^Container \S+ \(\w+\) runs with"


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return None


def state(pid):
    """As in proc(5): "S" while it sleeps; "X" when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


class BusHost(Sandbox):
    def __init__(self):
        super().__init__(ECS_AUTHD)
        self.environment_file.write_text(OTHERS)
        self.daemon = None
        self.replaced_before = 0
        self.expected = {}  # what was logged in to: {registry: (user, password)}
        self.settings["Restart.SettleSec"] = "0"
        self.replacements = FileEvents.replacements(self.environment_file)
        self.notify = NotifySocket(self.directory / "notify.sock", self.written)
        self.variables["NOTIFY_SOCKET"] = str(self.notify.path)

    def close(self):
        self.replacements.close()
        self.notify.close()
        super().close()

    # --- what people and tools do ---

    def login(self, registry=REGISTRY, user=USER):
        """docker login with a new password; returns that."""
        password = "pw-" + secrets.token_hex(12)
        self.credentials.login(registry, user, password)
        self.expected[registry] = (user, password)
        return password

    def logout(self, registry=REGISTRY):
        self.credentials.logout(registry)
        del self.expected[registry]

    def run(self, **settings):
        self.replaced_before = self.replacements.count()
        self.daemon = self.run_daemon(**settings)
        return self.daemon

    def run_live(self, **settings):
        """The daemon runs, and the agent has the credentials of one login."""
        self.login()
        self.run(**settings)
        self.wait_live()
        self.systemd1.calls.clear()
        return self.daemon

    def run_live_not_yet(self, **settings):
        """The daemon has restarted the agent, which has the credentials of one login and does not answer."""
        self.login()
        self.run(**settings)
        self.wait_agent()
        self.look_again()
        self.systemd1.calls.clear()
        return self.daemon

    # --- what is seen ---

    def our_lines(self):
        """The two lines for what was logged in to, byte for byte."""
        entries = ",".join(f'"{registry}":{{"auth":"{encode(*pair)}"}}' for registry, pair in self.expected.items())
        return f"ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={{{entries}}}\n" if entries else ""

    def written(self):
        return credentials(read_environment(self.environment_file))

    def wait_written(self, seconds=10):
        """ecs.config has what was logged in to."""
        wait_for(lambda: self.written() == self.expected, seconds, f"ecs.config holds {self.expected}", self.seen)

    def wait_agent(self, seconds=15):
        """The running agent has what was logged in to."""
        wait_for(lambda: self.agent.container(running=True) and self.agent.credentials() == self.expected, seconds,
                 f"the agent runs with {self.expected}", self.seen)

    def wait_live(self, seconds=15):
        """The agent has it, and the daemon has seen that and says so."""
        self.wait_agent(seconds)
        self.daemon.wait_said(LIVE if self.expected else "runs without registry credentials", seconds=seconds,
                              CONTAINER_ID=self.agent.container_id(), REGISTRY_COUNT=str(len(self.expected)))

    def wait_status(self, text, since=0, seconds=10):
        """A STATUS= with that text, as systemctl status shows it; since: a number of messages."""
        wait_for(lambda: any(re.search("^STATUS=.*" + text, message, re.M)
                             for message, _ in self.notify.messages[since:]),
                 seconds, f"the status is: {text}", self.seen)

    def writes(self):
        """How often ecs.config was replaced since the daemon was started. The journal has one line for several writes."""
        return self.replacements.count() - self.replaced_before

    def restarts(self):
        return len(self.systemd1.restarts())

    def starts(self):
        return len(self.systemd1.starts())

    def wait_restarts(self, n, seconds=10):
        wait_for(lambda: self.restarts() >= n, seconds, f"{n} restarts are asked of systemd", self.seen)
        assert self.restarts() == n, self.seen()

    def looks(self):
        return self.systemd1.looks

    def look_again(self):
        """Something happens to the unit; returns after the daemon has looked at everything and done what follows at
        once from it. For what must not happen (with SettleSec=0)."""
        before = self.looks()
        self.systemd1.set_unit(SubState=self.systemd1.properties["SubState"])
        wait_for(lambda: self.looks() > before, 10, "the daemon looks again", self.seen)
        self.wait_idle()

    def children(self):
        """{pid: name} of the daemon's."""
        pids = Path(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children").read_text().split()
        return {int(pid): name_of(pid) for pid in pids}

    def child(self, name):
        """The one of that name."""
        return next(pid for pid, found in self.children().items() if found == name)

    def busy(self):
        """What the daemon is doing: the names of its processes that do something, with the state of each."""
        children = self.children()
        resting = {self.daemon.pid: "ecs-authd", **{pid: name for pid, name in children.items() if name == "ecs-authd-watch"}}
        return sorted([f"{name} {state(pid)}" for pid, name in resting.items() if state(pid) != "S"] +
                      [f"{name} {state(pid)}" for pid, name in children.items() if name == "ecs-authd-job"])

    def wait_idle(self):
        """No child does a job for the daemon, and it sleeps, as does the child that watches the files: five times in a row, for
        what is still on its way to it."""
        in_a_row, seen = 0, Counter()

        def idle():
            nonlocal in_a_row
            busy = self.busy()
            seen[", ".join(busy)] += 1
            in_a_row = 0 if busy else in_a_row + 1
            return in_a_row >= 5

        wait_for(idle, 20, "the daemon has nothing to do", lambda: f"{dict(seen)}\n{self.seen()}")

    def seen(self):
        return "\n".join([
            f"ecs.config holds {self.written()}",
            f"the agent {self.agent.container_id()} has {self.agent.credentials()}",
            f"asked of systemd: {[call[1:] for call in self.systemd1.calls][-12:]}",
            f"asked of the engine: {self.engine.requests[-6:]}",
            f"told the service manager: {[text for text, _ in self.notify.messages[-6:]]}",
            self.daemon.tail() if self.daemon else "no daemon"])

    def check_end(self):
        """Every daemon that still runs ends well, and none has tripped a sanitizer."""
        for daemon in self.daemons:
            if daemon.runs():
                assert daemon.stop() == 0, daemon.tail()
            log = daemon.log.read_text(errors="replace")
            assert "Sanitizer" not in log and "runtime error:" not in log, log
