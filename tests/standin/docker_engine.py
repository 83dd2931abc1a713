# SPDX-License-Identifier: Apache-2.0
"""As much of the Docker Engine's API as ecs-authd uses, over a Unix socket."""

import http.server
import json
import re
import secrets
import socket
import socketserver
import threading
import urllib.parse

TASK_LABEL = "com.amazonaws.ecs.task-arn"
FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"


def parse_version(text):
    return tuple(map(int, text.split(".")))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        engine = self.server.engine
        engine.requests.append(self.path)
        if engine.misbehaves == "hangs":
            engine.released.wait()
            self.close_connection = True
        elif engine.misbehaves is not None:
            self.wfile.write(engine.misbehaves)
            self.close_connection = True
        else:
            self.answer(engine)

    def answer(self, engine):
        url = urllib.parse.urlsplit(self.path)
        version, path = re.fullmatch(r"(?:/v([0-9.]+))?(/.*)", url.path).groups()
        if version and parse_version(version) > parse_version(engine.api_version):
            self.send(400, {"message": f"client version {version} is too new. "
                                       f"Maximum supported API version is {engine.api_version}"})
        elif version and parse_version(version) < parse_version(engine.minimum_api_version):
            self.send(400, {"message": f"client version {version} is too old. "
                                       f"Minimum supported API version is {engine.minimum_api_version}"})
        elif path == "/_ping":
            self.send(200, "OK")
        elif path == "/events":
            self.stream_events(engine)
        elif path == "/containers/json":
            filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
            self.send(200, engine.list_containers(filters))
        elif re.fullmatch("/containers/[^/]+/json", path):
            container = engine.containers.get(path.split("/")[2])
            if container:
                self.send(200, container)
            else:
                self.send(404, {"message": f"No such container: {path.split('/')[2]}"})
        else:
            self.send(404, {"message": "page not found"})

    def stream_events(self, engine):
        """A chunk for each event, until the engine stops."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        seen = len(engine.events)
        while engine.floods and engine.server:
            self.wfile.write(b"1000\r\n" + b"\n" * 0x1000 + b"\r\n")
        while engine.wait_event(seen):
            event = json.dumps(engine.events[seen]).encode() + b"\n"
            seen += 1
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.close_connection = True

    def send(self, status, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Api-Version", self.server.engine.api_version)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass  # a client that went away


class DockerEngine:
    """misbehaves: None, "hangs" (takes the request and never answers), or the bytes that are every answer."""

    def __init__(self, socket_path):
        self.socket = socket_path
        self.api_version = "1.41"
        self.minimum_api_version = "1.12"
        self.misbehaves = None
        self.floods = False  # with events
        self.released = threading.Event()  # lets go of those who hang
        self.containers = {}  # by name, as "docker inspect" shows them
        self.requests = []
        self.events = []
        self.news = threading.Condition()
        self.server = None

    def start(self):
        self.released.clear()
        self.socket.unlink(missing_ok=True)
        self.server = Server(str(self.socket), Handler)
        self.server.engine = self
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """The engine is down: its socket is gone."""
        self.released.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        with self.news:
            self.news.notify_all()
        self.socket.unlink(missing_ok=True)

    def leave_socket(self):
        """Down, but its socket is still there: nobody listens on it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.socket))

    def recover(self):
        self.misbehaves = None
        self.released.set()

    def tell(self, action, name):
        with self.news:
            self.events.append({"Type": "container", "Action": action, "Actor": {"Attributes": {"name": name}}})
            self.news.notify_all()

    def wait_event(self, seen):
        """More than seen have happened; False: the engine stops."""
        with self.news:
            self.news.wait_for(lambda: len(self.events) > seen or self.server is None)
        return self.server is not None

    def create(self, name, environment=(), labels=None, mounts=()):
        """Creates and starts a container with a new id, in place of one with that name."""
        self.containers[name] = {
            "Id": secrets.token_hex(32),
            "Name": f"/{name}",
            "State": {"Status": "running", "Running": True},
            "Config": {"Env": list(environment), "Labels": labels or {}},
            "Mounts": [{"Type": "bind", "Source": f"/var/lib/ecs{m}", "Destination": m, "RW": True} for m in mounts],
        }
        self.tell("start", name)
        return self.containers[name]

    def remove(self, name):
        if self.containers.pop(name, None):
            self.tell("destroy", name)

    def stop_container(self, name, exit_status=0):
        self.containers[name]["State"] = {"Status": "exited", "Running": False, "ExitCode": exit_status}
        self.tell("die", name)

    def run_task(self, name="task"):
        """A container of a task, as the agent starts them."""
        self.create(name, labels={FAMILY_LABEL: "web", TASK_LABEL: f"arn:aws:ecs:eu-west-1:111122223333:task/demo/{secrets.token_hex(16)}"})

    def run_relay(self, name="relay"):
        """A container of the agent's own, as it starts them for Service Connect."""
        self.create(name, labels={FAMILY_LABEL: "", TASK_LABEL: f"arn:::::/service_connect_relay-{secrets.token_hex(16)}"})

    def list_containers(self, filters):
        """Those that run, unless the filters ask for other states."""
        return [{"Id": c["Id"], "Names": [c["Name"]], "State": c["State"]["Status"], "Labels": c["Config"]["Labels"]}
                for c in self.containers.values()
                if c["State"]["Status"] in filters.get("status", ["running"]) and
                all(label in c["Config"]["Labels"] for label in filters.get("label", []))]

    def inspections(self):
        """How often somebody has looked at a container."""
        return sum(1 for path in self.requests if re.search("/containers/[^/]+/json", path))
