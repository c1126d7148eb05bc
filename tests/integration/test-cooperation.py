#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that have registered: who may, what they are told, and what becomes of it. Those of
docs/examples are run as they are.

usage: as test-bus.py; DAXGUARD_TEST_COOPERATE is the one in C, DAXGUARD_TEST_EXAMPLES the directory
"""

import json
import os
import signal
import socket
import subprocess
import threading

from buscase import MANAGER, NAME, NOBODY, ROOT_PATH, BusCase
from daemoncase import eventually, main
from laddercase import LadderCase
from procfs import is_mounted

EXAMPLES = os.environ.get("DAXGUARD_TEST_EXAMPLES", "")
COOPERATE = os.environ.get("DAXGUARD_TEST_COOPERATE", "")
PYTHON = "/usr/bin/python3"	# that has Debian's modules

AS_NOBODY = f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})\n"
# Then `daemon` is the socket, in a process that maps the file as m.
IMPORT = "\nimport dbus, os, signal, socket, threading\n"
REGISTER = f"""
bus = dbus.SystemBus()
def register(name="test", device="pmem0"):
    fd, number = bus.get_object("{NAME}", "{ROOT_PATH}", introspect=False).Register(
        device, dbus.Dictionary({{"Name": name}}, signature="sv"), dbus_interface="{MANAGER}", signature="sa{{sv}}")
    return socket.socket(fileno=fd.take())
"""
# It writes down what it is told, and unmaps when it is told to.
ANSWER = """
def read():
    while message := daemon.recv(4096):
        with open({log!r}, "ab") as file:
            file.write(message + b"\\n")
        if b"pre-remove" in message:
            m.close()
            {then}
threading.Thread(target=read, daemon=True).start()
"""

# Of a service manager: what it does between fork(2) and execve(2).
WITH_FDS = """#!/usr/bin/python3
import os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect(sys.argv[1])
    names, fds, _, _ = socket.recv_fds(s, 65536, 250)
high = [os.dup2(fd, 500 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names.decode())
os.execvp(sys.argv[2], sys.argv[2:])
"""


class ServiceManager:
    """Keeps descriptors while there is no daemon, and no others."""

    def __init__(self, path):
        self.fds, self.removed = {}, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path + "/notify")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path + "/store")
        self.listener.listen()
        for target in self._read, self._give:
            threading.Thread(target=target, daemon=True).start()

    def _read(self):
        while True:
            try:
                text, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
            except OSError:
                return
            lines = dict(line.split("=", 1) for line in text.decode().split("\n") if line)
            if lines.get("FDSTORE") == "1":
                self.fds[lines["FDNAME"]] = fds[0]
            if lines.get("FDSTOREREMOVE") == "1":
                self.removed.append(lines["FDNAME"])
                if lines["FDNAME"] in self.fds:
                    os.close(self.fds.pop(lines["FDNAME"]))

    def _give(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                socket.send_fds(conn, [":".join(self.fds).encode() or b" "], list(self.fds.values()))

    def close(self):
        self.socket.close()
        self.listener.close()
        for fd in self.fds.values():
            os.close(fd)


class CooperationCase(BusCase, LadderCase):
    python = PYTHON

    def setUp(self):
        super().setUp()
        if subprocess.run([PYTHON, "-c", "import dbus; dbus.SystemBus"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("no python3-dbus here")
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = self.address
        self.addCleanup(os.environ.pop, "DBUS_SYSTEM_BUS_ADDRESS")
        self.write("said", "", 0o666)
        self.service = ServiceManager(self.dir)
        self.addCleanup(self.service.close)
        self.write("with-fds", WITH_FDS, 0o755)

    def start(self, **more):
        wrapper = f"{self.path('with-fds')} {self.path('store')} " + os.environ.get("DAXGUARD_TEST_WRAPPER", "")
        return super().start(notify=True, DAXGUARD_TEST_WRAPPER=wrapper, **more)

    def begin(self, **more):
        """A daemon that knows its device."""
        self.topology(self.pmem0(**more))
        daemon = self.start_on_bus()
        eventually(lambda: self.manager("ListDevices"))
        return daemon

    def program(self, before="", after="", then="", register="daemon = register()"):
        """Registers, maps, unmaps when it is told; holder() is of another python."""
        return self.holder(IMPORT + before + REGISTER + register,
                           ANSWER.format(log=self.path("said"), then=then) + after)

    def said(self):
        with open(self.path("said"), encoding="ascii") as file:
            return [json.loads(line) for line in file]

    def registrations(self, **more):
        return self.manager("ListRegistrations", "a{sv}", "0", **more)

    def cooperation(self, process):
        return [e["outcome"] for e in self.events("cooperate", pid=process.pid)]

    @staticmethod
    def tried(code, before=""):
        """What somebody who registers and ends has to complain of."""
        done = subprocess.run([PYTHON, "-c", IMPORT + before + REGISTER + code], stderr=subprocess.PIPE, timeout=30,
                              check=False)
        return done.stderr.decode()


class CooperationTest(CooperationCase):
    def example(self, *command):
        process = subprocess.Popen([*command, "pmem0", self.pmem + "/data"], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def test_examples(self):
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        self.begin()
        programs = [self.example(COOPERATE), self.example(PYTHON, EXAMPLES + "/cooperate.py")]
        self.assertEqual({r["Pid"] for r in self.registrations()}, {p.pid for p in programs})
        self.assertEqual({r["Name"] for r in self.registrations()}, {"cooperate", "cooperate.py"})
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        for process in programs:
            self.assertEqual(self.acts(process), ["notify"])
            self.assertEqual(self.outcome("notify", process.pid), "told")
            self.assertEqual(self.cooperation(process)[0], "told")
            told = json.loads(process.stdout.readline())
            self.assertEqual((told["Event"], told["Incident"], told["Device"], told["Surprise"]),
                             ("pre-remove", 7, "pmem0", False))
            self.assertEqual(str(told["GraceMsec"]), self.events("act", pid=process.pid)[0]["grace_ms"])
            self.assertEqual(sorted(told), ["DeadlineMsec", "DeadlineUsec", "Device", "Event", "GraceMsec", "Incident",
                                            "Surprise"])
            self.assertLessEqual(told["DeadlineMsec"], 20000)
            self.assertIsNone(process.poll())
            self.assertEqual(self.events("freed", pid=process.pid)[0]["how"], "unmapped")
        self.assertEqual({r["State"] for r in self.registrations()}, {"waiting"})

    def test_no_notify_in_its_rule(self):
        """It is told as its ladder begins, and goes on being asked all the same."""
        self.ladder("Action=term@30s kill")
        self.begin()
        process = self.program("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.cooperation(process)[0], "told")
        self.assertEqual(self.acts(process), ["term"])
        self.assertIsNone(process.poll())
        self.assertEqual([s["Event"] for s in self.said()], ["pre-remove"])

    def test_foreseen(self):
        """What explain says of notify is what it would get."""
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        self.begin()
        registered, other = self.program(), self.holder()
        told = {h["Pid"]: h["Actions"][0]["Outcome"] for h in self.ctl("Simulation", "explain", "pmem0")["Holders"]}
        self.assertEqual(told, {registered.pid: "", other.pid: "no-handler"})

    def test_dry_run(self):
        self.ladder("Action=notify kill\nSignal=SIGUSR1\nDryRun=yes")
        self.begin()
        process = self.program()
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        self.ended()
        self.assertEqual((self.cooperation(process), self.said()), ([], []))

    def test_done_is_no_release(self):
        """Who only says so climbs on; and it is looked at once, not for each word."""
        self.ladder("Action=notify@1s kill\nSignal=SIGUSR1")
        self.begin()
        process = self.holder(IMPORT + REGISTER + "daemon = register()", """
def read():
    while daemon.recv(4096):
        for _ in range(5):
            daemon.send(b'{"Done":true}')
threading.Thread(target=read, daemon=True).start()
""")
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(process.wait(5), -signal.SIGKILL)
        self.assertEqual(self.cooperation(process), ["told", "done"])
        self.assertEqual(self.acts(process), ["notify", "kill"])
        holder = self.ctl("Incident", "show", "7")["Holders"][0]
        self.assertEqual(holder["Cooperation"], "done")

    def test_not_reading(self):
        """It has left so much unread that there is no room: then the signal, if it catches it."""
        self.ladder("Action=notify@1s kill\nSignal=SIGUSR1")
        self.begin()
        flood = "daemon = register()\nfor _ in range(100): daemon.send(b'no')\n" \
                "import fcntl, struct, termios\n" \
                "while struct.unpack('i', fcntl.ioctl(daemon, termios.TIOCOUTQ, bytes(4)))[0]: time.sleep(0.02)\n"
        deaf = self.holder(IMPORT + REGISTER + flood)
        catches = self.holder(IMPORT + REGISTER + flood + "signal.signal(signal.SIGUSR1, lambda *a: os._exit(7))")
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(deaf.wait(5), -signal.SIGKILL)
        self.assertEqual(self.cooperation(deaf), ["not-reading"])
        self.assertEqual(self.outcome("notify", deaf.pid), "not-reading")
        self.assertEqual(catches.wait(5), 7)
        self.assertEqual(self.cooperation(catches), ["not-reading"])
        self.assertEqual(self.outcome("notify", catches.pid), "sent")

    def test_nonsense(self):
        """It is said what was wrong, and nothing is lost."""
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        self.begin()
        self.program(after="for word in (b'no', b'', b'[1]', b'{\"Done\":1}', b'{} {}', b'\\xff', b'x' * 5000, "
                           "b'[' * 50, b'{\"New\":{\"Thing\":1}}', b'{\"Done\":true}'): daemon.send(word)\n")
        eventually(lambda: len(self.said()) == 8)
        self.assertEqual([s["Error"] for s in self.said()],
                         ["no-object"] * 3 + ["Done-is-a-boolean"] + ["no-object"] * 2 + ["too-long", "no-object"])
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        eventually(lambda: [s["Event"] for s in self.said()] == ["error"] * 8 + ["pre-remove"])

    def test_hung_up(self):
        """To close it is to be a process like others."""
        self.ladder("Action=notify@30s term@30s kill\nSignal=SIGUSR1")
        self.begin()
        process = self.holder(IMPORT + REGISTER + "register().close()")
        eventually(lambda: not self.registrations())
        eventually(lambda: len(self.service.removed) == 1 and not self.service.fds)
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("notify", process.pid), "no-handler")
        self.assertEqual(self.cooperation(process), [])

    def test_its_socket_outlives_it(self):
        """In a child: it is the process that has registered."""
        self.begin()
        process = self.holder(IMPORT + REGISTER + "daemon = register()\nos.set_inheritable(daemon.fileno(), True)\n"
                              "if os.fork() == 0:\n    signal.pause()\n")
        self.assertEqual(len(self.registrations()), 1)
        process.kill()
        eventually(lambda: not self.registrations())
        eventually(lambda: not self.service.fds)

    def test_late(self):
        """Who registers in the middle of his ladder is told at once."""
        self.ladder("Action=term@30s kill")
        self.begin()
        gate = self.path("gate")
        process = self.holder("signal.signal(signal.SIGTERM, lambda *a: open({!r}, 'w').close())".format(gate),
                              "while not os.path.exists({!r}): time.sleep(0.02)\n".format(self.path("go")) + IMPORT + REGISTER +
                              "daemon = register()\n" + ANSWER.format(log=self.path("said"), then=""),
                              code=self.EAGER)
        self.module.hold()
        eventually(lambda: os.path.exists(gate))
        self.write("go", "", 0o600)
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.cooperation(process)[0], "told")
        self.assertIsNone(process.poll())

    # It says so before what comes after.
    EAGER = """
import mmap, os, signal, sys, time
{before}
fd = os.open({path!r}, os.O_RDWR)
m = mmap.mmap(fd, 16384)
os.close(fd)
print("ready", flush=True)
{after}
while True:
    time.sleep(0.05)
"""

    def test_another_device(self):
        """What it has registered for is not what goes away."""
        self.ladder("Action=notify@1s kill\nSignal=SIGUSR1")
        self.topology(self.pmem0(), self.pmem0(NAME="pmem1", NS_DEVICE="pfn1.0", DEV="259:77"))
        self.start_on_bus()
        eventually(lambda: len(self.manager("ListDevices")) == 2)
        process = self.program(register="daemon = register(device='pmem1')")
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(process.wait(5), -signal.SIGKILL)
        self.assertEqual(self.outcome("notify", process.pid), "no-handler")

    def test_by_its_uuid(self):
        """The namespace is what counts, not what it is called since."""
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        self.topology(self.pmem0(NAME="pmem9", UUID="00010203-0405-0607-0809-0A0B0C0D0E0F"))
        self.start_on_bus()
        eventually(lambda: self.manager("ListDevices"))
        process = self.program(register="daemon = register(device='pmem9')")
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("notify", process.pid), "told")

    def test_by_user(self):
        """A removal by a user is told of like any, and its namespace is known by its UUID."""
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        self.make_sysfs()
        self.begin(UUID="00010203-0405-0607-0809-0a0b0c0d0e0f")
        process = self.program()
        self.text("remove", "--no-progress", "pmem0")
        self.assertEqual(self.unbound(), "pfn0.0")
        self.assertIsNone(process.poll())
        self.assertEqual([(s["Event"], s["Device"]) for s in self.said()], [("pre-remove", "pmem0")])
        number = self.said()[0]["Incident"]
        self.assertEqual(self.ctl("Incident", "show", str(number))["Targets"][0]["Uuid"],
                         "00010203-0405-0607-0809-0a0b0c0d0e0f")


class KeptTest(CooperationCase):
    def test_kept(self):
        """The next daemon has them, and tells them; it knows what they were called."""
        self.ladder("Action=notify@30s kill\nSignal=SIGUSR1")
        first = self.begin()
        process = self.program()
        before = self.registrations()
        self.assertTrue(before[0]["Kept"])
        first.kill()
        first.wait()
        self.start()
        eventually(self.is_on_bus)
        self.assertEqual(self.registrations(), before)
        eventually(lambda: self.manager("ListDevices"))
        another = self.program()
        # Numbers are not used twice.
        self.assertEqual([r["Id"] for r in self.registrations()], [2, 1])
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        for one in process, another:
            self.assertEqual(self.outcome("notify", one.pid), "told")
            self.assertIsNone(one.poll())

    def test_takeover(self):
        """It is told once, whichever daemon goes on."""
        self.ladder("Action=term@30s kill")
        first = self.begin()
        process = self.holder("signal.signal(signal.SIGTERM, signal.SIG_IGN)" + IMPORT + REGISTER + "daemon = register()",
                              ANSWER.format(log=self.path("said"), then="").replace(
                                  "m.close()", f"threading.Timer(0, wait).start()") +
                              "def wait():\n    while not os.path.exists({!r}): time.sleep(0.02)\n    m.close()\n".format(
                                  self.path("go")))
        self.module.hold()
        eventually(lambda: self.said() and self.acts(process) == ["term"])
        first.kill()
        first.wait()
        self.start()
        eventually(lambda: len(self.events("resume")) == 1 and self.states()[-1] == "acting")
        self.write("go", "", 0o600)
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertFalse(is_mounted(self.dev))
        self.assertEqual(len(self.said()), 1)
        self.assertEqual(self.cooperation(process), ["told"])
        self.assertIsNone(process.poll())

    def test_gone_meanwhile(self):
        """Who has ended, or hung up, while there was no daemon is forgotten; so is what is nonsense."""
        first = self.begin()
        ended = self.program()
        hung_up = self.program(after="while not os.path.exists({!r}): time.sleep(0.02)\ndaemon.shutdown(2)\n"
                               "open({!r}, 'w').close()\n".format(self.path("go"), self.path("gone")),
                               register="daemon = register('bye')\nprint('ready', flush=True)")
        stays = self.program()
        self.assertEqual(len(self.registrations()), 3)
        first.kill()
        first.wait()
        ended.kill()
        ended.wait()
        self.write("go", "", 0o600)
        eventually(lambda: os.path.exists(self.path("gone")))
        for name in ("reg,ID=9", "other"):
            self.service.fds[name] = os.open("/dev/null", os.O_RDONLY)
        self.start()
        eventually(self.is_on_bus)
        eventually(lambda: [r["Pid"] for r in self.registrations()] == [stays.pid])
        eventually(lambda: len(self.service.fds) == 1)
        self.assertIsNone(hung_up.poll())


class ApplicantTest(CooperationCase):
    config = "[Daemon]\nRegistrationsPerUser=2\n"

    def test_refused(self):
        self.begin()
        for code, error in (("register(device='pmem8')", "NoSuchDevice"), ("register('a b')", "InvalidArgs"),
                            ("register('x' * 33)", "InvalidArgs")):
            self.assertIn(error, self.tried(code))
        self.assertEqual(self.registrations(), [])

    def test_so_many(self):
        """A user has his number, and root no such bound; who ends one may have another."""
        self.users()
        self.begin()
        self.assertIn("LimitExceeded", self.tried("s = [register() for _ in range(3)]", AS_NOBODY))
        self.assertEqual(self.tried("s = [register() for _ in range(5)]"), "")
        eventually(lambda: self.registrations() == [])
        eventually(lambda: self.tried("s = [register() for _ in range(2)]", AS_NOBODY) == "")

    def test_whose(self):
        """A connection that somebody else's process has got by now."""
        self.users()
        self.begin()
        self.assertIn("another user's process", self.tried(
            "bus.get_name_owner('org.freedesktop.DBus')\nos.setresuid(0, 0, 0)\nregister()",
            before=f"os.setresuid({NOBODY}, {NOBODY}, 0)\n"))

    def test_who_sees_what(self):
        self.users()
        os.chmod(self.pmem + "/data", 0o666)
        self.begin()
        his = self.program(f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})")
        roots = self.program()
        self.assertEqual([r["Pid"] for r in self.registrations()], [roots.pid, his.pid])
        self.assertEqual([(r["Pid"], r["Uid"]) for r in self.registrations(uid=NOBODY)], [(his.pid, NOBODY)])
        self.assertEqual(len(self.manager("GetStatus")["Registrations"]), 2)
        self.assertNotIn("Registrations", self.manager("GetStatus", uid=NOBODY))
        text = self.text("status")
        self.assertIn(f"pmem0: test ({roots.pid})", text)


if __name__ == "__main__":
    main()
