# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules: each process gets the ladder of the first one that is for it."""
import collections
import json

from check import Case
from mappers import LOG, MAPPER
from removal import Disk, Mapper, removed
from scenario import Scenario

RULES = "/etc/daxguard/policy.d"
PLACE = "/opt/policy"
TERMED = (("term", "sent"),)
KILLED = TERMED + (("kill", "sent"),)
LADDER = "Action=term@5s kill@1s"
CONTAINER = "d0c4e7" * 10 + "cafe"

# right: what its rule matches; wrong: what a rule before it, which leaves
# everybody alone, must not match for this process. Both are also for its unit
# alone, but where the unit is what is asked for.
Row = collections.namedtuple("Row", "name right wrong kind options program policy actions end",
                             defaults=("", "plain", "", MAPPER, LADDER, TERMED, "exited"))


def unit(row):
    return f"docker-{CONTAINER}.scope" if row.name == "container" else f"policy-{row.name}.service"


def described():
    """By what a process or its device is."""
    return [
        Row("device", "Device=pmem0", "Device=pmem1"),
        Row("device-path", "Device=/dev/pmem0", "Device=/dev/pmem"),
        Row("region", "Device=region?", "Device=region0?"),
        Row("namespace", "Device=namespace0.*", "Device=namespace0.1"),
        Row("uuid", "Device={uuid}", "Device=00000000-*"),
        Row("driver", "Driver=nd_pmem", "Driver=device_dax"),
        Row("file-system", "FileSystem=xfs ext4", "FileSystem=!ext4 xfs"),
        Row("mount-point", "MountPoint=/mnt/*", "MountPoint=/mnt/pmem/*"),
        Row("event", "Event=pre-remove", "Event=pre-remove\nDevice=!*"),
        Row("mapped", "Access=mapped", "Access=root exe"),
        Row("open", "Access=open", "Access=mapped", "innocent", "-p StandardInput=file:/mnt/pmem/open/file", actions=KILLED),
        Row("cwd", "Access=cwd", "Access=!cwd", "innocent", "-p WorkingDirectory=/mnt/pmem/cwd", actions=KILLED),
        Row("exe", "Access=exe", "Access=mapped\nAccess=!exe", "innocent", "", "/mnt/pmem/exe/mapper", actions=KILLED),
        Row("executable", f"Executable={PLACE}/executable", f"Executable={PLACE}/execut", "plain", "",
            f"{PLACE}/executable"),
        Row("deleted", f"Executable={PLACE}/deleted", f"Executable={PLACE}/deleted\nExecutable=!*(deleted)", "plain", "",
            f"{PLACE}/deleted"),
        Row("blank", f'Executable="{PLACE}/with blank"', f"Executable={PLACE}/with", "plain", "", f"{PLACE}/with blank"),
        Row("bytes", f"Executable={PLACE}/b[!a-z]d*", f"Executable={PLACE}/b?d", "plain", "",
            f"{PLACE}/b\\033d\\377\\376"),
        Row("command", "Command=[b-d]ommander", "Command=command", "plain", "", f"{PLACE}/commander"),
        Row("unit", "Unit=policy-[u]nit.service", "Unit=policy-unit.s?rvices"),
        Row("control-group", "ControlGroup=/policy.slice/*", "ControlGroup=/policy.slice", "plain", "--slice=policy.slice"),
        Row("user", "User=nobody", "User=root daemon", "plain", "-p User=nobody"),
        Row("user-number", "User=65534", "User=!65534", "plain", "-p User=nobody"),
        Row("group", "Group=games", "Group=!games", "plain", "-p Group=games"),
        Row("supplementary", "Group=audio", "Group=video", "plain", "-p SupplementaryGroups=audio"),
        Row("unknown-user", "Command=mapper", "User=!nobody-knows-him", "plain"),
        Row("container", f"Container={CONTAINER}", "Container=!*"),
        Row("no-container", "Container=!*", "Container=*"),
    ]


def treated():
    """By what is done to them."""
    return [
        Row("leave", "", kind="innocent", options="-p StandardInput=file:/mnt/pmem/leave/file", policy="Action=leave",
            actions=(), end="left"),
        Row("dry-run", "", kind="innocent", options="-p StandardInput=file:/mnt/pmem/dry-run/file",
            policy="Action=term@1s kill\nDryRun=yes", actions=(("term", "dry-run"), ("kill", "dry-run")), end="left"),
        Row("sigbus", "", kind="yielding", policy="Action=sigbus@8s kill", actions=(("sigbus", "sent"),), end="unmapped"),
        Row("stubborn", "", kind="stubborn", policy="Action=sigbus@200ms term@200ms kill",
            actions=(("sigbus", "sent"), ("term", "sent"), ("kill", "sent"))),
        Row("notify", "", kind="signalfd", policy="Action=notify@8s kill\nSignal=TERM", actions=(("notify", "sent"),),
            end="unmapped"),
        Row("notify-nobody", "", policy="Action=notify@8s term@5s\nSignal=SIGRTMIN+3",
            actions=(("notify", "no-handler"), ("term", "sent"))),
        Row("hook", "", policy=f"Action=exec@8s term@5s\nExec={PLACE}/hook hook-argument", actions=(("exec", "ok"),)),
        Row("hook-fails", "", policy="Action=exec@1s term@5s\nExec=/bin/false",
            actions=(("exec", "hook-failed"), ("term", "sent"))),
        Row("stop", "", policy="Action=stop@8s kill", actions=(("stop", "asked"),)),
        Row("freeze", "", policy="Action=freeze@200ms term@5s\nScope=unit",
            actions=(("freeze", "frozen"), ("term", "sent-to-unit"))),
        Row("whole-unit", "", policy="Action=kill\nScope=unit", actions=(("kill", "sent-to-unit"),)),
        Row("alone", "Command=alone", "", "plain", "", f"{PLACE}/alone", "Action=kill\nScope=unit",
            (("kill", "sent-alone"),)),
    ]


# Ends who it was started for, and says what it was told.
HOOK = """#!/bin/sh
kill -TERM "$DAXGUARD_PID"
echo "$1 $DAXGUARD_RULE"
cat
"""


def rule_files(rows, uuid):
    for n, row in enumerate(rows, 10):
        only = "" if row.name in ("unit", "alone") else f"Unit={unit(row)}\n"
        if row.wrong:
            yield f"{n}-{row.name}-wrong.policy", f"[Match]\n{only}{row.wrong}\n[Policy]\nAction=leave\n"
        right = row.right.format(uuid=uuid)
        yield f"{n}-{row.name}.policy", f"[Match]\n{only}{right}\n[Policy]\n{row.policy}\n"


class Rules:
    """Rule files, in force; leave() takes all of them away."""

    def __init__(self, check):
        self.check = check

    def __enter__(self):
        self.check.run(f"mkdir -p {RULES} {PLACE}")
        return self

    def __exit__(self, *exc):
        self.check.run(f"rm -rf {RULES} {PLACE}; systemctl reload-or-restart daxguardd.service")

    def write(self, files):
        self.check.run("".join(f"cat >{RULES}/{name} <<'EOF'\n{text}EOF\n" for name, text in files))

    def reload(self):
        self.check.run("systemctl reload daxguardd.service")


def start_all(check, scenario, rows):
    """Pids by name; each has its directory, and is ready."""
    script = f"rm -f {LOG}; touch {LOG}; chmod 666 {LOG}; chmod 1777 $MNT; cd /\n"
    script += f"cat >{PLACE}/hook <<'EOF'\n{HOOK}EOF\nchmod 755 {PLACE}/hook\n"
    # A name that is not UTF-8 cannot be given to systemd-run.
    script += f"""cat >{PLACE}/start <<'EOF'\np=$(printf "$1"); shift; exec "$p" "$@"\nEOF\n"""
    for row in rows:
        start = f"systemd-run -q --collect --unit={unit(row)} {row.options}"
        if row.name == "container":
            start = f"systemd-run -q --scope --unit={unit(row)}"
        script += (f"mkdir -m 1777 $MNT/{row.name}; touch $MNT/{row.name}/file; p=$(printf '{row.program}')\n"
                   f'[ -e "$p" ] || cp {MAPPER} "$p"\n'
                   f"{start} /bin/sh {PLACE}/start '{row.program}' {row.kind} "
                   f"$MNT/{row.name} {LOG} </dev/null >{PLACE}/{row.name}.out 2>&1")
        script += " &\n" if row.name == "container" else f" || fail {row.name}\n"
    script += (f"all_are_ready() {{ [ $(grep -c ' ready ' {LOG}) = {len(rows)} ]; }}\n"
               f"wait_for 60 all_are_ready || fail \"$(cat {LOG} {PLACE}/*.out)\"\nrm -f {PLACE}/deleted\n")
    scenario.sh(script, timeout=200, check=True)
    units = " ".join(unit(row) for row in rows)
    out = check.run(f"for u in {units}; do cat /sys/fs/cgroup$(systemctl show -P ControlGroup $u)/cgroup.procs; done")
    pids = dict(zip((row.name for row in rows), map(int, out.split())))
    check.equal("processes", len(pids), len(rows))
    return pids


def gets(row):
    rule = next(name for name, _ in rule_files([row], "") if "wrong" not in name).split("-", 1)[1]
    return rule, row.actions, row.end


def told(incident):
    """By pid: the rule without its number, what was done, and how it ended."""
    return {holder["Pid"]: (holder["Rule"].split("-", 1)[-1],
                            tuple((action["Action"], action["Outcome"]) for action in holder["Actions"]), holder["End"])
            for holder in incident["Holders"]}


def text(value):
    """Bytes, as busctl shows them."""
    return bytes(value).decode("utf-8", "surrogateescape")


def call(check, method, *arguments, user="root"):
    """Over the system bus, by somebody else's client; None: refused."""
    result = check.guest.run(f"runuser -u {user} -- busctl call --json=short org.daxguard1 /org/daxguard1 "
                             f"org.daxguard1.Manager {method} {' '.join(arguments)} 2>&1")
    check.said = result.out
    return json.loads(result.out)["data"][0] if result.rc == 0 else None


def call_in_time(check, *arguments, **more):
    """The daemon gives looks at processes a second; three emulated machines on
    two processors may need another try."""
    for _ in range(5):
        answer = call(check, *arguments, **more)
        if not answer or answer["NotLookedAt"]["data"] == 0:
            break
    return answer


def query(check, pid, user="root"):
    return call_in_time(check, "QueryPolicy", "'sua{sv}'", "pmem0", str(pid), "0", user=user)


def forecast(holder):
    """Of Simulate or QueryPolicy: the rule, and each action with why it would not be done."""
    return (text(holder["Rule"]["data"]).split("-", 1)[-1],
            tuple((action["Action"]["data"], action["Outcome"]["data"]) for action in holder["Actions"]["data"]))


def was_foretold(check, row, pid, simulation):
    """What somebody was told before is what he gets, up to where he lets go."""
    process = query(check, pid)
    if not check.expect(process, f"QueryPolicy for '{row.name}': {check.said}"):
        return
    rule, actions = forecast(process)
    check.expect(process["Holds"]["data"], f"'{row.name}' is said to hold nothing")
    simulated = [holder for holder in simulation["Holders"]["data"] if holder["Pid"]["data"] == pid]
    check.equal(f"Simulate of '{row.name}'", [forecast(holder) for holder in simulated], [(rule, actions)])
    want, done, _ = gets(row)
    check.equal(f"rule of '{row.name}'", rule, want)
    check.equal(f"actions for '{row.name}'", [action for action, _ in actions[:len(done)]],
                [action for action, _ in done])
    for (action, why), (_, outcome) in zip(actions, done):
        check.expect(not why or why == outcome, f"'{row.name}': {action} was to be {why}, and is {outcome}")
    wrong = [text(passed["Rule"]["data"]) for passed in process["Passed"]["data"]]
    check.equal(f"rules before that of '{row.name}'", any(row.name + "-wrong" in name for name in wrong),
                bool(row.wrong))


def carried_out(check, rows, prepare=None):
    """Asked first, and then one removal, with a process for each row."""
    scenario = Scenario(check.guest, "ext4")
    check.start_daemon()
    scenario.prepare()
    uuid = scenario.sh("cat /sys/bus/nd/devices/$PFN/uuid", check=True).out.strip()
    check.run("echo 50000 >/sys/module/daxguard/parameters/hold_ms")
    with Rules(check) as rules:
        try:
            rules.write(rule_files(rows, uuid))
            rules.reload()
            pids = start_all(check, scenario, rows)
            if prepare:
                prepare(pids)
            simulation = call_in_time(check, "Simulate", "'sa{sv}'", "pmem0", "0")
            for row in rows:
                was_foretold(check, row, pids[row.name], simulation)
            result = scenario.begin_removal(timeout=90).wait()
            check.equal("exit status of the removal", result.rc, 0)
            incident = check.incident()
            have = told(incident)
            for row in rows:
                check.equal(f"what '{row.name}' got", have.pop(pids[row.name], None), gets(row))
            check.equal("others among the holders", have, {})
            return pids, incident
        finally:
            units = " ".join(unit(row) for row in rows)
            check.run(f"systemctl kill -s KILL {units} 2>/dev/null; pkill -KILL -x mapper; true")
            check.run("echo 20000 >/sys/module/daxguard/parameters/hold_ms")
            check.equal("the device comes back", scenario.come_back().rc, 0)


def matches(check):
    _, incident = carried_out(check, described())
    check.equal("outcome", (incident["Outcome"], incident["Revoke"]), ("clean", "clean"))


def treatments(check):
    def prepare(pids):
        # Who is in pid 1's own group pays for himself; and one of a unit may map nothing.
        out = check.run(f"echo {pids['alone']} >/sys/fs/cgroup/init.scope/cgroup.procs\n"
                        "sleep 1000 >/dev/null 2>&1 & echo $!\n"
                        "echo $! >/sys/fs/cgroup$(systemctl show -P ControlGroup policy-whole-unit.service)/cgroup.procs")
        pids["of the unit"] = int(out)

    pids, incident = carried_out(check, treated(), prepare)
    check.expect(check.guest.run(f"kill -0 {pids['of the unit']}").rc != 0, "one of the unit lives on")
    holder = next(holder for holder in incident["Holders"] if holder["Pid"] == pids["hook"])
    words, story = holder["Actions"][0]["Output"].split("\n", 1)
    check.equal("arguments and environment of the hook", words, f"hook-argument {holder['Rule']}")
    story = json.loads(story)
    check.equal("input of the hook", (story["Pid"], story["Mounts"]), (pids["hook"], ["/mnt/pmem"]))


KILL_ALL = "[Match]\nAccess=mapped\n[Policy]\nAction=kill\n"
# What is wrong with it, and how that is said.
REFUSED = {
    "20-word.policy": ("[Match]\nAccess=mapped\n[Policy]\nActoin=term\n", ":4:1: ", '"Action"'),
    "21-rung.policy": ("[Match]\nAccess=mapped\n[Policy]\nAction=term@5s trem\n", ":4:16: ", '"term"'),
    "22-key.device": ("[Match]\nUnit=a.service\n[Device]\nOnBusy=keep\n", ":2:1: ", "Unit"),
    "23-writable.policy": (KILL_ALL, ": ", "writ"),
}


def reloading(check):
    """Rules that are wrong change nothing, and each is said to be wrong, and where."""
    check.start_daemon()
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mount_dax {disk.dev}")
    with Rules(check) as rules:
        rules.write([("10-first.policy", KILL_ALL), ("05-masked.policy", "[Match]\nAccess=mapped\n[Policy]\nAction=leave\n")])
        check.run(f"mkdir -p /run/daxguard/policy.d; mv {RULES}/05-masked.policy /run/daxguard/policy.d/; "
                  f"ln -s /dev/null {RULES}/05-masked.policy")
        rules.reload()
        rules.write((name, text) for name, (text, _, _) in REFUSED.items())
        check.run(f"chmod 666 {RULES}/23-writable.policy; rm {RULES}/10-first.policy")
        reload = check.guest.run("systemctl reload daxguardd.service")
        check.expect(reload.rc != 0, "systemctl reload took rules that are wrong")
        said = check.guest.run("daxguardctl reload 2>&1")
        check.expect(said.rc != 0, "daxguardctl reload took rules that are wrong")
        for name, (_, where, what) in REFUSED.items():
            lines = [line for line in said.out.splitlines() if f"{RULES}/{name}{where}" in line and what in line]
            check.expect(lines, f"nothing said of {name}: {said.out}")
        mapper = Mapper(check, "/mnt/pmem/file")
        incident = removed(check, disk.unbind)
        holder, = incident["Holders"]
        check.equal("rule that is in force", (holder["Rule"], [action["Action"] for action in holder["Actions"]]),
                    ("10-first.policy", ["kill"]))
        mapper.was_ended(incident)
        check.run("rm -f /run/daxguard/policy.d/05-masked.policy")
    check.run(disk.bind)


def kept(check):
    """A file system that somebody is left on, and which the device's rule keeps."""
    check.start_daemon()
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mount_dax {disk.dev}; touch /mnt/pmem/file")
    with Rules(check) as rules:
        rules.write([("10-archive.device", "[Match]\nMountPoint=/mnt/pmem\n[Device]\nOnBusy=keep\nBudget=15s\n")])
        rules.reload()
        pid = int(check.run("sleep 1000 </mnt/pmem/file >/dev/null 2>&1 & echo $!"))
        incident = removed(check, disk.unbind, Outcome="kept", Result="released", DeviceRule="10-archive.device",
                           OnBusy="keep")
        check.equal("who is left", [(holder["Pid"], holder["End"]) for holder in incident["Holders"]], [(pid, "left")])
        check.run(f"kill -0 {pid}; findmnt -n /mnt/pmem; kill -KILL {pid}; umount /mnt/pmem")
    check.run(disk.bind)


def bus(check):
    """What somebody who is not root can ask, and what not."""
    check.start_daemon()
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mount_dax {disk.dev}; rm -f {LOG}; touch {LOG}; chmod 666 {LOG}; "
              f"chmod 1777 /mnt/pmem")
    others = Mapper(check, "/mnt/pmem/file")
    own = int(check.run(f"cp {MAPPER} \"$(printf '/run/e\\033[1m\\377')\"\n"
                        f"\"$(printf '/run/e\\033[1m\\377')\" nobody /mnt/pmem {LOG} >/dev/null 2>&1 & "
                        f"wait_for 20 grep -q ready {LOG}; echo $!"))
    simulation = call(check, "Simulate", "'sa{sv}'", "pmem0", "0", user="nobody")
    check.equal("who nobody is told of", [holder["Pid"]["data"] for holder in simulation["Holders"]["data"]], [own])
    check.equal("others that nobody is told of", simulation["Others"]["data"]["Holders"]["data"], 1)
    users = call(check, "ListHolders", "s", "pmem0", user="nobody")
    check.equal("who nobody can list", [holder["Pid"]["data"] for holder in users["Holders"]["data"]], [own])
    name = text(users["Holders"]["data"][0]["Comm"]["data"])
    check.equal("the name of a process, all its bytes", name, "e\033[1m\udcff")
    mine = query(check, own, user="nobody")
    check.expect(mine and mine["Holds"]["data"], f"nobody's own process: {check.said}")
    for what, answer in (("QueryPolicy for root's", query(check, others.pid, user="nobody")),
                         ("Reload", call(check, "Reload", user="nobody"))):
        check.expect(answer is None and "takes an administrator" in check.said, f"{what} by nobody: {check.said}")
    idle = query(check, int(check.run("main_pid")))
    check.equal("the daemon itself", (idle["Holds"]["data"], forecast(idle)), (False, ("in:protected", ())))
    idle = query(check, int(check.run("sleep 300 >/dev/null 2>&1 & echo $!")))
    check.equal("who uses nothing", (idle["Holds"]["data"], forecast(idle)[0]), (False, "in:mapped"))
    shown = check.guest.run("daxguardctl explain pmem0; daxguardctl explain pmem0 " + str(own))
    check.expect("\033" not in shown.out, "an escape of a process's name reaches the terminal")
    incident = removed(check, disk.unbind)
    check.equal("who was told", sorted(holder["Pid"] for holder in incident["Holders"]), sorted([own, others.pid]))
    check.run(f"rm -f /run/e*; {disk.bind}")


CASES = {
    "policy/matches": Case(matches, ("6.12",), spoils=True),
    "policy/treatments": Case(treatments, ("6.12",), spoils=True),
    "policy/reload": Case(reloading, ("6.1",)),
    "policy/bus": Case(bus, ("6.1",)),
    "policy/kept": Case(kept, ("7",), spoils=True),
}
