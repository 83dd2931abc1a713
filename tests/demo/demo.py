#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""demo.py PROGRAM: shows the main job of ecs-authd in a sandbox. Ends with 0 only if everything happened."""

import os
import secrets
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is left behind
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from screen import Screen  # noqa: E402

try:
    from standin.sandbox import Sandbox
    from standin.wait import wait_for
except ImportError as e:
    sys.exit(f"{e}\nThe demo needs python3-dbusmock: apt-get install python3-dbusmock dbus")

REGISTRY = "registry.example.com"
USER = "puller"
ECS_CONFIG = "ECS_CLUSTER=demo\n# This host's own settings: nobody else's business.\nECS_LOGLEVEL=info\n"


def short(container_id):
    return container_id[:12]


class Demo:
    def __init__(self, sandbox, screen):
        self.sandbox = sandbox
        self.screen = screen
        self.password = secrets.token_urlsafe(15)
        self.daemon = None
        self.old_container = None
        self.login_time = None

    def expect(self, what, happened):
        if not happened:
            raise AssertionError(f"This did not happen: {what}")
        self.screen.done(what)

    def run(self):
        for step in (self.before, self.start, self.login, self.two_lines, self.restart, self.proof, self.broken,
                     self.held, self.log):
            step()

    def before(self):
        s = self.screen
        self.sandbox.environment_file.write_text(ECS_CONFIG)
        self.sandbox.start()
        s.title("1. An ECS host")
        s.command("cat /etc/ecs/ecs.config")
        s.show(self.sandbox.environment_file.read_text())
        self.old_container = self.sandbox.agent.container_id()
        s.say(f"The ECS agent runs in container {short(self.old_container)}, and may pull from no private registry.")

    def start(self):
        self.daemon = self.sandbox.run_daemon(Restart_SettleSec="300ms", Restart_MinIntervalSec="1s")
        self.screen.title("2. ecs-authd starts, and waits for credentials")
        self.screen.command("ecs-authd run &")
        self.wait_said("Waiting for the first docker login")
        self.expect("it watches a credential file that does not even exist yet",
                    self.daemon.said("Watching") and not self.sandbox.credentials.path.exists())

    def wait_said(self, text, **kwargs):
        return self.daemon.wait_said(text, seconds=15, **kwargs)

    def login(self):
        s = self.screen
        s.title(f"3. Somebody runs `docker login {REGISTRY}`")
        s.say("Played here as Docker's own command does it: a temporary file beside config.json, and a rename.")
        self.sandbox.credentials.login(REGISTRY, USER, self.password)
        self.login_time = time.monotonic()
        self.hide_secrets()
        s.command("cat /root/.docker/config.json")
        s.show(self.sandbox.credentials.path.read_text())

    def hide_secrets(self):
        self.screen.hidden[self.sandbox.credentials.entries()[REGISTRY]["auth"]] = "***"
        self.screen.hidden[self.password] = "***"

    def two_lines(self):
        s, file = self.screen, self.sandbox.environment_file
        wait_for(lambda: "ECS_ENGINE_AUTH_DATA" in file.read_text(), 10, "the two lines", self.daemon.tail)
        seconds = max(time.monotonic() - self.login_time, 0.01)
        s.title(f"4. Two lines are new in ecs.config, {seconds:.2f} s later")
        s.command("ecs-authd render          # what it writes; --reveal shows the secrets")
        rendered = self.sandbox.run_verb("render")
        s.show(rendered.stdout)
        self.expect("the file has these two lines, with the secrets, and all that it had before",
                    rendered.returncode == 0 and "***" in rendered.stdout and
                    file.read_text() == ECS_CONFIG + self.sandbox.run_verb("render", "--reveal").stdout)

    def restart(self):
        s = self.screen
        s.title("5. systemd is asked over D-Bus to restart the agent")
        wait_for(self.sandbox.systemd1.restarts, 10, "a restart", self.daemon.tail)
        unit, mode = self.sandbox.systemd1.restarts()[0][1]
        s.show(f'TryRestartUnit("{unit}", "{mode}")')
        job = self.wait_said("Restart job", JOB_RESULT="done")
        s.show(f"JobRemoved: {job.fields['JOB_RESULT']}")
        self.expect("one restart, and its job is done", len(self.sandbox.systemd1.restarts()) == 1)

    def proof(self):
        s, agent = self.screen, self.sandbox.agent
        s.title("6. The proof: what the agent now pulls with")
        self.wait_said("runs with the credentials of 1 registry", CONTAINER_ID=agent.container_id())
        found = agent.credentials()
        s.say("Out of its container's environment, decoded as the agent does it:")
        for registry, (user, password) in (found or {}).items():
            same = "the one of the login" if password == self.password else "ANOTHER ONE"
            s.show(f"registry  {registry}\nuser      {user}\npassword  *** ({same})")
        self.expect(f"a new container, {short(agent.container_id())}, has the credentials",
                    agent.container_id() != self.old_container and found == {REGISTRY: (USER, self.password)})
        self.expect("it still is in cluster demo, and answers introspection",
                    agent.environment()["ECS_CLUSTER"] == "demo")

    def broken(self):
        s, sandbox = self.screen, self.sandbox
        s.title("7. A broken config.json changes nothing")
        before = sandbox.environment_file.read_bytes(), sandbox.agent.container_id()
        text = sandbox.credentials.path.read_text()
        sandbox.credentials.replace(text[:text.rindex('"')])
        s.command("cat /root/.docker/config.json")
        s.show(sandbox.credentials.path.read_text())
        s.say("ecs-authd says:")
        s.show(self.wait_said("config.json:[0-9]+:[0-9]+: ").text, code="33")
        after = sandbox.environment_file.read_bytes(), sandbox.agent.container_id()
        self.expect("ecs.config is the same byte for byte, the agent was not touched",
                    before == after and len(sandbox.systemd1.restarts()) == 1)

    def held(self):
        s, sandbox = self.screen, self.sandbox
        s.title("8. A restart that would lose a task is held")
        s.say("Another agent, which does not keep its state (ECS_DATADIR is not set), and a task:")
        sandbox.agent.datadir = None
        sandbox.agent.restart()
        sandbox.engine.run_task("web-1")
        since, n = self.daemon.mark(), len(sandbox.systemd1.restarts())
        old, self.password = sandbox.agent.container_id(), secrets.token_urlsafe(15)
        sandbox.credentials.path.unlink()
        sandbox.credentials.login(REGISTRY, USER, self.password)
        self.hide_secrets()
        s.command(f"rm /root/.docker/config.json; docker login {REGISTRY}          # a new password")
        s.show(self.wait_said("Restart held: ", since=since).text, code="33")
        self.expect("nothing was restarted, and the task runs", len(sandbox.systemd1.restarts()) == n)
        s.command("docker stop web-1          # the task ends")
        sandbox.engine.stop_container("web-1")
        wait_for(lambda: sandbox.agent.container_id() not in (None, old), 15, "a new agent", self.daemon.tail)
        self.wait_said("runs with the credentials of 1 registry", CONTAINER_ID=sandbox.agent.container_id())
        self.expect("the agent was restarted a few seconds later, when the end of the task had been reported",
                    len(sandbox.systemd1.restarts()) == n + 1 and sandbox.agent.container_id() != old and
                    sandbox.agent.credentials() == {REGISTRY: (USER, self.password)})

    def log(self):
        s = self.screen
        s.title("9. What ecs-authd has to tell about it: journalctl -u ecs-authd -o cat")
        status = self.daemon.stop()
        for line in self.daemon.lines():
            s.write(line.text, "   ", "     ")
        text = self.daemon.log.read_text()
        self.expect("no secret is in its log, and it ended well when asked to",
                    status == 0 and not any(text.count(old) for old, new in s.hidden.items() if new == "***"))


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ignore_signals():
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def interrupted(*_):
    ignore_signals()  # once is enough: what follows cleans up
    raise KeyboardInterrupt


def show(sandbox, screen):
    started = time.monotonic()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        screen.write("ecs-authd, shown in a sandbox", code="1")
        screen.write("The daemon and the D-Bus are real. systemd, the Docker Engine and the ECS agent are small "
                     f"stand-ins. What is called / below is {sandbox.directory}, which is removed at the end.")
        screen.hidden[str(sandbox.directory)] = ""
        Demo(sandbox, screen).run()
        print()
        screen.write(f"All of it happened, in {time.monotonic() - started:.1f} s. README.md says how to enable it on "
                     "a real host.", code="1;32")
    finally:
        ignore_signals()


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} PROGRAM (build/ecs-authd; `make` builds it)")
    for signum in SIGNALS:
        signal.signal(signum, interrupted)

    screen = Screen()
    # Whoever interrupts has to wait until there is something to clean up.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    sandbox = Sandbox(sys.argv[1])
    try:
        show(sandbox, screen)
        return 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 1
    except (AssertionError, RuntimeError, OSError) as e:
        screen.failed(str(e))
        return 1
    finally:
        sandbox.close()


if __name__ == "__main__":
    sys.exit(main())
