# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of test-bus.py and test-lost-bus.py stand on: a private dbus-daemon with the policy
file that is installed, a daemon on it, and clients: busctl, as root or nobody.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from daemoncase import DaemonCase, eventually

NAME = "org.daxguard1"
ROOT_PATH = "/org/daxguard1"
MANAGER = NAME + ".Manager"
NOBODY = 65534
DBUS = os.environ.get("DAXGUARD_TEST_DBUS", "")

# As Debian's system.conf, as far as it matters here.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
 <type>system</type>
 <listen>unix:path={socket}</listen>
 <auth>EXTERNAL</auth>
 <policy context="default">
  <allow user="*"/>
  <deny own="*"/>
  <deny send_type="method_call"/>
  <allow send_type="signal"/>
  <allow send_requested_reply="true" send_type="method_return"/>
  <allow send_requested_reply="true" send_type="error"/>
  <allow receive_type="method_call"/>
  <allow receive_type="method_return"/>
  <allow receive_type="error"/>
  <allow receive_type="signal"/>
  <allow send_destination="org.freedesktop.DBus"/>
  <allow send_destination="org.freedesktop.PolicyKit1"/>
 </policy>
 <policy user="root">
  <allow own="org.freedesktop.PolicyKit1"/>
 </policy>
 <include>{dbus}/org.daxguard1.conf</include>
</busconfig>
"""


class Refused(Exception):
    """A call that was answered with an error: its text, as busctl says it."""


class BusCase(DaemonCase):
    def setUp(self):
        super().setUp()
        # Not below self.dir, which is root's alone.
        self.bus_dir = tempfile.mkdtemp(prefix="daxguard-bus-")
        os.chmod(self.bus_dir, 0o755)
        self.addCleanup(shutil.rmtree, self.bus_dir, ignore_errors=True)
        self.socket = os.path.join(self.bus_dir, "socket")
        self.address = "unix:path=" + self.socket
        os.environ["DAXGUARD_TEST_BUS"] = self.address
        self.addCleanup(os.environ.pop, "DAXGUARD_TEST_BUS", None)
        with open(self.bus_dir + "/conf", "w", encoding="ascii") as file:
            file.write(CONFIG.format(socket=self.socket, dbus=DBUS))
        self.bus = None

    def start_bus(self):
        self.bus = subprocess.Popen(["dbus-daemon", "--config-file=" + self.bus_dir + "/conf", "--nofork",
                                     "--nopidfile"])
        self.processes.append(self.bus)
        eventually(self.bus_listens)

    def bus_listens(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(self.socket) == 0

    def stop_bus(self):
        self.bus.kill()
        self.bus.wait()

    def freeze_bus(self):
        self.bus.send_signal(signal.SIGSTOP)

    def thaw_bus(self):
        self.bus.send_signal(signal.SIGCONT)

    def start_on_bus(self):
        self.start_bus()
        daemon = self.start()
        eventually(self.is_on_bus)
        return daemon

    def is_on_bus(self):
        return self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
                         "s", NAME) == [True]

    def users(self):
        """Those of the system are here, not only root."""
        with open("/proc/self/uid_map", encoding="ascii") as file:
            if int(file.read().split()[2]) <= NOBODY:
                self.skipTest("there is no user but root here")

    def start_busctl(self, *args, uid=0):
        # Without groups that only root may give away.
        more = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        process = subprocess.Popen(["busctl", "--json=short", "--address=" + self.address, *args], cwd="/",
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        self.processes.append(process)
        return process

    def busctl(self, *args, uid=0):
        process = self.start_busctl(*args, uid=uid)
        try:
            out, err = process.communicate(timeout=70)
        finally:
            process.kill()
        if process.returncode != 0:
            raise Refused(err.decode(errors="replace").strip())
        return out.decode()

    def call(self, service, path, interface, member, *args, uid=0, options=()):
        out = self.busctl(*options, "call", service, path, interface, member, *args, uid=uid)
        return json.loads(out)["data"] if out.strip() else None

    def manager(self, member, *args, uid=0, options=()):
        """What a method of the Manager returns: dicts without their types."""
        answer = self.call(NAME, ROOT_PATH, MANAGER, member, *args, uid=uid, options=options)
        return plain(answer[0]) if answer else None

    def properties(self, path, interface, uid=0):
        answer = self.call(NAME, path, "org.freedesktop.DBus.Properties", "GetAll", "s", interface, uid=uid)
        return plain(answer[0])

    def objects(self, uid=0):
        answer = self.call(NAME, ROOT_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", uid=uid)
        return plain(answer[0])


def plain(value):
    """busctl's {"type": …, "data": …} of each variant is not of interest."""
    if isinstance(value, dict) and value.keys() == {"type", "data"}:
        return plain(value["data"])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
