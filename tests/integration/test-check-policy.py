#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguardctl check-policy, as it is called. Argument: daxguardctl."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

DAXGUARDCTL = sys.argv.pop(1)

GOOD = "[Match]\nUnit=redis*.service\nUser=root\n[Policy]\nAction=term@5s kill\n"
DEVICE = "[Match]\nDevice=pmem*\n[Device]\nOnBusy=keep\n"
WRONG = "[Match]\nUntis=redis\n[Policy]\nAction=kill@9h\n"


class CheckPolicyTest(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def put(self, name, text):
        path = pathlib.Path(self.dir.name, name)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def check(self, *arguments, code=0):
        run = subprocess.run([DAXGUARDCTL, *arguments[:-1], "check-policy", *arguments[-1]], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.assertEqual(run.stderr, "")
        return run.stdout

    def test_good_files(self):
        files = [self.put("a.policy", GOOD), self.put("b.device", DEVICE), self.put("c.policy", "")]
        self.assertEqual(self.check(files), "2 rule files without an error, 1 masked.\n")
        self.assertEqual(self.check("--no-legend", files), "")

    def test_errors_have_a_place(self):
        wrong = self.put("w.policy", WRONG)
        said = self.check("--no-legend", [self.put("a.policy", GOOD), wrong], code=6)
        self.assertEqual(said.splitlines(), [
            f'{wrong}:2:1: unknown key "Untis" in [Match]; did you mean "Unit"?',
            f"{wrong}:4:13: not a unit of time: ms, s or min",
        ])

    @unittest.skipIf(os.access("/usr/sbin/criu", os.X_OK), "CRIU is installed")
    def test_what_is_not_installed(self):
        path = self.put("a.policy", GOOD.replace("term@5s", "checkpoint@5s"))
        self.assertEqual(self.check("--no-legend", [path]),
                         f"{path}:5:1: warning: checkpoint needs CRIU, which is not installed: it is passed over\n")

    def test_what_is_no_rule_file(self):
        for text in (b"\0" * 100, b"\x7fELF\2\1\1\0", b"x" * (1 << 20), b"[Match]\n" + b"\xff" * 70000):
            self.check([self.put("a.policy", text)], code=6)
        self.check([self.put("a.txt", GOOD)], code=6)
        self.check([self.dir.name + "/absent.policy"], code=6)
        self.check([self.dir.name], code=6)

    def test_json(self):
        wrong, good = self.put("w.policy", WRONG), self.put("a.policy", GOOD)
        answer = json.loads(self.check("--json", [wrong, good], code=6))
        self.assertEqual(answer["Schema"], 1)
        self.assertEqual(answer["Check"]["Files"],
                         [{"Path": wrong, "Kind": "policy", "State": "wrong"},
                          {"Path": good, "Kind": "policy", "State": "read"}])
        self.assertEqual(answer["Check"]["Errors"][1],
                         {"Path": wrong, "Line": 4, "Column": 13, "Reason": "not a unit of time: ms, s or min"})
        self.assertFalse(answer["Check"]["MoreErrors"])

    def test_a_user_that_is_not_here(self):
        path = self.put("a.policy", "[Match]\nUser=root no-such-user\nGroup=!no-such-group\n[Policy]\nAction=kill\n")
        self.assertEqual(self.check("--no-legend", [path]).splitlines(), [
            f'{path}:2:11: warning: there is no user "no-such-user" here',
            f'{path}:3:8: warning: there is no group "no-such-group" here',
        ])


if __name__ == "__main__":
    unittest.main()
