#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpora of control and answer: D-Bus messages, of clients and of
the daemon. Argument: corpus.
"""

import pathlib
import struct
import sys

out = pathlib.Path(sys.argv[1])
ALIGN = {"y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "s": 4, "o": 4, "g": 1, "a": 4, "(": 8,
         "{": 8, "v": 1}
BASIC = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, SIGNATURE = 1, 2, 3, 4, 5, 8


def first(signature):
    """The first complete type of a signature, and the rest."""
    if signature[0] == "a":
        head, rest = first(signature[1:])
        return "a" + head, rest
    if signature[0] in "({":
        depth = 0
        for i, c in enumerate(signature):
            depth += (c in "({") - (c in ")}")
            if depth == 0:
                return signature[:i + 1], signature[i + 1:]
    return signature[0], signature[1:]


def pad(data, n):
    return data + bytes(-len(data) % n)


def marshal(data, signature, *values):
    for value in values:
        kind, signature = first(signature)
        data = pad(data, ALIGN[kind[0]])
        if kind in BASIC:
            data += struct.pack("<" + BASIC[kind], value)
        elif kind in "so":
            data += struct.pack("<I", len(value.encode())) + value.encode() + b"\0"
        elif kind == "g":
            data += struct.pack("<B", len(value)) + value.encode() + b"\0"
        elif kind == "v":
            data = marshal(marshal(data, "g", value[0]), value[0], value[1])
        elif kind == "a{sv}":
            data = array(data, "{sv}", list(value.items()))
        elif kind[0] == "a":
            data = array(data, kind[1:], value)
        else:
            data = marshal(data, kind[1:-1], *value)
    return data


def array(data, item, values):
    at = len(data)
    data = pad(data + bytes(4), ALIGN[item[0]])
    start = len(data)
    for value in values:
        data = marshal(data, item, value)
    return data[:at] + struct.pack("<I", len(data) - start) + data[at + 4:]


def message(kind, fields, signature="", *values):
    body = marshal(b"", signature, *values)
    if signature:
        fields = {**fields, SIGNATURE: ("g", signature)}
    head = struct.pack("<cBBBII", b"l", kind, 0, 1, len(body), 7)
    return pad(array(head, "(yv)", list(fields.items())), 8) + body


def call(member, signature="", *values, interface="org.daxguard1.Manager", path="/org/daxguard1"):
    return message(CALL, {PATH: ("o", path), INTERFACE: ("s", interface), MEMBER: ("s", member)}, signature, *values)


def answer(signature, *values):
    return message(RETURN, {REPLY_SERIAL: ("u", 1)}, signature, *values)


def name(text):
    return "ay", list(text)


DEVICE, STORY = "/org/daxguard1/device/pmem0", "/org/daxguard1/incident/3"
PROPERTIES = "org.freedesktop.DBus.Properties"
LOGGED_IN = b"\1"
CONTROL = {
    "auth": b"\0" + b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" + call("GetStatus"),
    "auth-anonymous": b"\0" + b"\0AUTH ANONYMOUS 64\r\nERROR\r\nCANCEL\r\nAUTH\r\nDATA\r\n",
    "get-status": LOGGED_IN + call("GetStatus"),
    "list-devices": LOGGED_IN + call("ListDevices"),
    "list-holders": LOGGED_IN + call("ListHolders", "s", "pmem0") + call("ListHolders", "s", "259:1"),
    "list-incidents": LOGGED_IN + call("ListIncidents"),
    "get-incident": LOGGED_IN + call("GetIncident", "t", 3) + call("GetIncident", "t", 1 << 63),
    "simulate": LOGGED_IN + call("Simulate", "sa{sv}", "pmem0", {}) +
                call("Simulate", "sa{sv}", "pmem0", {"Source": ("s", "user"), "Force": ("b", 1)}) +
                call("Simulate", "sa{sv}", "pmem0", {"x": ("s", "y")}),
    "query-policy": LOGGED_IN + call("QueryPolicy", "sua{sv}", "pmem0", 7, {"Access": ("as", ["mapped", "cwd"])}) +
                    call("QueryPolicy", "sua{sv}", "pmem0", 1 << 31, {}),
    "query-policy-wrong": LOGGED_IN + call("QueryPolicy", "sua{sv}", "259:0", 1, {"Access": ("s", "open")}) +
                          call("QueryPolicy", "sua{sv}", "259:0", 1, {"Access": ("as", ["kernel"])}) +
                          call("QueryPolicy", "sua{sv}", "259:0", 1, {"Access": ("a{sv}", {"a": ("u", 1)}),
                                                                      "b": ("v", ("u", 1))}),
    "wrong-type": LOGGED_IN + call("GetIncident", "a{sv}", {"x": ("s", "y")}),
    "introspect": LOGGED_IN + call("Introspect", interface="org.freedesktop.DBus.Introspectable"),
    "get-all": LOGGED_IN + call("GetAll", "s", "org.daxguard1.Manager", interface=PROPERTIES),
    "objects": LOGGED_IN + call("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager"),
    "device": LOGGED_IN + call("GetAll", "s", "org.daxguard1.Device", interface=PROPERTIES, path=DEVICE) +
              call("Get", "ss", "org.daxguard1.Device", "Mounts", interface=PROPERTIES, path=DEVICE + "_2e") +
              call("Introspect", interface="org.freedesktop.DBus.Introspectable", path=DEVICE),
    "incident-object": LOGGED_IN + call("GetAll", "s", "org.daxguard1.Incident", interface=PROPERTIES, path=STORY) +
                       call("Get", "ss", "org.daxguard1.Incident", "Marks", interface=PROPERTIES, path=STORY + "0"),
    "remove": LOGGED_IN + call("Remove", "sa{sv}", "pmem0", {"Force": ("b", 1)}) +
              call("Remove", "sa{sv}", "pmem0", {"x": ("s", "y")}),
    "register": LOGGED_IN + call("Register", "sa{sv}", "pmem0", {"Name": ("s", "db")}) +
                call("Register", "sa{sv}", "pmem0", {"Name": ("s", "a b")}) + call("ListRegistrations", "a{sv}", {}),
    "reload": LOGGED_IN + call("Reload"),
    "signal": LOGGED_IN + message(SIGNAL, {PATH: ("o", "/org/freedesktop/DBus/Local"),
                                           INTERFACE: ("s", "org.freedesktop.DBus.Local"),
                                           MEMBER: ("s", "Disconnected")}),
}
HOLDER = {"Pid": ("u", 7), "Uid": ("u", 0), "Comm": name(b"re\xff"), "Mapped": ("u", 1), "MappedBytes": ("t", 4096),
          "Flags": ("as", ["shared"]), "Mappings": ("aa{sv}", [{"Address": ("t", 4096)}]),
          "Actions": ("aa{sv}", [{"Action": ("s", "term"), "AtUsec": ("t", 9), "Outcome": ("s", "sent")}])}
INCIDENT = {"Id": ("t", 3), "Device": ("s", "pfn0.0"), "State": ("s", "done"), "Result": ("s", "acked"),
            "Outcome": ("s", "unmounted"), "Marks": ("as", ["acked"]), "Holders": ("aa{sv}", [HOLDER]),
            "Mounts": ("aa{sv}", [{"Path": name(b"/mnt\x1b"), "Type": ("s", "ext4")}]),
            "States": ("aa{sv}", [{"State": ("s", "syncing"), "TookUsec": ("t", 3)}])}
ANSWER = {
    "status": answer("a{sv}", {"Version": ("s", "1"), "ModuleLoaded": ("b", 1), "WhyNot": name(b"no"),
                               "Protected": ("aa{sv}", [{"Pid": ("u", 1), "Name": name(b"init")}])}),
    "devices": answer("aa{sv}", [{"Name": ("s", "pmem0"), "Size": ("t", 1 << 29), "NumaNode": ("i", -1),
                                  "System": ("aay", [list(b"/")])}]),
    "holders": answer("a{sv}", {"Device": ("s", "pmem0"), "Holders": ("aa{sv}", [HOLDER])}),
    "incidents": answer("aa{sv}", [INCIDENT]),
    "incident": answer("a{sv}", INCIDENT),
    "all-types": answer("ybnqiuxtdsog(sv)v", 1, 1, -2, 2, -3, 3, -4, 4, 0.5, "s", "/o", "g", ("x", ("y", 1)),
                        ("a(yv)", [(1, ("s", "deep"))])),
    "signal": message(SIGNAL, {PATH: ("o", "/org/daxguard1"), INTERFACE: ("s", "org.daxguard1.Manager"),
                               MEMBER: ("s", "StateChanged")}, "ta{sv}", 3, {"State": ("s", "acting")}),
    "error": message(ERROR, {REPLY_SERIAL: ("u", 1), ERROR_NAME: ("s", "org.daxguard1.Error.Busy")}, "s", "\x1b[2J"),
}
for corpus, messages in {"control": CONTROL, "answer": ANSWER}.items():
    (out / corpus).mkdir(exist_ok=True)
    for file, data in messages.items():
        (out / corpus / file).write_bytes(data)
