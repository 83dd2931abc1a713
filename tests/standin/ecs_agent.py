# SPDX-License-Identifier: Apache-2.0
"""The ECS agent: a container on the stand-in engine, made from ecs.config as ecs-init does, and introspection."""

import http.server
import json
import socket
import socketserver
import threading

from .ecs_config import credentials, read_environment

CONTAINER = "ecs-agent"
CLUSTER = "demo"
ARN = "arn:aws:ecs:eu-west-1:111122223333"
METADATA = {"Cluster": CLUSTER, "ContainerInstanceArn": f"{ARN}:container-instance/{CLUSTER}/1",
            "Version": "Amazon ECS Agent - v1.105.1 (*a8b3e7d3)"}

TASK_LABEL = "com.amazonaws.ecs.task-arn"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        agent = self.server.agent
        pages = {"/v1/metadata": METADATA, "/v1/tasks": {"Tasks": agent.list_tasks()}}
        page = agent.pages.get(self.path, pages.get(self.path))
        page = page() if callable(page) else page
        self.send_response(404 if page is None else 200)
        self.end_headers()
        if page is not None:
            self.wfile.write(page if isinstance(page, bytes) else json.dumps(page).encode())

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Introspection:
    """Listens while the agent is registered; before and after that its port refuses, as the real one does."""

    def __init__(self, agent):
        self.agent = agent
        self.server = None
        self.ended = threading.Event()
        # Bound and not listening: the port is ours, and refuses.
        self.placeholder = socket.socket()
        self.placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.placeholder.bind(("127.0.0.1", 0))
        self.port = self.placeholder.getsockname()[1]
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        while not self.ended.wait(0.005):
            if self.agent.is_registered() != (self.server is not None):
                self.listen() if self.server is None else self.refuse()
        if self.server:
            self.refuse()

    def listen(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.agent = self.agent
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self):
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def close(self):
        self.ended.set()
        self.thread.join()
        self.placeholder.close()


class Agent:
    """How its next start goes is set in its attributes:

    ignores_file    the container comes up without the variables of the file
    comes_up        False: the container stops at once; None: there is none; "old": the old one stays
    answers         introspection answers, that is: the agent has registered
    exit_status     of a container that does not come up
    tasks           KnownStatus of each task that has no container (yet), as introspection tells
    forgets         the agent does not know of the tasks whose containers there are
    pages           {path: object, bytes, or a function that returns one}: what introspection says instead
    datadir, mounts ECS_DATADIR, and the directories of the host in the container
    """

    def __init__(self, engine, environment_file):
        self.engine = engine
        self.environment_file = environment_file
        self.ignores_file = False
        self.comes_up = True
        self.answers = True
        self.exit_status = 1
        self.tasks = []
        self.forgets = False
        self.pages = {}
        self.datadir = "/data"
        self.mounts = ["/data"]
        self.introspection = Introspection(self)
        self.url = f"http://127.0.0.1:{self.introspection.port}"

    def close(self):
        self.introspection.close()

    def is_registered(self):
        return self.answers and self.container(running=True) is not None

    def list_tasks(self):
        def task(arn, status):
            return {"Arn": arn, "DesiredStatus": "RUNNING", "KnownStatus": status, "Family": "web", "Version": "1",
                    "Containers": []}

        containers = [] if self.forgets else list(self.engine.containers.values())
        arns = {c["Config"]["Labels"].get(TASK_LABEL): c["State"]["Running"] for c in containers}
        return [task(f"{ARN}:task/{CLUSTER}/{n}", status) for n, status in enumerate(self.tasks)] + \
               [task(arn, "RUNNING" if runs else "STOPPED") for arn, runs in arns.items()
                if arn and not arn.startswith("arn:::::/")]

    def restart(self):
        """As ecs-init: removes the container and makes a new one."""
        if self.comes_up == "old":
            return
        self.engine.remove(CONTAINER)
        if self.comes_up is None:
            return
        environment = {"ECS_DATADIR": self.datadir} if self.datadir else {}
        if not self.ignores_file:
            environment.update(read_environment(self.environment_file))
        self.engine.create(CONTAINER, [f"{k}={v}" for k, v in environment.items()], mounts=self.mounts)
        if not self.comes_up:
            self.stop(self.exit_status)

    def stop(self, exit_status=0):
        if self.container():
            self.engine.stop_container(CONTAINER, exit_status)

    def container(self, running=False):
        container = self.engine.containers.get(CONTAINER)
        return container if container and (container["State"]["Running"] or not running) else None

    def container_id(self):
        container = self.container()
        return container["Id"] if container else None

    def environment(self):
        """Of the running agent."""
        container = self.container(running=True)
        return dict(v.split("=", 1) for v in container["Config"]["Env"]) if container else {}

    def credentials(self):
        """What the running agent pulls with: {registry: (user, password)}; None: it has dropped them all."""
        return credentials(self.environment())
