#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The suite's own count: no case that was chosen is lost. Boots nothing."""
import importlib.machinery
import importlib.util
import pathlib
import sys
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


if __name__ == "__main__":
    unittest.main()
