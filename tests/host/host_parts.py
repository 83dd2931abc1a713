# SPDX-License-Identifier: Apache-2.0
"""The real parts of a host, each started for one run of the tests and ended by its own process: a Docker Engine, a
registry with a password, and a systemd booted as PID 1 from a root that debootstrap made."""

import base64
import contextlib
import ctypes
import hashlib
import http.client
import json
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from standin.wait import never, wait_for  # noqa: E402,F401

ECS_AUTHD = Path(os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd"))


def run(*command, **kwargs):
    result = subprocess.run(command, check=False, text=True, capture_output=True, **kwargs)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {result.returncode}\n{(result.stdout + result.stderr)[-3000:]}")
    return result.stdout


def end(process, seconds=20):
    """Ends a process that we started, and waits for it."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


CLONE_NEWNET = 0x40000000
MACHINE_NETWORK = Path(f"/proc/{os.getpid()}/fd/{os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)}")


def take_own_network():
    """Gives this process, and each process that it starts, a network with 127.0.0.1 alone: two runs use the same ports."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    run("ip", "link", "set", "lo", "up")


def run_on_machine_network(*command, **kwargs):
    """For what packages come from."""
    return run("nsenter", f"--net={MACHINE_NETWORK}", *command, **kwargs)


class ControlGroup:
    """A control group of its own for a host: systemd-nspawn uses the group in which it starts, for the host's groups, too."""

    number = 0

    def __init__(self):
        top = Path("/sys/fs/cgroup")
        ControlGroup.number += 1
        self.path = (top / "unified" if (top / "unified").is_dir() else top) / f"ecs-authd-host-{os.getpid()}-{self.number}"
        self.path.mkdir()

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def remove(self):
        for directory, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def missing_parts():
    """Why the host level cannot run here; empty when it can."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root")
    for program in ("debootstrap", "systemd-nspawn", "nsenter", "dockerd", "docker-registry", "htpasswd", "gcc", "ip"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            missing.append(program)
    if not missing:
        missing += [right for right, command in RIGHTS.items()
                    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-ec", command], check=False,
                                      capture_output=True).returncode != 0]
    return missing


# What root may not do everywhere, as in a container: each is tried.
RIGHTS = {
    "the right to make namespaces": "true",
    "the right to mount": "mount -t tmpfs none /mnt",
    "overlay file systems": "mount -t tmpfs none /mnt; cd /mnt; mkdir l u w m; mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m",
    "control groups that can be written": "d=/sys/fs/cgroup; [ ! -d $d/unified ] || d=$d/unified; rmdir $(mktemp -d $d/ecs-authd-try.XXXXXX)",
}


class Control:
    """What the agent's stand-in is told, at any time: agent-program.c says what each line means."""

    def __init__(self, directory):
        self.directory = directory
        self.lines = {}
        directory.mkdir()
        (directory / "directory").write_text(str(directory))

    def set(self, **changes):
        """register=SECONDS or None (never), exit=(STATUS, SECONDS) or None, stop=SECONDS, tasks=[(ARN, STATUS, FAMILY)]"""
        self.lines.update(changes)
        lines = []
        if "register" in self.lines:
            after = self.lines["register"]
            lines.append(f"register {'never' if after is None else after}")
        if self.lines.get("exit"):
            lines.append("exit {} {}".format(*self.lines["exit"]))
        lines.append(f"stop {self.lines.get('stop', 0)}")
        lines += [f"task {arn} {status} {family}" for arn, status, family in self.lines.get("tasks", [])]
        (self.directory / "new").write_text("\n".join(lines) + "\n")
        (self.directory / "new").rename(self.directory / "agent")

    def reset(self):
        self.lines = {}
        self.set()


class Engine:
    """dockerd, with an image of the agent's stand-in."""

    def __init__(self, directory):
        self.directory = directory
        self.socket = directory / "docker.sock"
        self.process = None
        directory.mkdir()
        self.control = Control(directory / "control")

    def start(self):
        log = open(self.directory / "log", "a", encoding="utf-8")
        self.process = subprocess.Popen(
            ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", f"--data-root={self.directory}/data",
             f"--exec-root={self.directory}/exec", f"--pidfile={self.directory}/pid", "--host", f"unix://{self.socket}"],
            # Of its own session: a test stops it for a while, and a process group that loses its parent while it has a
            # stopped member gets SIGHUP, tests and all.
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        wait_for(self.answers, 60, "the Docker Engine answers", lambda: (self.directory / "log").read_text()[-3000:])

    def answers(self):
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", "version"], capture_output=True,
                              check=False).returncode == 0

    def stop(self):
        if self.process:
            end(self.process, 40)
            self.process = None
            # dockerd leaves the mount that stands for --network host.
            subprocess.run(["umount", "--lazy", str(self.directory / "exec" / "netns" / "default")], check=False,
                           capture_output=True)

    def docker(self, *arguments):
        return run("docker", "-H", f"unix://{self.socket}", *arguments)

    def import_agent(self):
        image = self.directory / "image"
        image.mkdir()
        run("gcc", "-static", "-O1", "-o", str(image / "agent"), str(HERE / "agent-program.c"))
        archive = self.directory / "image.tar"
        run("tar", "-C", str(image), "-cf", str(archive), ".")
        shutil.rmtree(image)
        self.docker("import", str(archive), "amazon/amazon-ecs-agent:latest")

    def agent(self):
        """What `docker inspect` says of the agent's container; None when there is none."""
        try:
            return json.loads(self.docker("inspect", "ecs-agent"))[0]
        except AssertionError:
            return None

    def running_agent(self):
        agent = self.agent()
        return agent if agent and agent["State"]["Running"] else None

    @contextlib.contextmanager
    def task(self, arn):
        """A container with the label of a task; gives its id."""
        container = self.docker("run", "-d", "--network", "host", "--label", f"com.amazonaws.ecs.task-arn={arn}",
                                "amazon/amazon-ecs-agent:latest", "/agent", "task").strip()
        try:
            yield container
        finally:
            self.docker("rm", "-f", container)


class Registry:
    """docker-registry with one user; a new password counts at once."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        self.user = "puller"
        self.password = None
        self.process = None
        directory.mkdir()

    def start(self):
        self.new_password()
        config = self.directory / "config.yml"
        config.write_text(f"version: 0.1\n"
                          f"storage: {{filesystem: {{rootdirectory: {self.directory}/data}}}}\n"
                          f"http: {{addr: '{self.name}'}}\n"
                          f"auth: {{htpasswd: {{realm: test, path: {self.directory}/htpasswd}}}}\n")
        log = open(self.directory / "log", "a", encoding="utf-8")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: self.accepts(self.user, self.password), 30, "the registry answers",
                 lambda: (self.directory / "log").read_text()[-3000:])

    def new_password(self):
        self.password = secrets.token_hex(12)
        line = run("htpasswd", "-Bbn", self.user, self.password)
        temporary = self.directory / "htpasswd.new"
        temporary.write_text(line)
        temporary.rename(self.directory / "htpasswd")
        if self.process:
            wait_for(lambda: self.accepts(self.user, self.password), 30, "the registry takes the new password")

    def accepts(self, user, password):
        """What the engine does before a pull: GET /v2/ with these credentials."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        try:
            connection.request("GET", "/v2/", headers={"Authorization": f"Basic {token}"})
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self):
        if self.process:
            end(self.process)
            self.process = None

    def entry(self):
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def environment(container):
    return dict(variable.split("=", 1) for variable in container["Config"]["Env"] if "=" in variable)


def credentials_for(container, registry):
    """User and password that the agent would use for an image of the registry, as dockerauth.go finds them; None when
    it would pull without."""
    env = environment(container)
    kind, data = env.get("ECS_ENGINE_AUTH_TYPE"), env.get("ECS_ENGINE_AUTH_DATA")
    if not kind and not data:
        return None
    entries = json.loads(data)
    for key, entry in entries.items():
        if re.sub("^https?://", "", key) != registry:
            continue
        if kind == "dockercfg":
            return tuple(base64.b64decode(entry["auth"], validate=True).decode().split(":", 1))
        return entry["username"], entry["password"]
    return None


def has_newest(engine, registry):
    """The running agent, if it has the newest credentials."""
    agent = engine.running_agent()
    return agent if agent and credentials_for(agent, registry.name) == (registry.user, registry.password) else None


def wait_newest(host, engine, registry, seconds=40):
    return wait_for(lambda: has_newest(engine, registry), seconds, "ecs-agent runs with the newest credentials", host.tail)


def wait_live(host, engine, registry, since=None, seconds=40):
    """The same, and the daemon has seen that it answers."""
    agent = wait_newest(host, engine, registry, seconds)
    wait_for(lambda: any("runs with the credentials of 1 registry" in line["MESSAGE"] and
                         line.get("ECS_AUTHD_CONTAINER_ID") == agent["Id"] for line in host.journal(since)),
             seconds, "the daemon has seen it live", host.tail)
    return agent


def entry_of(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def config_json(registry, auth):
    return json.dumps({"auths": {registry.name: {"auth": auth}}})


def new_login(host, registry):
    registry.new_password()
    host.login(registry)


def boot_logged_in(host, registry, settings=""):
    """With ECS_CLUSTER=web, the registry's credentials, and these settings beside those of Host.install()."""
    host.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    host.write("/root/.docker/config.json", config_json(registry, registry.entry()), 0o600)
    host.write("/etc/ecs-authd.conf.d/20-module.conf", "[Restart]\n" + settings)
    host.boot()


def install_package(host, package):
    target = f"/root/{package.name}"
    with open(package, "rb") as file:
        subprocess.run(host.command("sh", "-c", f"cat > {target}"), check=True, stdin=file)
    return host.run("apt-get", "-q", "-y", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold", "install", target)


def version():
    return run("make", "-s", "version", cwd=TOP).strip()


def release():
    return dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().replace('"', "").splitlines() if "=" in line)


def mirror():
    """The mirror that this machine's own apt uses."""
    texts = [p.read_text() for p in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
             if p.is_file()]
    suite = release()["VERSION_CODENAME"]
    for text in texts:
        for block in re.split(r"\n\s*\n", text):
            uri = re.search(r"^URIs:\s*(\S+)", block, re.M)
            suites = re.search(r"^Suites:\s*(.*)", block, re.M)
            if uri and suites and suite in suites.group(1).split():
                return uri.group(1)
        line = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{suite}\s", text, re.M)
        if line:
            return line.group(1)
    raise AssertionError(f"no apt source for {suite}")


def libraries():
    """The packages of what the daemon is linked with."""
    packages = set()
    for line in run("ldd", str(ECS_AUTHD)).splitlines():
        path = re.search(r"=> (/\S+)", line)
        if path:
            # dpkg knows a file by one of its two names where /lib is a link to /usr/lib.
            real = os.path.realpath(path.group(1))
            owner = subprocess.run(["dpkg", "-S", real, real.removeprefix("/usr")], check=False, text=True,
                                   capture_output=True).stdout
            packages.add(owner.split(":")[0])
    return sorted(packages)


def cached_root(packages, make):
    """A root with these packages, kept outside the checkout; make(directory) makes it where it is not there yet."""
    tag = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecs-authd"
    root = cache / f"host-{release()['VERSION_CODENAME']}-{platform.machine()}-{tag}"
    if root.exists():
        return root

    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{root.name}.{os.getpid()}"
    try:
        make(unfinished)
        unfinished.rename(root)  # an interrupted one is never used
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return root


def base_root():
    """systemd, and what the daemon is linked with."""
    packages = ["systemd", "systemd-sysv", "dbus", "ca-certificates", *libraries()]
    components = "main,universe" if release()["ID"] == "ubuntu" else "main"
    return cached_root(packages, lambda directory: run_on_machine_network(
        "debootstrap", "--variant=minbase", f"--components={components}", f"--include={','.join(packages)}",
        release()["VERSION_CODENAME"], str(directory), mirror()))


def extended_root(extra):
    """The same with more packages, which only apt can find all dependencies of."""
    base = base_root()

    def make(directory):
        run("cp", "-a", "--reflink=auto", str(base), str(directory))
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        run_on_machine_network("chroot", str(directory), "apt-get", "-q", "update", env=environment)
        run_on_machine_network("chroot", str(directory), "apt-get", "-q", "-y", "install", "--no-install-recommends", *extra, env=environment)

    return cached_root([base.name, *extra], make) if extra else base


class Host:
    """A systemd as PID 1, over a throw-away layer above the base root, with ecs-authd and the stand-in for ECS."""

    def __init__(self, directory, engine, extra=(), unit="ecs.service", installed=True):
        self.directory = directory
        self.engine = engine
        self.unit = unit
        self.root = directory / "root"
        self.process = None
        self.leader = None
        self.group = None
        for name in ("root", "upper", "work"):
            (directory / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={extended_root(extra)},upperdir={directory}/upper,workdir={directory}/work", str(self.root))
        self.install_agent()
        if installed:
            run("make", "-s", "install", f"DESTDIR={self.root}", cwd=TOP)
            run("systemctl", f"--root={self.root}", "enable", "ecs-authd.service")

    def install_agent(self):
        """And settings that are fast enough."""
        self.write("/usr/libexec/ecs-init", (HERE / "ecs-init").read_text(), 0o755)
        self.write("/etc/systemd/system/ecs.service", (HERE / self.unit).read_text())
        # The engine's directory is bound, not its socket: that one is a new one after each start.
        self.write("/etc/tmpfiles.d/engine.conf", "L /run/docker.sock - - - - /run/engine/docker.sock\n")
        # Fast enough to be waited for, slow enough for the start limit of ecs.service: 5 in 10 s.
        self.write("/etc/ecs-authd.conf.d/10-test.conf",
                   "[Restart]\nSettleSec=300ms\nMinIntervalSec=2600ms\nVerifySec=30s\n")
        run("systemctl", f"--root={self.root}", "enable", "ecs.service")

    def write(self, path, text, mode=0o644):
        """Before the boot, or where the layer is not in the way."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def boot(self):
        log = open(self.directory / "console", "w", encoding="utf-8")
        self.group = ControlGroup()
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit", "--boot",
             # For IPAddressDeny=, which systemd passes over where it may not use BPF.
             "--capability=CAP_BPF,CAP_NET_ADMIN", "--system-call-filter=bpf", "--console=pipe", f"--bind={self.engine.directory}:/run/engine",
             f"--bind-ro={shutil.which('docker', path='/usr/bin:/bin:/usr/local/bin')}:/usr/bin/docker"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=self.group.enter,
            env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"))
        self.leader = wait_for(self.find_leader, 20, "systemd starts", self.console)
        wait_for(lambda: self.run("systemctl", "is-system-running", check=False).strip() == "running", 60,
                 "the host has booted", lambda: self.console() + self.run("systemctl", "--failed", check=False))

    def find_leader(self):
        """The child of systemd-nspawn that is PID 1 of its own namespace; before it there is one that only prepares."""
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                numbers = re.search(r"^NSpid:\s+(.*)$", Path(f"/proc/{child}/status").read_text(), re.M).group(1).split()
                if len(numbers) == 2 and numbers[1] == "1":
                    return child
        return None

    def console(self):
        return (self.directory / "console").read_text(errors="replace")[-3000:]

    def command(self, *arguments):
        return ["nsenter", "--target", self.leader, "--all", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", *arguments]

    def run(self, *arguments, check=True, **kwargs):
        result = subprocess.run(self.command(*arguments), check=False, text=True, capture_output=True, **kwargs)
        if check and result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout

    def shell(self, script, check=True):
        return self.run("sh", "-c", script, check=check)

    def login(self, registry, password=None):
        self.run("docker", "login", "--username", registry.user, "--password-stdin", registry.name,
                 input=password or registry.password)

    def logout(self, registry):
        self.run("docker", "logout", registry.name)

    def read(self, path):
        """A file as it is: no newline is translated."""
        return subprocess.run(self.command("cat", path), check=True, capture_output=True).stdout.decode()

    def put(self, path, text):
        """Replaces a file of the running host as careful programs do: beside it, then by rename."""
        subprocess.run(self.command("sh", "-c", 'cat > "$1.new" && mv "$1.new" "$1"', "sh", path), check=True,
                       input=text.encode())

    def cursor(self):
        """A place in the journal, for journal(since=)."""
        self.run("journalctl", "--sync", check=False)
        # Of an entry that the filter of journal() has, too: after any other one journalctl 252 skips an entry.
        return self.run("journalctl", "--no-pager", "-u", "ecs-authd", "-n1", "--show-cursor").split("-- cursor: ")[1].strip()

    def journal(self, since=None):
        """The daemon's lines, as dictionaries of fields."""
        after = [f"--after-cursor={since}"] if since else []
        lines = self.run("journalctl", "--no-pager", "-u", "ecs-authd", "-o", "json", *after).splitlines()
        return [entry for entry in map(json.loads, lines) if entry.get("SYSLOG_IDENTIFIER") == "ecs-authd"]

    def said(self, text, since=None):
        """The line that holds text, if the daemon has said it."""
        return next((entry for entry in self.journal(since) if text in entry["MESSAGE"]), None)

    def wait_said(self, text, since=None, seconds=20):
        return wait_for(lambda: self.said(text, since), seconds, f"the journal says: {text}", self.tail)

    def lines(self, text, since=None):
        return [entry for entry in self.journal(since) if text in entry["MESSAGE"]]

    def restarts(self, since=None):
        """How many restarts of the agent the daemon, or apply in its place, has begun; starts are none."""
        return len(self.lines("Restarting ecs.service", since))

    def jobs(self, since=None):
        """How many jobs for the agent's unit have come to their end, restarts and starts."""
        return len([entry for entry in self.journal(since) if entry.get("ECS_AUTHD_JOB_RESULT")])

    def tail(self):
        return "\n".join(entry["MESSAGE"] for entry in self.journal()[-25:]) + "\n" + self.run(
            "systemctl", "status", "ecs-authd", "ecs", "--no-pager", check=False)

    def property(self, unit, name):
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def restart_daemon(self):
        """Waits for READY."""
        self.restart_unit("ecs-authd")

    def restart_agent(self):
        self.restart_unit("ecs")

    def restart_unit(self, unit):
        """More often than systemd's start limit has it: the tests are at fault, not the daemon."""
        self.run("systemctl", "reset-failed", unit, check=False)
        self.run("systemctl", "restart", unit)

    def power_off(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.kill(int(self.leader), signal.SIGKILL)
                self.process.wait()
            self.process = None
            self.group.remove()

    def remove(self):
        self.power_off()
        subprocess.run(["umount", "--lazy", str(self.root)], check=False)
