/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

/* All that is wrong, a line each; NULL: no memory. */
static char *join_errors(const char *const *errors)
{
	char *text = NULL, *line;
	size_t n_text;
	FILE *f = open_memstream(&text, &n_text);

	if (!f)
		return NULL;
	for (; *errors; errors++) {
		line = strdup(*errors);
		if (line) {
			bus_make_printable(line);
			fprintf(f, "%s%s", ftell(f) > 0 ? "\n" : "", line);
		}
		free(line);
	}
	return fclose(f) == 0 ? text : NULL;
}

static int refuse_reload(sd_bus_error *error, int r)
{
	if (r == -EBUSY)
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"a removal is under way; try again when it is over");
	return r;
}

static int answer_reload(struct call *call, int result, const char *const *errors,
			 sd_bus_error *error)
{
	char *text;

	if (result == 0)
		return sd_bus_reply_method_return(call_message(call), NULL);
	if (result != -EINVAL)
		return refuse_reload(error, result);
	text = join_errors(errors);
	sd_bus_error_set(error, DG_BUS_ERROR_CONFIG, text ?: "there are errors");
	free(text);
	return -EINVAL;
}

static void on_reload(void *userdata, int result, const char *const *errors)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = answer_reload(userdata, result, errors, &error);

	call_finish(userdata, r, &error);
	sd_bus_error_free(&error);
}

static void cancel_reload(void *pending)
{
	manager_reload_cancel(pending);
}

static int reload(struct call *call, sd_bus_error *error)
{
	struct manager_reload *pending;
	int r = call_may_wait(call);

	if (r < 0)
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"too many ask at once; try again");
	r = manager_reload(call_manager(call), on_reload, call, &pending);
	return r < 0 ? refuse_reload(error, r) : call_wait(call, cancel_reload, pending);
}

int bus_reload(struct call *call, sd_bus_error *error)
{
	return call_authorize(call, DG_ACTION_RELOAD, reload, error);
}
