/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's main(), for paths of the caller's. */
#pragma once

#include "manager.h"

/* The exit status, DG_EXIT_*. */
int daemon_run(int argc, char *argv[], const struct manager_paths *paths);
