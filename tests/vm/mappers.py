# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that are awkward to end, on a scenario's file system: see
guest-files/mapper.c."""
import collections

MAPPER = "/usr/lib/daxguard-test/mapper"
LOG = "/run/mapper.log"


class Mappers:
    def __init__(self, check, scenario):
        self.check, self.scenario = check, scenario
        check.run(f"rm -f {LOG}")

    def start(self, kind, *arguments, run="setsid"):
        """Returns when it is ready; run: what starts it."""
        words = " ".join(f"'{word}'" for word in arguments)
        self.scenario.sh(f"cd /; {run} {MAPPER} {kind} $MNT {LOG} {words} >/run/mapper.err 2>&1 </dev/null &\n"
                         f"wait_for 20 grep -q ' ready {kind}$' {LOG} || {{ cat /run/mapper.err; exit 1; }}",
                         check=True, timeout=40)

    def lines(self):
        return [line.split() for line in self.check.run(f"cat {LOG}").splitlines()]

    def pids(self, kind):
        return [int(pid) for pid, event, what in self.lines() if event == "ready" and what == kind]

    def pid(self, kind):
        pids = self.pids(kind)
        self.check.equal(f"processes that are '{kind}'", len(pids), 1)
        return pids[0]

    def events(self):
        """What happened to each pid, but for its being ready."""
        events = collections.defaultdict(list)
        for pid, event, value in self.lines():
            if event != "ready":
                events[int(pid)].append((event, int(value)))
        return events

    def wait_for_event(self, pid, event, seconds=20):
        self.check.run(f"wait_for {seconds} grep -q '^{pid} {event} ' {LOG}", timeout=seconds + 20)

    def is_alive(self, pid):
        """One thread of it is."""
        return self.check.guest.run(f"cat /proc/{pid}/task/*/status 2>/dev/null | grep -q '^State:.[^ZX]'").rc == 0

    def end(self):
        self.check.run("gone() { ! pgrep -x -r D,R,S,T,t mapper >/dev/null; }\n"
                       "pkill -KILL -x mapper; wait_for 20 gone")


def holders_of(incident):
    """By pid: what each got, as (action, outcome), and how it ended."""
    return {holder["Pid"]: ([(action["Action"], action["Outcome"]) for action in holder["Actions"]], holder["End"])
            for holder in incident["Holders"]}
