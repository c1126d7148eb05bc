/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"
#include "names.h"

int main(int argc, char *argv[])
{
	static const struct manager_paths paths = {
		.run_dir = DG_RUN_DIR,
		.state_dir = DG_STATE_DIR,
		.step = DAXGUARD_STEP_PATH,
		.journal = DG_JOURNAL_SOCKET,
		.kmsg = DG_KMSG,
		.proc = "/proc",
		.cgroup = DG_CGROUP_DIR,
		.systemd = DG_SYSTEMD_SOCKET,
		.bus = DG_SYSTEM_BUS,
		.criu = DG_CRIU,
	};

	return daemon_run(argc, argv, &paths);
}
