# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.systemd1 with one unit, as a python-dbusmock object."""

import os
import re
import threading
import time

import dbus
import dbus.bus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop, threads_init
from dbusmock.mockobject import DBusMockObject
from gi.repository import GLib

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
UNIT = f"{NAME}.Unit"
SERVICE = f"{NAME}.Service"
NO_JOB = dbus.Struct((dbus.UInt32(0), dbus.ObjectPath("/")), signature="uo")


def unit_path(name):
    return f"{PATH}/unit/" + re.sub("[^A-Za-z0-9]", lambda m: f"_{ord(m.group()):02x}", name)


def unit_name(path):
    return re.sub("_(..)", lambda m: chr(int(m.group(1), 16)), path.rsplit("/", 1)[1])


class UnitObject(DBusMockObject):
    """Returns the properties of all interfaces together if GetAll names none, as systemd does."""

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface_name, *_, **__):
        if interface_name:
            return super().GetAll(interface_name)
        self.owner.looks += 1
        return self.all_properties()

    def all_properties(self):
        return {name: value for properties in self.props.values() for name, value in properties.items()}


class NoUnits(dbus.service.FallbackObject):
    """All units without an object of their own: the alias, and units without a unit file."""

    owner = None
    methods = {}  # for dbusmock, which looks there first

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}", rel_path_keyword="path")
    def GetAll(self, _interface_name, path):
        self.owner.looks += 1
        if unit_name(path) == self.owner.alias:
            return self.owner.unit_object.all_properties()
        return {"Id": unit_name(path), "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "Job": NO_JOB}


class LoopThread:
    """One GLib main loop for everything that is on D-Bus; nothing else may touch those objects."""

    def __init__(self):
        threads_init()
        self.loop = GLib.MainLoop()
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()

    def call(self, function, *args):
        """Runs the function in the loop; returns what it returns, raises what it raises."""
        if threading.current_thread() is self.thread:
            return function(*args)
        done = threading.Event()
        outcome = {}

        def run():
            try:
                outcome["value"] = function(*args)
            except Exception as e:  # pylint: disable=broad-except
                outcome["error"] = e
            done.set()
            return False

        GLib.idle_add(run)
        if not done.wait(20):
            raise RuntimeError("the main loop hangs")
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]


class Systemd1:
    """What it does with TryRestartUnit and StartUnit is set in its attributes:

    job_result    the word in JobRemoved: "done" restarts the agent; with "failed" and "dependency" it is down, and the
                  unit failed or inactive; any other leaves it alone
    start_result  the same for StartUnit
    signal        JobRemoved comes "after" the reply, or "never"
    job_seconds   how long a job takes
    refusal       None, or (name, message) of the D-Bus error that is the answer
    """

    loop = None

    def __init__(self, address, unit, agent):
        Systemd1.loop = Systemd1.loop or LoopThread()
        self.address = address
        self.unit = unit
        self.alias = None  # another name of the unit
        self.agent = agent
        self.job_result = "done"
        self.start_result = "done"
        self.signal = "after"
        self.job_seconds = 0.02
        self.refusal = None
        self.calls = []  # (monotonic time, method, arguments)
        self.subscribed = False
        self.job_id = 0
        self.properties = {"Id": unit, "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
                           "Job": NO_JOB, "UnitFileState": "enabled",
                           "InactiveExitTimestampMonotonic": dbus.UInt64(1),
                           "InactiveEnterTimestampMonotonic": dbus.UInt64(0)}
        # Of ecs-authd.service, for who asks.
        self.own_properties = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Job": NO_JOB,
                               "UnitFileState": "enabled", "Before": dbus.Array([unit], signature="s")}
        self.own_service_properties = {}
        self.environment_files = []
        self.service_properties = {"Result": "success", "ExecMainStatus": dbus.Int32(0)}
        self.connection = self.manager_object = self.unit_object = self.no_units = None
        self.looks = 0  # how often the properties of a unit were read
        self.others = {}  # units that do not exist, by path

    # --- its place on the bus ---

    def connect(self):
        self.loop.call(self._connect)

    def _connect(self):
        self.connection = dbus.bus.BusConnection(self.address, mainloop=DBusGMainLoop())
        self.connection.set_exit_on_disconnect(False)
        # Nothing is dispatched before this function ends: whoever sees the name finds the objects.
        self.connection.request_name(NAME, dbus.bus.NAME_FLAG_DO_NOT_QUEUE)
        self.manager_object = self._export(PATH, MANAGER, {"Version": "252"})
        for method, signature, result in (("Subscribe", "", ""), ("LoadUnit", "s", "o"), ("TryRestartUnit", "ss", "o"),
                                          ("StartUnit", "ss", "o"), ("ResetFailedUnit", "s", "")):
            self.manager_object.AddMethod(MANAGER, method, signature, result,
                                          f"ret = self.owner.answer({method!r}, *args)")
        self.unit_object = self._export(unit_path(self.unit), UNIT, dict(self.properties))
        files = dbus.Array([dbus.Struct((str(f), False), signature="sb") for f in self.environment_files], signature="(sb)")
        self.unit_object.AddProperties(SERVICE, {**self.service_properties, "EnvironmentFiles": files})
        self.no_units = NoUnits(self.connection, f"{PATH}/unit")
        self.no_units.owner = self

    def _export(self, path, interface, properties):
        mock = UnitObject(self.connection, path, interface, properties, os.devnull)
        mock.owner = self
        return mock

    def disconnect(self):
        """systemd is gone from the bus, and has forgotten who subscribed."""
        self.loop.call(self._disconnect)

    def _disconnect(self):
        if not self.connection:
            return
        self.subscribed = False
        for mock in (self.manager_object, self.unit_object, self.no_units, *self.others.values()):
            mock.remove_from_connection()
        self.others = {}
        self.connection.close()
        self.connection = None

    # --- the unit ---

    def set_unit(self, **properties):
        """LoadState=, ActiveState=, SubState=, Job=; tells those who subscribed."""
        self.loop.call(self._set_unit, properties)

    def _set_unit(self, properties):
        was_down, is_down = (p.get("ActiveState", self.properties["ActiveState"]) in ("inactive", "failed")
                             for p in (self.properties, properties))
        if was_down != is_down and not any("Timestamp" in name for name in properties):
            name = "InactiveEnterTimestampMonotonic" if is_down else "InactiveExitTimestampMonotonic"
            properties = {**properties, name: dbus.UInt64(int(time.monotonic() * 1e6))}
        self.properties.update(properties)
        if not self.connection:
            return
        self.unit_object.props[UNIT].update(properties)
        if self.subscribed:
            self.unit_object.EmitSignal(dbus.PROPERTIES_IFACE, "PropertiesChanged", "sa{sv}as", [UNIT, properties, []])

    def set_failed(self, result="exit-code", exit_status=1):
        """The unit has failed, for that reason (Result= and ExecMainStatus= of systemctl show)."""
        self.loop.call(self._set_failed, result, exit_status)

    def _set_failed(self, result, exit_status):
        self.service_properties = {"Result": result, "ExecMainStatus": dbus.Int32(exit_status)}
        if self.connection:
            self.unit_object.props[SERVICE].update(self.service_properties)
        self._set_unit({"ActiveState": "failed", "SubState": "failed"})

    def end_unit(self, stop, code=1, status=0, remains=False):
        """The unit becomes inactive: by a stop job, or because its main process exited (code 1) or got a signal (code 2). In
        the order that systemd 252 was measured to have: a stop job first takes the unit out of "active"."""
        self.loop.call(self._end_unit, stop, code, status, remains)

    def _end_unit(self, stop, code, status, remains):
        now = int(time.monotonic() * 1e6)
        self.service_properties = {"Result": "success", "ExecMainCode": dbus.Int32(code), "ExecMainStatus": dbus.Int32(status),
                                   "ExecMainExitTimestampMonotonic": dbus.UInt64(now + (5000 if stop else -5000)),
                                   "RemainAfterExit": dbus.Boolean(remains)}
        if self.connection:
            self.unit_object.props[SERVICE].update(self.service_properties)
        self._set_unit({"ActiveExitTimestampMonotonic": dbus.UInt64(now), "InactiveEnterTimestampMonotonic": dbus.UInt64(now),
                        "ActiveState": "inactive", "SubState": "dead"})

    def queue_job(self):
        """A job that somebody else has queued for the unit."""
        self.set_unit(Job=self._next_job())

    def finish_job(self):
        self.set_unit(Job=NO_JOB)

    def run_job_of_operator(self, real=True):
        """A job for a unit that is down, which leaves it down and changes no time of it: a stop. Not real: a try-restart,
        which systemd makes a job that is not the unit's (JOB_NOP)."""
        self.loop.call(self._run_job_of_operator, real)

    def _run_job_of_operator(self, real):
        job = self._next_job()
        self._set_unit({"Job": job if real else NO_JOB})
        self.manager_object.EmitSignal(MANAGER, "JobNew", "uos", [job[0], job[1], self.unit])
        self._set_unit({"Job": NO_JOB})
        self.manager_object.EmitSignal(MANAGER, "JobRemoved", "uoss", [job[0], job[1], self.unit, "done"])

    @staticmethod
    def ago(seconds):
        """A moment of CLOCK_MONOTONIC, as systemd tells it."""
        return dbus.UInt64(int((time.monotonic() - seconds) * 1e6))

    def _next_job(self):
        self.job_id += 1
        return dbus.Struct((dbus.UInt32(self.job_id), dbus.ObjectPath(f"{PATH}/job/{self.job_id}")), signature="uo")

    # --- the methods ---

    def answer(self, method, *args):
        args = tuple(map(str, args))
        self.calls.append((time.monotonic(), method, args))
        if method == "Subscribe":
            self.subscribed = True
            return None
        if method == "LoadUnit":
            return self._load_unit(args[0])
        if method == "ResetFailedUnit":
            if self.properties["ActiveState"] == "failed":
                self._set_unit({"ActiveState": "inactive", "SubState": "dead"})
            return None
        return self._begin(start=method == "StartUnit")

    def _load_unit(self, name):
        path = unit_path(name)
        if name == "ecs-authd.service" and path not in self.others:
            self.others[path] = self._export(path, UNIT, dict(self.own_properties))
            self.others[path].AddProperties(SERVICE, dict(self.own_service_properties))
        elif name != self.unit and path not in self.others:
            self.others[path] = self._export(path, UNIT, {"LoadState": "not-found", "ActiveState": "inactive",
                                                          "SubState": "dead", "Job": NO_JOB})
        return dbus.ObjectPath(path)

    def _begin(self, start):
        if self.refusal:
            raise dbus.exceptions.DBusException(self.refusal[1], name=self.refusal[0])
        if self.properties["LoadState"] != "loaded":
            raise dbus.exceptions.DBusException(f"Unit {self.unit} not found.", name=f"{NAME}.NoSuchUnit")

        job = self._next_job()
        self._set_unit({"Job": job})
        GLib.timeout_add(int(self.job_seconds * 1000), self._run_job, job, start)
        return job[1]

    def _run_job(self, job, start):
        changed = {"Job": NO_JOB}
        result = self.start_result if start else self.job_result
        # "Try": what does not run is not started.
        if start or self.properties["ActiveState"] == "active":
            if result == "done":
                self._set_unit({"ActiveState": "inactive", "SubState": "dead"})
                self._set_unit({"ActiveState": "active", "SubState": "running"})
                self.agent.restart()
            elif result == "failed" or (result == "dependency" and not start):  # a start without its dependency does nothing
                self.agent.stop()
                changed.update(ActiveState="failed" if result == "failed" else "inactive", SubState="dead")
        self._set_unit(changed)
        if self.subscribed and self.connection and self.signal != "never":
            self.manager_object.EmitSignal(MANAGER, "JobRemoved", "uoss", [job[0], job[1], self.unit, result])
        return False

    # --- what was asked of it ---

    def restarts(self):
        """The calls of TryRestartUnit: (monotonic time, (unit, mode))."""
        return [(when, args) for when, method, args in self.calls if method == "TryRestartUnit"]

    def starts(self):
        """When StartUnit was called."""
        return [when for when, method, _ in self.calls if method == "StartUnit"]

    def methods(self):
        """What was asked about the unit's running, in that order."""
        return [method for _, method, _ in self.calls if method not in ("Subscribe", "LoadUnit")]
