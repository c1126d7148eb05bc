/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/steps-pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough to empty a pipe, few enough to leave a step that pours without end. */
#define READS_PER_TURN 32

void pipe_end_close(struct pipe_end *end)
{
	end->source = sd_event_source_disable_unref(end->source);
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

/* Room for another read; false: none, or none wanted. */
static bool pipe_end_grow(struct pipe_end *end)
{
	size_t size = end->size ? end->size * 2 : 1024;
	char *grown;

	if (end->n < end->size)
		return true;
	if (size > end->max)
		size = end->max;
	if (size == end->size)
		return false;
	grown = realloc(end->data, size);
	if (!grown)
		return false;
	end->data = grown;
	end->size = size;
	return true;
}

void pipe_end_read(struct pipe_end *end)
{
	for (int i = 0; end->fd >= 0 && i < READS_PER_TURN; i++) {
		char rest[4096];
		bool room = pipe_end_grow(end);
		ssize_t n;

		n = room ? read(end->fd, end->data + end->n, end->size - end->n)
			 : read(end->fd, rest, sizeof(rest));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0)
			pipe_end_close(end);
		else if (room)
			end->n += (size_t)n;
		else
			end->overflow = true;
	}
}
