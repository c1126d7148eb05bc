#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that maps a file on persistent memory, and gives it back when it is asked to.

usage: cooperate.py DEVICE FILE

Needs python3-dbus. See docs/cooperation.md.
"""

import json
import mmap
import socket
import sys

import dbus

LENGTH = 4096


def register(device):
    """The socket, which is the registration: it lasts until that is closed."""
    daemon = dbus.SystemBus().get_object("org.daxguard1", "/org/daxguard1", introspect=False)
    fd, _ = daemon.Register(device, dbus.Dictionary({"Name": "cooperate.py"}, signature="sv"),
                            dbus_interface="org.daxguard1.Manager", signature="sa{sv}")
    return socket.socket(fileno=fd.take())


def main():
    device, path = sys.argv[1:]
    # First, so that there is no moment in which it is mapped and nobody knows.
    try:
        daemon = register(device)
    except dbus.DBusException as e:
        sys.exit(f"cannot register: {e.get_dbus_message()}")
    with open(path, "r+b") as file:
        memory = mmap.mmap(file.fileno(), LENGTH)
    memory[0] = 1
    print("ready", flush=True)

    # A real program has the socket in its event loop. b"": the daemon has gone for good.
    while message := daemon.recv(4096):
        print(message.decode(), flush=True)
        # What is not known is passed over: there may be other events one day.
        if json.loads(message).get("Event") != "pre-remove" or memory.closed:
            continue
        # Sync what matters, and map it no more. That is all that is asked for.
        memory.flush()
        memory.close()
        # Saves the daemon from finding out at its next look.
        daemon.send(b'{"Done":true}')


if __name__ == "__main__":
    main()
