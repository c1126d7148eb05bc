# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots guests and runs root scripts in them.

A guest that dies, hangs or oopses is a result with a name, not an accident:
every wait here has a deadline, and what was being waited for is in the
GuestFailure that ends it.
"""
import atexit
import base64
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
SERIES = ("6.1", "6.12", "7")
# Kernels with the kernel's own checks on, and how much longer all takes there.
DEBUG_KERNELS = ("debug", "debug-7")
DEBUG_PATIENCE = 6
MIB = 1 << 20

# What no kernel log of ours may contain. Only lines of the kernel count: they
# are the ones that start with its time stamp.
PROBLEMS = re.compile(
    r"BUG:|Oops|WARNING:|soft lockup|blocked for more than|rcu.*stall"
    r"|general protection|KASAN|refcount_t|Kernel panic|kernel BUG at"
    # What only a debug kernel says. Its lock checker says WARNING: or BUG:
    # before most of it; what is said once and then ends the checking counts too.
    r"|possible (circular|recursive) locking|inconsistent lock state|suspicious RCU usage"
    r"|sleeping function called from|bad unlock balance|[Ii]nvalid wait context"
    r"|held lock freed|still has locks held|lock held when returning|turning off the locking"
    r"|ODEBUG|list_(add|del) corruption|scheduling while atomic|DEBUG_LOCKS_WARN"
    r"|Bad page (state|map)|Bad rss|kmemleak: .*(empty|disabled|[Ee]rror|[Cc]annot)")
KERNEL_LINE = re.compile(r"^\[ *\d+\.\d+\]")

# What died of a breakpoint, and the byte before the one that was to be next.
BREAKPOINT = re.compile(r"Oops: int3.*\n(?:.*\n){1,9}?.*Code:.* ([0-9a-f]{2}) <[0-9a-f]{2}>")

Result = collections.namedtuple("Result", "rc out secs")


class GuestFailure(Exception):
    """kind is one of: boot-timeout, died, panic, unresponsive, command."""

    def __init__(self, kind, detail):
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def stale_breakpoint(console):
    """Whether a kernel died of a breakpoint (0xcc) that is not in its text."""
    found = BREAKPOINT.search(console)
    return found is not None and found[1] != "cc"


def cache_dir():
    if "DAXGUARD_CACHE" in os.environ:
        return pathlib.Path(os.environ["DAXGUARD_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/root"), ".cache")
    return pathlib.Path(base) / "daxguard"


def run_dir():
    """Scratch of this process; that of dead ones is removed on the way."""
    top = cache_dir() / "run"
    top.mkdir(parents=True, exist_ok=True)
    for old in top.iterdir():
        pid = old.name.split("-")[0]
        if not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(old, ignore_errors=True)
    mine = top / str(os.getpid())
    mine.mkdir(exist_ok=True)
    return mine


atexit.register(lambda pid=os.getpid(): os.getpid() == pid and shutil.rmtree(
    cache_dir() / "run" / str(pid), ignore_errors=True))


class Images:
    """Base root and kernels, made on first use."""

    def __init__(self, kernels):
        args = [HERE / "mkimage"]
        for kernel in kernels:
            args += ["--kernel", kernel]
        self.kernels = {}
        self._payloads = {}
        out = subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in out.splitlines():
            words = line.split()
            if words[0] == "base":
                self.base = pathlib.Path(words[1])
            else:
                self.kernels[words[1]] = pathlib.Path(words[2])

    def release(self, kernel):
        return (self.kernels[kernel] / "release").read_text().strip()

    def payload(self, kind, kernel=None):
        """Built once: what is edited during a run does not get into it."""
        args = [HERE / "mkpayload", self.base, kind]
        if kind == "module":
            args.append(self.kernels[kernel])
        key = tuple(args)
        if key not in self._payloads:
            out = subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout
            self._payloads[key] = pathlib.Path(out.strip())
        return self._payloads[key]


def nvdimm_file(name, mib=512):
    """A backing file; the 2 MiB are the label area."""
    path = run_dir() / f"{name}.nvdimm"
    with open(path, "wb") as f:
        f.truncate((mib + 2) * MIB)
    return path


class Job:
    """A script that runs in the guest; wait() gives its Result."""

    def __init__(self, guest, number, timeout):
        self._guest = guest
        self._timeout = timeout
        self._started = time.monotonic()
        self.number = number
        self.done = threading.Event()
        self.result = None

    def wait(self):
        # The agent answers when the time is up; if even that does not come,
        # the guest as a whole is gone.
        limit = self._started + self._timeout + self._guest.grace
        while not self.done.wait(0.2):
            self._guest.check_alive()
            if time.monotonic() > limit:
                raise GuestFailure("unresponsive", f"no answer within {self._timeout + self._guest.grace} s")
        return self.result


class Guest:
    def __init__(self, images, kernel, payloads=("tests", "module", "userland"), nvdimms=(),
                 memory="1G", args="", devices=(), keeps=False, thread="multi", name="guest",
                 boot_timeout=240, grace=30):
        self.images, self.kernel, self.name = images, kernel, name
        self.payloads, self.nvdimms = payloads, list(nvdimms)
        self.memory, self.args, self.devices, self.thread = memory, args, devices, thread
        self.keeps, self.disk = keeps, images.base / "disk.img"
        self.debug = kernel in DEBUG_KERNELS
        self.patience = DEBUG_PATIENCE if self.debug else 1
        self.boot_timeout, self.grace = boot_timeout * self.patience, grace * self.patience
        logs = pathlib.Path(os.environ.get("DAXGUARD_LOGS", cache_dir() / "logs"))
        logs.mkdir(parents=True, exist_ok=True)
        self.console = logs / f"{name}.console"
        self.qemu = None

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exc):
        self.kill()

    def command(self):
        layer = self.images.kernels[self.kernel]
        accel = os.environ.get("DAXGUARD_ACCEL", "tcg")
        cmdline = ("root=/dev/vda rw console=ttyS0 ignore_loglevel panic=2 mitigations=off "
                   "systemd.show_status=false systemd.unit=multi-user.target "
                   "module_blacklist=bochs,kvm_amd,kvm_intel,parport_pc,pcspkr,psmouse,i2c_piix4 " + self.args)
        memory = self.memory
        if self.debug:
            # The scripts' own deadlines: wait_for of lib.sh.
            cmdline += f" guest.patience={self.patience}"
            memory = f"{2 * int(memory[:-1])}{memory[-1]}"
        # Whatever ends us, even SIGKILL, ends the guest.
        cmd = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               "-M", "q35,nvdimm=on", "-accel", accel + (f",thread={self.thread}" if accel == "tcg" else ""),
               "-cpu", "max" if accel == "tcg" else "host", "-smp", "2",
               "-m", f"{memory},slots=8,maxmem=16G",
               "-kernel", layer / "vmlinuz", "-initrd", layer / "initrd.img", "-append", cmdline,
               "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
               "-device", "virtio-serial-pci",
               "-chardev", "socket,id=agent,fd=%d" % self._theirs.fileno(),
               "-device", "virtserialport,chardev=agent,name=daxguard.agent",
               "-drive", f"file={self.disk},if=virtio,format=raw,cache=unsafe,"
                         f"snapshot={'off' if self.keeps else 'on'}"]
        for kind in self.payloads:
            path = self.images.payload(kind, self.kernel)
            cmd += ["-drive", f"file={path},if=virtio,format=raw,readonly=on,cache=unsafe"]
        for i, path in enumerate(self.nvdimms):
            cmd += ["-object", f"memory-backend-file,id=nv{i},share=on,mem-path={path},"
                               f"size={os.path.getsize(path)}",
                    "-device", f"nvdimm,id=nvdimm{i},memdev=nv{i},label-size=2M"]
        cmd += self.devices
        return [str(word) for word in cmd]

    def boot(self):
        """From power on to a running system."""
        try:
            return self._boot()
        except GuestFailure:
            if not self.emulator_tripped():
                raise
            print(f"guest: {self.name}: the emulator tripped over a patched instruction, booting again",
                  file=sys.stderr, flush=True)
            self.kill()
            return self._boot()

    def emulator_tripped(self):
        """The kernel died of a breakpoint that it does not have, see docs/kernels.md."""
        return stale_breakpoint(self.console_text())

    def _boot(self):
        if not shutil.which("qemu-system-x86_64"):
            raise GuestFailure("boot-timeout", "qemu-system-x86_64 is missing "
                               "(apt-get install --no-install-recommends qemu-system-x86)")
        started = time.monotonic()
        if self.keeps and self.disk.parent != run_dir():
            self.disk = run_dir() / f"{self.name}.disk"
            subprocess.run(["cp", "--sparse=always", self.images.base / "disk.img", self.disk], check=True)
        self._jobs, self._last, self._lock = {}, 0, threading.Lock()
        self.last_mark = 0  # an offset in the console's file
        self._sock, self._theirs = socket.socketpair()
        hello = self._jobs[0] = Job(self, 0, self.boot_timeout)
        command = self.command()
        self.console.unlink(missing_ok=True)
        environ = dict(os.environ, TMPDIR=str(run_dir()))  # the snapshots go there
        self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[self._theirs.fileno()],
                                     env=environ, start_new_session=True)
        self._theirs.close()
        threading.Thread(target=self._listen, args=(self._sock,), daemon=True).start()
        try:
            hello.wait()
            left = self.boot_timeout - (time.monotonic() - started)
            state = self.run("systemctl is-system-running --wait; systemctl --failed --no-legend --plain",
                             timeout=max(left / self.patience, 5))
        except GuestFailure as e:
            if e.kind == "unresponsive":
                raise GuestFailure("boot-timeout", f"not up in {self.boot_timeout} s") from None
            raise
        if state.rc is None:
            raise GuestFailure("boot-timeout", f"its init did not finish in {self.boot_timeout} s")
        self.system_state = state.out.strip()
        self.boot_secs = time.monotonic() - started
        return self

    def _listen(self, sock):
        pending = b""
        while True:
            try:
                data = sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            pending += data
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                answer = json.loads(line)
                job = self._jobs.pop(answer["id"], None)
                if job:
                    job.result = Result(answer["rc"], answer["out"], answer["secs"])
                    job.done.set()

    def _request(self, timeout, **what):
        with self._lock:
            self._last += 1
            job = self._jobs[self._last] = Job(self, self._last, timeout)
        self.check_alive()
        self._sock.sendall(json.dumps(dict(what, id=job.number, timeout=timeout)).encode() + b"\n")
        return job

    def check_alive(self):
        if self.qemu is None or self.qemu.poll() is not None:
            # A panic reboots, and with -no-reboot that ends the emulator.
            if "Kernel panic" in self.console_text():
                raise GuestFailure("panic", "the guest's kernel panicked")
            raise GuestFailure("died", "the guest is gone")

    def start(self, script, timeout=60):
        """Starts a script and returns at once, with a Job."""
        return self._request(timeout * self.patience, op="run", script=script)

    def run(self, script, timeout=60, check=False):
        """A bash script as root. Result.rc is None if its time was up; the time
        is what a kernel without checks may take."""
        result = self.start(script, timeout).wait()
        if check and result.rc != 0:
            what = "timed out" if result.rc is None else f"exit {result.rc}"
            raise GuestFailure("command", f"{what}: {script.strip()}\n{result.out}")
        return result

    def put(self, path, data, mode=0o644):
        if isinstance(data, str):
            data = data.encode()
        result = self._request(60, op="put", path=path, mode=oct(mode)[2:],
                               data=base64.b64encode(data).decode()).wait()
        if result.rc != 0:
            raise GuestFailure("command", f"put {path}: {result.out}")

    def console_text(self, since=0):
        try:
            with open(self.console, "rb") as f:
                f.seek(since)
                return f.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def mark(self):
        """From here on problems() looks."""
        self.last_mark = os.path.getsize(self.console) if self.console.exists() else 0

    def problems(self, allow=()):
        """Lines of the kernel's since mark() that should not be there."""
        lines = []
        for line in self.console_text(self.last_mark).splitlines():
            if KERNEL_LINE.match(line) and PROBLEMS.search(line) and not any(re.search(a, line) for a in allow):
                lines.append(line.strip())
        return lines

    def poweroff(self, timeout=60):
        """True if the machine goes off by itself in time."""
        self._request(10, op="run", script="systemctl poweroff")
        try:
            self.qemu.wait(timeout * self.patience)
            return "Kernel panic" not in self.console_text(self.last_mark)
        except subprocess.TimeoutExpired:
            return False

    def reboot(self):
        """Off, and on again with the same disks; of a guest that keeps them. A reset the
        emulator does not stand: it remembers what code was where, and crawls."""
        said = self.problems()
        if said or not self.poweroff():
            raise GuestFailure("died", "it does not go off" if not said else "\n".join(said))
        self.kill()
        self.boot()

    def kill(self):
        if self.qemu is not None:
            self.qemu.kill()
            self.qemu.wait()
            self._sock.close()
            self.qemu = None


def stop_on_signals():
    """Lets SIGTERM and SIGHUP unwind like Ctrl-C, so that guests are killed."""
    def handler(number, _frame):
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGHUP, handler)
