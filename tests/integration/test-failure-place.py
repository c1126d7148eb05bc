#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What failed memory was used for: asked for after everybody was told, and kept.

usage: as test-daemon.py
"""

import errno
import os

from daemoncase import STEP_WRAPPER, eventually, main
from failingmodule import PAGE, FailingModule
from failurecase import FIRST, GOES_ON, FailureCase
from procfs import TICKS_NS, start_ns

OTHER = os.makedev(259, 77)
# What the step was asked is in place.N.
WRAPPER = STEP_WRAPPER.replace("while [", """if [ $1 = place ]; then
	n=0
	while [ -e {dir}/place.$n ]; do n=$((n + 1)); done
	cat > {dir}/place.$n
fi
while [""")


class ManyDisks(FailingModule):
    def _guards(self, conn, number):
        return int(number) >> 32 == os.major(OTHER) or super()._guards(conn, number)


def records(data):
    return [dict(field.decode("utf-8", "surrogateescape").split("=", 1) for field in record.split(b"\0"))
            for record in data.split(b"\0\0") if record]


class FailurePlaceTest(FailureCase):
    def setUp(self):
        super().setUp()
        self.write("step", WRAPPER.format(dir=self.dir, step=self.step), 0o755)

    def new_module(self, **more):
        return ManyDisks(self.path("klink"), self.header, self.dev, **more)

    def start(self, *args, **more):
        daemon = super().start(*args, **more)
        self.loaded()
        return daemon

    def answer(self, *found, end="ok"):
        """What the step will say."""
        text = b"".join(b"".join(f"{key}={value}".encode("utf-8", "surrogateescape") + b"\0"
                                 for key, value in record.items()) + b"\0" for record in (*found, {"END": end}))
        with open(self.path("output-place"), "wb") as file:
            file.write(text)

    def of_file(self, page, n=1, number=0, ino=12):
        return {"RANGE": number, "OFFSET": page * PAGE, "LEN": n * PAGE, "KIND": "file", "FS_DEV": self.number,
                "INO": ino, "FILE_OFFSET": page * PAGE}

    def file(self, path="/mnt/a b\xe9", ino=12, **more):
        return {"FILE": ino, "FS_DEV": self.number, "GENERATION": 1, "LINKS": 1, "PATH": path, **more}

    def asked(self, n=0):
        with open(self.path(f"place.{n}"), "rb") as file:
            return records(file.read())

    def of_kind(self, kind, number=FIRST):
        return [event for what, event in self.record(number) if what == kind]

    def show(self, number=FIRST):
        return self.ctl("Incident", "show", str(number))

    def test_file(self):
        """In the record, in the ledger and in the journal; and it is no other report."""
        self.answer(self.of_file(2), self.of_file(3, number=1), self.file())
        holder = self.holder(GOES_ON)
        self.start()
        self.module.fail(2)
        serial = self.module.fail(3)
        self.assertEqual(self.over(), "told")
        self.module.wait_forgotten(serial)
        self.assertIsNone(holder.poll())
        self.assertEqual(self.asked()[0]["DEV"], self.number)
        self.assertEqual({key: self.asked()[1][key] for key in ("OFFSET", "FS_DEV", "INO", "FILE_OFFSET")},
                         {"OFFSET": str(2 * PAGE), "FS_DEV": self.number, "INO": str(self.module.ino),
                          "FILE_OFFSET": str(2 * PAGE)})
        story = self.show()
        self.assertEqual(story["Places"],
                         [{"DeviceOffset": 2 * PAGE, "Length": 2 * PAGE, "Content": "file", "What": "",
                           "FileSystem": self.number, "Inode": 12, "FileOffset": 2 * PAGE,
                           "Path": story["Places"][0]["Path"], "NoPath": "", "Deleted": False, "Elsewhere": False}])
        self.assertEqual([(s["Step"], s["End"]) for s in story["Steps"]], [("place", "ok")])
        self.assertIn("/mnt/a b", self.text("show", str(FIRST)))
        self.assertIn("/mnt/a b", self.text("poison"))
        eventually(lambda: all(f["Written"] for f in self.ctl("Failures", "poison")))
        failure, = self.ctl("Failures", "poison")
        self.assertEqual({key: failure[key] for key in ("Offset", "Length", "Content", "Inode", "FileOffset", "Times")},
                         {"Offset": 2 * PAGE, "Length": 2 * PAGE, "Content": "file", "Inode": 12,
                          "FileOffset": 2 * PAGE, "Times": 2})
        eventually(lambda: any(", of /mnt/a b" in text for text in self.journal.texts()))
        # A daemon that starts later knows the same.
        self.daemons[0].terminate()
        self.daemons[0].wait()
        self.start()
        self.assertEqual(self.show()["Places"], story["Places"])
        self.assertEqual(self.ctl("Failures", "poison"), [failure])

    def test_no_path(self):
        self.answer(self.of_file(2), {"FILE": 12, "FS_DEV": self.number, "GENERATION": 1, "LINKS": 1,
                                      "NO_PATH": "not-found"})
        self.start()
        self.module.fail(2, place=False)
        self.assertEqual(self.over(), "nobody")
        self.assertNotIn("INO", self.asked()[1])
        self.assertEqual(self.show()["Places"][0]["NoPath"], "not-found")
        self.assertIn("(not-found)", self.text("show", str(FIRST)))
        self.assertEqual([(f["Content"], f["Inode"]) for f in self.ctl("Failures", "poison")], [("file", 12)])

    def test_metadata(self):
        """Said once, whatever else there is; who maps file data is told as ever."""
        self.answer({"RANGE": 0, "OFFSET": 0, "LEN": PAGE, "KIND": "metadata", "WHAT": "inodes",
                     "FS_DEV": self.number},
                    {"RANGE": 1, "OFFSET": PAGE, "LEN": PAGE, "KIND": "metadata", "WHAT": "xattr",
                     "FS_DEV": self.number, "INO": 12},
                    {"RANGE": 2, "OFFSET": 2 * PAGE, "LEN": PAGE, "KIND": "free", "FS_DEV": self.number},
                    {"RANGE": 3, "OFFSET": 3 * PAGE, "LEN": PAGE, "KIND": "unknown", "WHAT": "no-owners"},
                    self.file("/mnt/x"))
        self.holder(GOES_ON)
        self.start()
        self.module.fail(0, 4, place=False)
        eventually(lambda: "place" in self.steps())
        self.module.fail(3, place=False)
        eventually(lambda: self.steps().count("place") == 2)
        self.assertEqual(self.over(), "told")
        self.assertEqual([e["text"] for e in self.of_kind("note") if "metadata" in e["text"]],
                         ["metadata\\x20of\\x20the\\x20file\\x20system:\\x20inodes"])
        self.assertEqual([(p["Content"], p["What"]) for p in self.show()["Places"]],
                         [("metadata", "inodes"), ("metadata", "xattr"), ("free", ""), ("unknown", "no-owners")])
        self.assertEqual([(f["Offset"], f["Content"]) for f in self.ctl("Failures", "poison")],
                         [(0, "metadata"), (PAGE, "metadata"), (2 * PAGE, "free"), (3 * PAGE, "unknown")])
        self.assertIn("metadata of /mnt/x", self.text("poison"))
        eventually(lambda: any("metadata of the file system" in text for text in self.journal.texts()))

    def test_hangs(self):
        """Nobody's signal, and nothing that the kernel may forget, waits for it; it has a deadline."""
        holder = self.holder(GOES_ON)
        self.start()
        self.block("place")
        serial = self.module.fail(2)
        self.module.wait_forgotten(serial)
        eventually(lambda: "place" in self.steps())
        eventually(lambda: "settling" in self.states(FIRST))
        # What fails meanwhile is told in an incident of its own.
        self.module.wait_forgotten(self.module.fail(1))
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid] * 2)
        self.assertEqual(self.of_kind("end"), [])
        eventually(lambda: self.of_kind("end"), 15)
        self.assertEqual(self.over(), "told")
        self.assertEqual([e["end"] for e in self.of_kind("job-end")], ["timeout"])
        self.assertEqual([e["text"].endswith("of\\x20all:\\x20timeout") for e in self.of_kind("note")][:1], [True])
        eventually(lambda: self.of_kind("end", FIRST + 1), 15)
        self.assertEqual(self.ctl("Status", "status")["LostSteps"], 2)

    def test_cut(self):
        """More pieces than one step tells: what it said counts, and that it is not all is said."""
        for number, end in enumerate(("cut", "other")):
            self.answer(self.of_file(2), self.file(), end=end)
            if number == 0:
                self.start()
            self.module.fail(2 + number, place=False)
            self.assertEqual(self.over(FIRST + number), "nobody")
            self.assertEqual([p["Inode"] for p in self.show(FIRST + number)["Places"]], [12])
            self.assertTrue(self.of_kind("note", FIRST + number)[0]["text"].endswith("of\\x20all:\\x20cut"))

    def test_fails(self):
        """A disk of which nothing can be said."""
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "nobody")
        self.assertEqual([e["end"] for e in self.of_kind("job-end")], ["failed"])
        self.assertEqual(self.show()["Places"], [])

    def test_many(self):
        """A few steps, as many ranges in each as it takes; the story is bounded and says so."""
        self.answer(*({"RANGE": n, "OFFSET": 2 * n * PAGE, "LEN": PAGE, "KIND": "free", "FS_DEV": self.number}
                      for n in range(4096)))
        self.start()
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000
        more = self.module.encoder["FAIL_MORE"]
        with self.module.lock:	# or what is not announced may come after the daemon has asked
            for n in range(6000):
                self.module.fail(2 * n, event=n < 8, flags=more if n == 7 else 0, place=False)
        eventually(lambda: "place" in self.steps(), 60)
        eventually(lambda: self.of_kind("end"), 60)
        asked = [len(self.asked(n)) - 1 for n in range(self.steps().count("place"))]
        self.assertEqual(sum(asked), 6000)
        self.assertLessEqual(max(asked), 4096)
        self.assertEqual(len(self.show()["Places"]), 1024)
        self.assertIn("more\\x20places\\x20are\\x20not\\x20listed", self.of_kind("note")[0]["text"])
        eventually(lambda: sum(f["Content"] == "free" for f in self.ctl("Failures", "poison")) == 4096, 30)

    def test_many_disks(self):
        """Those that wait leave room for others."""
        self.start()
        self.block("place")
        for n in range(40):
            self.module.fail(2, dev=os.makedev(259, 100 + n), place=False)
        self.module.wait_forgotten(40)
        eventually(lambda: len([i for i in self.ctl("Incidents", "incidents") if i["State"] == "done"]) >= 8, 8)
        eventually(lambda: self.steps().count("place") >= 32)
        self.assertIn("too-many", str([self.of_kind("note", FIRST + n) for n in range(40)]))

    def test_removal_comes_first(self):
        """None is started while one is held: of the same device never, of another one afterwards."""
        self.answer({"RANGE": 0, "OFFSET": 2 * PAGE, "LEN": PAGE, "KIND": "free"})
        self.start()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        self.module.fail(1)
        serial = self.module.fail(2, dev=OTHER, place=False)
        self.assertEqual(self.over(), "removal")
        self.module.wait_forgotten(serial)
        eventually(lambda: "settling" in self.states(FIRST + 1))
        self.assertNotIn("place", self.steps())
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.over(FIRST + 1), "nobody")
        self.assertEqual([p["Content"] for p in self.show(FIRST + 1)["Places"]], ["free"])
        self.assertEqual([self.asked()[0]["DEV"], self.steps().count("place")], ["259:77", 1])

    def test_removal_ends_it(self):
        self.holder(GOES_ON)
        self.start()
        self.block("place")
        self.module.wait_forgotten(self.module.fail(2))
        eventually(lambda: "settling" in self.states(FIRST))
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.over(), "told")
        self.assertEqual([e["end"] for e in self.of_kind("job-end")], ["canceled"])
        self.assertEqual(self.steps().count("place"), 1)

    def test_removal_of_another_ends_it(self):
        """A file system may lie on both; it is asked again when that is over."""
        self.answer({"RANGE": 0, "OFFSET": 2 * PAGE, "LEN": PAGE, "KIND": "free"})
        self.start()
        self.block("place")
        self.module.wait_forgotten(self.module.fail(2, dev=OTHER, place=False))
        eventually(lambda: "place" in self.steps())
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.unblock("place")
        self.assertEqual(self.over(), "nobody")
        self.assertEqual([e["end"] for e in self.of_kind("job-end")], ["canceled", "ok"])
        self.assertEqual([p["Content"] for p in self.show()["Places"]], ["free"])

    def test_restart(self):
        """A daemon that is killed meanwhile: the next one asks again, and nothing is there twice."""
        self.answer(self.of_file(2), self.file())
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000
        daemon = self.start()
        self.block("place")
        self.module.fail(2)
        eventually(lambda: "place" in self.steps())
        self.kill(daemon)
        self.unblock("place")
        self.start()
        self.assertEqual(self.over(), "nobody")
        self.assertEqual([e["end"] for e in self.of_kind("job-end")][1:], ["ok"])
        self.assertEqual(len(self.show()["Places"]), 1)

    def test_step_that_outlives_two_daemons(self):
        """As one that hangs in the kernel: it is ours still, though an earlier daemon has told its end."""
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000
        daemon = self.start()
        self.block("place")
        self.module.fail(2)
        eventually(lambda: "place" in self.steps())
        eventually(lambda: self.of_kind("step"))
        daemon.kill()
        daemon.wait()
        eventually(lambda: not self.module.daemon)
        self.unblock("place")
        # We are the first process of the namespace, whom nobody in there can kill.
        path = self.path(f"run/incidents/{FIRST}")
        with open(path, encoding="ascii") as file:
            lines = [line.split() for line in file]
        words = next(line for line in lines if line[2] == "step")
        words[3:] = ["name=place", "pid=1", f"start_ns={start_ns(1) // TICKS_NS * TICKS_NS}"]
        lines.append([*words[:2], "job-end", "name=place", "end=stuck"])
        with open(path, "w", encoding="ascii") as file:
            file.write("".join(" ".join(line) + "\n" for line in lines))
        self.start()
        self.assertEqual(self.over(), "nobody")
        self.assertEqual(self.ctl("Status", "status")["StuckSteps"], 1)


if __name__ == "__main__":
    main()
