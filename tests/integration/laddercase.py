# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of test-ladder.py and test-units.py stand on: a daemon with one rule."""

from daemoncase import DaemonCase


class LadderCase(DaemonCase):
    def ladder(self, text):
        """Of whoever maps it."""
        self.rule("50-test.policy", "Access=mapped", text)

    def script(self, text, name="hook"):
        self.write(name, "#!/bin/sh\n" + text, 0o755)
        return self.path(name)

    def removal(self, result="ACKED"):
        """By a daemon that is started for it, from its begin to its end."""
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), result)
        self.ended()

    def outcome(self, action, pid=None):
        """The last one that was told."""
        events = [e for e in self.events("acted", action=action)
                  if pid is None or e["pid"] == str(pid)]
        return events[-1]["outcome"] if events else None

    def acts(self, holder):
        return [e["action"] for e in self.events("act", pid=holder.pid)]
