# SPDX-License-Identifier: Apache-2.0
"""com.ubuntu.Upstart 0.6.5 with one job, as python-dbusmock objects."""

import os
import time

import dbus
import dbus.bus
from dbus.mainloop.glib import DBusGMainLoop
from dbusmock.mockobject import DBusMockObject
from gi.repository import GLib

from .systemd1 import LoopThread, Systemd1

NAME = "com.ubuntu.Upstart"
PATH = "/com/ubuntu/Upstart"
MANAGER = "com.ubuntu.Upstart0_6"
JOB = f"{MANAGER}.Job"
INSTANCE = f"{MANAGER}.Instance"


class Upstart:
    """What it does is set in its attributes:

    stop_seconds  how long Stop takes
    refusals      {method: (name, message)}: the D-Bus error that is its answer
    """

    def __init__(self, address, job, agent):
        Systemd1.loop = Systemd1.loop or LoopThread()
        self.loop = Systemd1.loop
        self.address = address
        self.job = job
        self.agent = agent
        self.stop_seconds = 0.02
        self.refusals = {}
        self.calls = []  # (monotonic time, method)
        self.running = True
        self.objects = []
        self.connection = None

    def connect(self):
        self.loop.call(self._connect)

    def _connect(self):
        self.connection = dbus.bus.BusConnection(self.address, mainloop=DBusGMainLoop())
        self.connection.set_exit_on_disconnect(False)
        self.connection.request_name(NAME, dbus.bus.NAME_FLAG_DO_NOT_QUEUE)
        self.objects = []
        self._export(f"{PATH}/jobs/{self.job}", JOB, {}, ("GetInstanceByName", "s", "o"), ("Start", "asb", "o"))
        # Stop answers when it is done.
        self.objects[-1].AddMethod(JOB, "Stop", "asb", "", "ret = self.owner.answer('Stop', *args)")
        self._export(f"{PATH}/jobs/{self.job}/_", INSTANCE, self._state())

    def _state(self):
        return {"name": "", "goal": "start" if self.running else "stop", "state": "running" if self.running else "waiting"}

    def _export(self, path, interface, properties, *methods):
        mock = DBusMockObject(self.connection, path, interface, properties, os.devnull)
        mock.owner = self
        for method, signature, result in methods:
            mock.AddMethod(interface, method, signature, result, f"ret = self.owner.answer({method!r}, *args)")
        self.objects.append(mock)

    def disconnect(self):
        self.loop.call(self._disconnect)

    def _disconnect(self):
        if self.connection:
            for mock in self.objects:
                mock.remove_from_connection()
            self.connection.close()
            self.connection = None

    def answer(self, method, *args):
        self.calls.append((time.monotonic(), method))
        if method in self.refusals:
            name, message = self.refusals[method]
            raise dbus.exceptions.DBusException(message, name=f"{MANAGER}.Error.{name}")
        return getattr(self, f"_{method}")(*args)

    def _GetInstanceByName(self, name):
        if not self.running:
            raise dbus.exceptions.DBusException(f"Unknown instance: {name}", name=f"{MANAGER}.Error.UnknownInstance")
        return dbus.ObjectPath(f"{PATH}/jobs/{self.job}/_")

    def _Stop(self, _env, _wait):
        if not self.running:
            raise dbus.exceptions.DBusException("Unknown instance: ", name=f"{MANAGER}.Error.UnknownInstance")
        # As long as it takes, nobody else is answered: there is one loop. The daemon does not wait for it.
        deadline = time.monotonic() + self.stop_seconds
        while time.monotonic() < deadline:
            time.sleep(0.01)
        self.agent.stop()
        self.set_running(False)

    def _Start(self, _env, _wait):
        if self.running:
            raise dbus.exceptions.DBusException("Job is already running", name=f"{MANAGER}.Error.AlreadyStarted")
        self.agent.restart()
        self.set_running(True)
        return dbus.ObjectPath(f"{PATH}/jobs/{self.job}/_")

    def set_running(self, running):
        self.running = running
        if self.connection:
            self.objects[-1].props[INSTANCE].update(self._state())
            GLib.idle_add(self._tell)

    def _tell(self):
        if self.connection:
            self.objects[0].EmitSignal(JOB, "InstanceAdded" if self.running else "InstanceRemoved", "o",
                                       [dbus.ObjectPath(f"{PATH}/jobs/{self.job}/_")])
        return False

    def methods(self):
        """Stop and Start, in their order."""
        return [method for _, method in self.calls if method in ("Stop", "Start")]
