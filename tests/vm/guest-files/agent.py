#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs what the host asks for, as root, and says what came of it.

One JSON object a line over a virtio-serial port. Requests:
  {"id": N, "op": "run", "script": TEXT, "timeout": SECONDS}
  {"id": N, "op": "put", "path": PATH, "data": BASE64, "mode": OCTAL}
Answers: {"id": N, "rc": EXIT | null, "out": TEXT, "secs": SECONDS}; rc is null
where the time was up. Each script has a thread: one that hangs in the kernel
does not keep the next from running, which is what lets a test look at a
machine that is half dead.
"""
import base64
import glob
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

PORT = "daxguard.agent"
SLEEP = "/dev/shm/nobody-writes"  # for lib.sh's wait_for
# Without these bash looks up who it runs for, which is not always to be had.
ENVIRONMENT = {**os.environ, "HOME": "/root", "SHELL": "/bin/bash"}
answer_lock = threading.Lock()


def open_port():
    while True:
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name) as f:
                if f.read().strip() == PORT:
                    device = "/dev/" + name.split("/")[-2]
                    return open(device, "r+b", buffering=0)
        time.sleep(0.1)


def stuck_tasks():
    """Where uninterruptible tasks sit: the first question about a hang."""
    lines = []
    for stat in glob.glob("/proc/[0-9]*/task/[0-9]*/stat"):
        try:
            with open(stat) as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
            if rest.split()[0] != "D":
                continue
            with open(stat[:-4] + "stack") as f:
                stack = f.read()
            lines.append(f"[agent] task {stat.split('/')[4]} ({name}) is in D state:\n{stack}")
        except OSError:
            continue
    return "".join(lines)


def run(script, timeout):
    # A file, not a pipe: background processes of the script may keep its
    # output open for as long as they like. Not in /run: a test may fill that.
    with tempfile.TemporaryFile(dir="/dev/shm") as out:
        proc = subprocess.Popen(["/bin/bash", "-c", script], stdin=subprocess.DEVNULL,
                                stdout=out, stderr=subprocess.STDOUT,
                                start_new_session=True, cwd="/", env=ENVIRONMENT)
        try:
            rc = proc.wait(timeout)
            more = ""
        except subprocess.TimeoutExpired:
            rc = None
            more = stuck_tasks()
            os.killpg(proc.pid, signal.SIGKILL)
        out.seek(0)
        return rc, out.read().decode(errors="replace") + more


def serve(port, request):
    start = time.monotonic()
    try:
        if request["op"] == "run":
            rc, out = run(request["script"], request["timeout"])
        else:
            with open(request["path"], "wb") as f:
                f.write(base64.b64decode(request["data"]))
            os.chmod(request["path"], int(request["mode"], 8))
            rc, out = 0, ""
    except Exception as e:  # whatever it is, the host must hear of it
        rc, out = 255, f"[agent] {type(e).__name__}: {e}\n"
    answer(port, {"id": request["id"], "rc": rc, "out": out,
                  "secs": round(time.monotonic() - start, 3)})


def answer(port, what):
    data = json.dumps(what).encode() + b"\n"
    with answer_lock:
        while data:
            data = data[port.write(data):]


def main():
    os.mkfifo(SLEEP)
    port = open_port()
    answer(port, {"id": 0, "rc": 0, "out": os.uname().release, "secs": time.monotonic()})
    pending = b""
    while True:
        data = port.read(65536)
        if not data:
            time.sleep(0.2)  # the host's end is closed
            continue
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            threading.Thread(target=serve, args=(port, json.loads(line)), daemon=True).start()


main()
