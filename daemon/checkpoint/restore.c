/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/journal.h"
#include "step/checkpoint-store.h"

#define SCOPE_US 5000000U /* for the service manager to have made it */
#define LOOK_MS 5
#define STREAM_MAX 64

/* Whether the scope's job is done: from then on it is where CRIU's children will be. */
static int wait_for_scope(struct restore *restore)
{
	uint64_t deadline_us = checkpoint_now_us() + SCOPE_US;

	for (;;) {
		char *state;
		bool there = false;

		if (service_manager_state(restore->manager, restore->scope, &state) >= 0) {
			there = strcmp(state, "active") == 0;
			free(state);
		}
		if (there)
			return 0;
		if (checkpoint_now_us() > deadline_us)
			return result_end(restore->result, "failed", "%s does not start",
					  restore->scope);
		(void)poll(NULL, 0, LOOK_MS);
	}
}

/* CRIU is in it before it begins: nobody is ever anywhere else. */
static int make_scope(struct restore *restore, const struct criu_run *run)
{
	char description[128], *error = NULL;
	int r;

	snprintf(description, sizeof(description), "Processes of Checkpoint %s",
		 restore->request->id_text);
	/* Who starts their unit wants that, and never both. */
	r = service_manager_scope(restore->manager, restore->scope, description, run->pid,
				  restore->manifest.unit, &error);
	/* Whether it is their unit that is against it. */
	if (r == -EBUSY && restore_check_unit(restore) < 0)
		r = -ECANCELED;
	if (r < 0 && r != -ECANCELED)
		(void)result_end(restore->result, "failed", "%s: %s", restore->scope,
				 error ?: strerror(-r));
	free(error);
	return r < 0 ? -ECANCELED : wait_for_scope(restore);
}

static int end_of_criu(struct restore *restore, const struct criu_run *run, int r)
{
	char reason[RESULT_TEXT_MAX];

	if (r == -ETIME)
		return result_end(restore->result, "timeout", "CRIU was not done in time");
	if (r == -EIO) {
		criu_reason(run, reason, sizeof(reason));
		return result_end(restore->result, "failed", "%s", reason);
	}
	return result_end_error(restore->result, restore->criu, r);
}

/* What they print has somewhere to go again; stream: room for CRIU's word. */
static int add_journal(struct restore *restore, const char **argv, char stream[static STREAM_MAX],
		       int *ret_fd)
{
	const struct dg_manifest *manifest = &restore->manifest;
	const char *path = restore->request->journal;
	int fd;

	if (manifest->journal == 0)
		return 0;
	fd = journal_open(path, manifest->comm, manifest->unit);
	if (fd < 0)
		return result_end_error(restore->result, path, fd);
	snprintf(stream, STREAM_MAX, "fd[%d]:socket:[%" PRIu64 "]", fd, manifest->journal);
	criu_add(argv, "--inherit-fd");
	criu_add(argv, stream);
	*ret_fd = fd;
	return 0;
}

static int run_criu(struct restore *restore)
{
	const struct request *request = restore->request;
	char images[PATH_MAX], stream[STREAM_MAX];
	const char *argv[CRIU_WORDS_MAX] = {
		restore->criu,        "restore",
		"--images-dir",       images,
		"--file-locks",       "--manage-cgroups=ignore",
		"--restore-detached",
	};
	struct criu_run run;
	int r, journal_fd = -1;

	if (snprintf(images, sizeof(images), "%s/%.8s-%llu/%d/" STORE_IMAGES, request->dir,
		     request->id.boot, (unsigned long long)request->id.incident,
		     request->id.pid) >= (int)sizeof(images))
		return result_end_error(restore->result, request->dir, -ENAMETOOLONG);
	if (restore->manifest.shell_job)
		criu_add(argv, "--shell-job");
	r = add_journal(restore, argv, stream, &journal_fd);
	if (r < 0)
		return r;
	r = criu_start(argv, &run);
	if (journal_fd >= 0)
		close(journal_fd);
	if (r < 0)
		return result_end_error(restore->result, restore->criu, r);
	r = make_scope(restore, &run);
	if (r >= 0) {
		r = criu_go(&run);
		if (r >= 0)
			r = criu_wait(&run, request->deadline_us);
		if (r < 0)
			r = end_of_criu(restore, &run, r);
	}
	criu_done(&run);
	/* Half of them is none of them. */
	if (r < 0)
		(void)service_manager_kill(restore->manager, restore->scope, NULL);
	return r;
}

static void close_fds(const struct restore *restore)
{
	const int fds[] = {restore->checkpoint_fd, restore->store_fd, restore->proc_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void restore_run(struct request *request, struct result *result)
{
	struct restore restore = {
		.request = request,
		.result = result,
		.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.store_fd = -1,
		.checkpoint_fd = -1,
	};
	char *error = NULL;
	int r;

	checkpoint_scope(&request->id, restore.scope);
	r = service_manager_open(request->address, &restore.manager, &error);
	if (r < 0)
		r = result_end(result, "failed", "the service manager: %s", error ?: strerror(-r));
	free(error);
	if (r >= 0)
		r = restore_check(&restore);
	if (r >= 0)
		r = run_criu(&restore);
	if (r >= 0) {
		result->word = "ok";
		result_add_processes(result, &restore.manifest);
	}
	/* Said first: who is restored and not known of is worse than a checkpoint too many. */
	if (result_write(result, request) < 0)
		r = -EIO;
	if (r >= 0)
		(void)store_remove(restore.store_fd, &request->id, false);
	service_manager_free(restore.manager);
	dg_manifest_done(&restore.manifest);
	close_fds(&restore);
}

/* Half of them is none of them. */
static void give_up(const struct request *request, const char *why)
{
	bool late = checkpoint_now_us() > request->deadline_us;
	struct service_manager *manager;
	struct result result = {};
	char scope[CHECKPOINT_NAME_MAX];

	checkpoint_scope(&request->id, scope);
	if (service_manager_open(request->address, &manager, NULL) >= 0) {
		(void)service_manager_kill(manager, scope, NULL);
		service_manager_free(manager);
	}
	(void)result_end(&result, late ? "timeout" : "failed", "%s", why);
	(void)result_write(&result, request);
	result_done(&result);
}

/* They run: what they came from is not to be there for another time. */
static void remove_restored(const struct request *request)
{
	int store_fd, fd;

	if (store_open(request->dir, false, &store_fd) < 0)
		return;
	if (store_lock(store_fd, &request->id, false, &fd) >= 0) {
		(void)store_remove(store_fd, &request->id, false);
		close(fd);
	}
	close(store_fd);
}

void restore_abandon(struct request *request, const char *why)
{
	char name[CHECKPOINT_NAME_MAX], *text;
	const char *cursor, *record, *word;
	size_t n, len;

	checkpoint_file(CHECKPOINT_RESTORE, &request->id, "result", name);
	if (store_read_file(request->run_fd, name, &text, &n) >= 0) {
		cursor = text;
		record = dg_record_next(&cursor, text + n, &len);
		word = record ? dg_record_get(record, len, "RESULT") : NULL;
		if (word && strcmp(word, "ok") == 0)
			remove_restored(request);
		free(text);
	} else {
		give_up(request, why);
	}
	checkpoint_file(CHECKPOINT_RESTORE, &request->id, "request", name);
	(void)unlinkat(request->run_fd, name, 0);
}
