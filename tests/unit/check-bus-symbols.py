#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon has no function of libsystemd's that waits for a bus, nor one that waits for
the journal or the service manager: any of them may wait for what is held.

Arguments: nm, and the daemon.
"""

import re
import subprocess
import sys

WAITS = re.compile(r"""
    sd_bus_(call|call_method|call_methodv|wait|flush|flush_close_unref\w*|default\w*|open\w*|
            request_name|release_name|list_names|add_match|match_signal|
            get_(name_creds|name_machine_id|owner_creds|owner_machine_id|unique_name|bus_id|
                 property\w*)|
            set_property\w*|query_sender_(creds|privilege)|is_ready|can_send|track_\w+)|
    sd_(journal_\w+|notify\w*|pid_notify\w*)""", re.VERBOSE)


def main():
    nm, daemon = sys.argv[1:]
    undefined = [line.split()[0].split("@")[0] for line in subprocess.run(
        [nm, "-D", "-P", "--undefined-only", daemon], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()]
    assert "sd_bus_call_async" in undefined, "this daemon is on no bus"
    wrong = sorted(symbol for symbol in undefined if WAITS.fullmatch(symbol))
    for symbol in wrong:
        print(f"{symbol}() waits")
    if not wrong:
        print(f"{sum(symbol.startswith('sd_') for symbol in undefined)} functions of libsystemd, none waits")
    return bool(wrong)


sys.exit(main())
