/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/result.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step/checkpoint-store.h"

int result_end(struct result *result, const char *word, const char *format, ...)
{
	va_list ap;

	result->word = word;
	va_start(ap, format);
	vsnprintf(result->text, sizeof(result->text), format, ap);
	va_end(ap);
	return -ECANCELED;
}

int result_end_error(struct result *result, const char *what, int error)
{
	bool full = error == -ENOSPC || error == -EDQUOT;

	/* Somebody below has said it already. */
	if (error == -ECANCELED)
		return error;
	return result_end(result, full ? "no-space" : "failed", "%s: %s", what, strerror(-error));
}

void result_add_pid(struct result *result, pid_t pid)
{
	char *text;

	if (asprintf(&text, "%s%s%d", result->pids ?: "", result->pids ? " " : "", pid) < 0)
		return;
	free(result->pids);
	result->pids = text;
}

void result_add_processes(struct result *result, const struct dg_manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_processes; i++)
		result_add_pid(result, manifest->processes[i].pid);
}

int result_write(const struct result *result, const struct request *request)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	char name[CHECKPOINT_NAME_MAX];
	int r;

	dg_record_field(&writer, "RESULT", result->word ?: "failed");
	dg_record_field(&writer, "TEXT", result->text);
	dg_record_field(&writer, "ID", request->id_text);
	if (result->of[0])
		dg_record_field(&writer, "OF", result->of);
	if (result->dump_us > 0) {
		dg_record_field_u64(&writer, "BYTES", result->bytes);
		dg_record_field_u64(&writer, "DUMP_USEC", result->dump_us);
		dg_record_field(&writer, "CRIU", result->criu);
	}
	if (result->pids)
		dg_record_field(&writer, "PIDS", result->pids);
	r = dg_record_end(&writer);
	checkpoint_file(request->run, &request->id, "result", name);
	if (r >= 0)
		r = store_replace_file(request->run_fd, name, writer.data, writer.n);
	dg_record_writer_done(&writer);
	return r;
}

void result_done(struct result *result)
{
	free(result->pids);
	*result = (struct result){};
}
