# SPDX-License-Identifier: Apache-2.0
"""A small ECS host in a temporary directory: all stand-ins together, the files, and ecs-authd."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .ecs_agent import Agent
from .credential_file import CredentialFile
from .daemon import Daemon
from .docker_engine import DockerEngine
from .private_bus import PrivateBus
from .systemd1 import Systemd1

UNIT = "ecs.service"


class Sandbox:
    def __init__(self, program):
        self.program = Path(program).resolve()
        # Short: the path of a Unix socket has at most 107 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="ecs-authd-"))
        self.environment_file = self.directory / "etc" / "ecs" / "ecs.config"
        self.environment_file.parent.mkdir(parents=True)
        self.config = self.directory / "etc" / "ecs-authd.conf"
        self.config.write_text("")
        self.credentials = CredentialFile(self.directory / "root" / ".docker" / "config.json")
        self.bus = PrivateBus(self.directory)
        self.engine = DockerEngine(self.directory / "docker.sock")
        self.agent = Agent(self.engine, self.environment_file)
        self.systemd1 = Systemd1(self.bus.address, UNIT, self.agent)
        self.variables = {}  # more for the daemon's environment
        self.daemons = []
        # Passed with -o; None: not passed.
        self.settings = {
            "Credentials.File": self.credentials.path,
            "Agent.EnvironmentFile": self.environment_file,
            "Agent.DockerSocket": self.engine.socket,
            "Agent.IntrospectionURL": self.agent.url,
            "Restart.SettleSec": "100ms",
            "Restart.MinIntervalSec": "0",
            "Restart.VerifySec": "5s",
        }

    def start(self):
        """The host boots: the bus, systemd, the engine, and the agent with what stands in ecs.config."""
        self.bus.start()
        self.systemd1.connect()
        self.engine.start()
        self.agent.restart()

    def close(self):
        try:
            for daemon in self.daemons:
                if daemon.runs():
                    daemon.process.kill()
                    daemon.process.wait()
            self.engine.stop()
            self.agent.close()
            self.systemd1.disconnect()
            self.bus.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def arguments(self, verb, *more, **settings):
        """settings: Section_Key=VALUE in place of the usual ones."""
        values = {**self.settings, **{key.replace("_", ".", 1): value for key, value in settings.items()}}
        options = [word for key, value in values.items() if value is not None for word in ("-o", f"{key}={value}")]
        return [str(self.program), "--config", str(self.config), *options, verb, *more]

    def environment(self):
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
        # A home of its own, in which nobody else has logged in.
        return {**keep, "HOME": str(self.directory / "root"), "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address, "ECS_AUTHD_LOG": "fields",
                "STATE_DIRECTORY": str(self.directory / "state"),
                "RUNTIME_DIRECTORY": str(self.directory / "run"), **self.variables}

    def run_daemon(self, **settings):
        daemon = Daemon(self.arguments("run", **settings), self.environment(),
                        self.directory / f"log{len(self.daemons)}")
        self.daemons.append(daemon)
        return daemon

    def status(self):
        """What the service tells everybody."""
        return json.loads((self.directory / "run" / "status.json").read_text())

    def start_verb(self, verb, *more, **settings):
        """Another verb than run; the caller waits for its end."""
        return subprocess.Popen(self.arguments(verb, *more, **settings), env=self.environment(), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_verb(self, verb, *more, timeout=30, **settings):
        """The same, to its end."""
        return subprocess.run(self.arguments(verb, *more, **settings), env=self.environment(), check=False, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
