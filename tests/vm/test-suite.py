#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The suite's own count: no case that was chosen is lost. Boots nothing."""
import importlib.machinery
import importlib.util
import pathlib
import sys
import threading
import time
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("suite", str(HERE / "suite"))
suite = importlib.util.module_from_spec(importlib.util.spec_from_loader("suite", loader))
loader.exec_module(suite)

CHOSEN = {"6.12": ["start", "bad/not-root", "host/nss"], "7": ["start"]}
ALL = {"6.12/start", "6.12/bad/not-root", "6.12/host/nss", "7/start"}


class FakeMachine:
    """Fit for each case, and cannot be replaced where that is asked of it."""

    guest = None
    tired = False

    def __init__(self, *_):
        pass

    def spoilt(self):
        if self.tired:
            raise OSError("no machine")


class CountTest(unittest.TestCase):
    def run_with(self, tired, run_case):
        machine = type("Machine", (FakeMachine,), {"tired": tired})
        with mock.patch.multiple(suite, Machine=machine, run_case=run_case, say=lambda _: None), \
                mock.patch("threading.excepthook"):
            results = suite.run(None, CHOSEN, [], 2)
        names = [name for name, _ in results]
        self.assertEqual(len(names), len(set(names)))
        return {name: bool(failures) for name, failures in results}

    def test_all_pass(self):
        self.assertEqual(self.run_with(False, lambda *_: []), dict.fromkeys(ALL, False))

    def test_one_fails(self):
        results = self.run_with(False, lambda machine, name, case: ["no"] if name == "host/nss" else [])
        self.assertEqual({name for name in results if results[name]}, {"6.12/host/nss"})

    def test_what_a_thread_left_is_failed(self):
        def run_case(_machine, name, _case):
            if name == "bad/not-root":
                raise SystemExit("ends the thread")
            return []
        results = self.run_with(True, run_case)
        self.assertLessEqual(ALL, set(results))
        for name in ("6.12/bad/not-root", "6.12/host/nss"):
            self.assertTrue(results[name], name)


class OnceMoreTest(unittest.TestCase):
    """What failed beside others may pass alone; what the kernel complained of, or much, may not."""

    def once_more(self, failures, second):
        """Names that have failed in the end, and all that was said."""
        said, asked = [], []

        def run(_images, chosen, _payloads, jobs):
            asked.append((chosen, jobs))
            return list(second.items())

        results = [(name, failures.get(name, [])) for name in sorted(ALL)]
        with mock.patch.multiple(suite, run=run, say=said.append):
            results = suite.once_more(None, results, [])
        return {name for name, failures in results if failures}, said, asked

    def test_passes_alone(self):
        failed, said, asked = self.once_more({"7/start": ["late"]}, {"7/start": [], "7/power-off": []})
        self.assertEqual((failed, asked), (set(), [({"7": ["start"]}, 1)]))
        self.assertIn("unsteady: 7/start", said)

    def test_fails_again(self):
        failed, said, _ = self.once_more({"7/start": ["no"], "6.12/start": ["late"]},
                                         {"7/start": ["no"], "6.12/start": [], "7/power-off": ["hangs"]})
        self.assertEqual(failed, {"7/start", "7/power-off"})
        self.assertNotIn("unsteady: 7/start", said)

    def test_kernel_complained(self):
        failures = {"7/start": ["late", "kernel log: BUG: x"]}
        self.assertEqual(self.once_more(failures, {"7/start": []}), ({"7/start"}, [], []))

    def test_too_many(self):
        failures = dict.fromkeys(ALL, ["late"])
        self.assertEqual(self.once_more(failures, dict.fromkeys(ALL, [])), (ALL, [], []))

    def test_none_failed(self):
        self.assertEqual(self.once_more({}, {}), (set(), [], []))


OOPS = """\
[  113.538812] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI
[  113.539137] CPU: 1 UID: 0 PID: 875 Comm: modprobe Tainted: G           OE      6.12.117+deb13-amd64
[  113.539335] RIP: 0010:do_fault+0x11f/0x550
[  113.539781] Code: 27 04 00 00 0f 1f 44 00 00 {} <b6> 03 00 00 f0
[  113.549809] Code: 00 00 0f 1f 40 00 48 {} <48> 89 0e
"""


class BreakpointTest(unittest.TestCase):
    """What the emulator broke is told from what the kernel did."""

    def test_which(self):
        self.assertTrue(suite.vm.stale_breakpoint("[    1.0] x\n" + OOPS.format("e9", "cc")))
        self.assertFalse(suite.vm.stale_breakpoint(OOPS.format("cc", "e9")))
        self.assertFalse(suite.vm.stale_breakpoint(OOPS.replace("int3", "0000").format("e9", "e9")))

    def tries(self, consoles):
        """Whether it failed in the end, and what was left over of the consoles."""
        class Guest:
            console, text = "there", None

            def mark(self):
                self.text = consoles.pop(0)

            def problems(self):
                return [self.text] if self.text else []

            def emulator_tripped(self):
                return suite.vm.stale_breakpoint(self.text)

        class Machine:
            kernel, guest = "6.12", None

            def ready(self, _setup):
                self.guest = self.guest or Guest()
                return self.guest

            def spoilt(self):
                self.guest = None

        with mock.patch.multiple(suite, say=lambda _: None, journal=lambda _: ""):
            return bool(suite.run_case(Machine(), "case", suite.cases.Case(lambda _: None))), len(consoles)

    def test_once_more(self):
        tripped = OOPS.format("e9", "e9")
        self.assertEqual(self.tries([tripped, "", "left"]), (False, 1))
        self.assertEqual(self.tries([tripped, tripped, "left"]), (True, 1))
        self.assertEqual(self.tries(["Oops: 0000", "left"]), (True, 1))
        self.assertEqual(self.tries([OOPS.format("cc", "e9"), "left"]), (True, 1))


class TurnsTest(unittest.TestCase):
    def test_alone(self):
        """The heavy one waits for those that run, and those that come for it."""
        turns, said = suite.Turns(), []
        began, may_end = threading.Event(), threading.Event()

        def case(name, heavy=False):
            with turns.take(heavy):
                began.set()
                if name == "first":
                    may_end.wait(10)
                said.append(name)

        threads = [threading.Thread(target=case, args=args) for args in (("first",), ("heavy", True), ("last",))]
        threads[0].start()
        self.assertTrue(began.wait(10))
        threads[1].start()
        for _ in range(1000):
            if turns._heavy:
                break
            time.sleep(0.01)
        threads[2].start()
        time.sleep(0.1)
        may_end.set()
        for thread in threads:
            thread.join(10)
        self.assertEqual(said, ["first", "heavy", "last"])


if __name__ == "__main__":
    unittest.main()
