# SPDX-License-Identifier: Apache-2.0
"""The ECS agent: a container on the stand-in engine, made from ecs.config as ecs-init does, and introspection."""

import http.server
import json
import socketserver
import threading

from .ecs_config import credentials, read_environment

CONTAINER = "ecs-agent"
CLUSTER = "demo"
ARN = "arn:aws:ecs:eu-west-1:111122223333"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        agent = self.server.agent
        pages = {
            "/v1/metadata": {"Cluster": CLUSTER,
                             "ContainerInstanceArn": f"{ARN}:container-instance/{CLUSTER}/1",
                             "Version": "Amazon ECS Agent - v1.85.0 (a1b2c3d4)"},
            "/v1/tasks": {"Tasks": [{"Arn": f"{ARN}:task/{CLUSTER}/{n}", "DesiredStatus": "RUNNING",
                                     "KnownStatus": status, "Family": "web", "Version": "1", "Containers": []}
                                    for n, status in enumerate(agent.tasks)]},
        }
        body = json.dumps(pages.get(self.path))
        found = self.path in pages and agent.answers and agent.container(running=True)
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Agent:
    """How its next start goes is set in its attributes:

    ignores_file    the container comes up without the variables of the file
    comes_up        False: the container stops at once; None: there is none; "old": the old one stays
    answers         introspection answers, that is: the agent has registered
    breaks_with     a user name: with credentials of that user the container stops at once
    exit_status     of a container that does not come up
    tasks           KnownStatus of each task, as introspection tells
    datadir, mounts ECS_DATADIR, and the directories of the host in the container
    """

    def __init__(self, engine, environment_file):
        self.engine = engine
        self.environment_file = environment_file
        self.ignores_file = False
        self.comes_up = True
        self.answers = True
        self.breaks_with = None
        self.exit_status = 1
        self.tasks = []
        self.datadir = "/data"
        self.mounts = ["/data"]
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.agent = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

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
        if not self.comes_up or self.breaks_with in [user for user, _ in (self.credentials() or {}).values()]:
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
