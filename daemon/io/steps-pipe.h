/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our end of a step's stdout or stderr: part of steps.c, which owns the step. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

struct pipe_end {
	int fd;
	sd_event_source *source;
	char *data; /* the owner frees it */
	size_t n, size, max;
	bool overflow; /* there was more than max */
};

/* What is in the pipe now; what finds no room is counted out. The end closes it. */
void pipe_end_read(struct pipe_end *end);
void pipe_end_close(struct pipe_end *end); /* the data stays */
