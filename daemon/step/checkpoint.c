/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Has a unit make a checkpoint, or restore one, and says what came of it. The unit goes
 * on if we are killed; who asks for the same then waits for what it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/checkpoint-run.h"
#include "step/checkpoint-store.h"
#include "step/input.h"
#include "step/service-manager.h"
#include "step/step.h"

#define PROGRAM "daxguard-checkpoint"
#define STOP_US 10000000U    /* for the unit, when its time is over, to put things right */
#define GIVE_UP_US 20000000U /* then nobody will say anything any more */
#define GAP_MS 20
#define LOOK_MS 500 /* whether the unit is still there */

struct asked {
	struct step *step;
	enum checkpoint_run run;
	const char *address, *dir; /* dir: of requests and results */
	struct dg_checkpoint_id id;
	uint64_t timeout_us, deadline_us;
	const char *text; /* the request */
	size_t n_text;
	int dir_fd;
	struct service_manager *manager;
	bool joined;
};

static int read_asked(const char *record, size_t n, struct asked *asked)
{
	const char *id = dg_record_get(record, n, "ID");
	uint64_t timeout_ms;

	asked->address = dg_record_get(record, n, "ADDRESS");
	asked->dir = dg_record_get(record, n, "RUN");
	if (!asked->address || !asked->dir || asked->dir[0] != '/' || !id ||
	    dg_checkpoint_id_parse(id, &asked->id) < 0 ||
	    dg_record_get_u64(record, n, "TIMEOUT_MSEC", &timeout_ms) < 0 ||
	    timeout_ms > UINT32_MAX)
		return -EBADMSG;
	asked->timeout_us = timeout_ms * 1000;
	asked->deadline_us = checkpoint_now_us() + asked->timeout_us;
	return 0;
}

static int open_dir(struct asked *asked)
{
	if (mkdir(asked->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	asked->dir_fd = open(asked->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return asked->dir_fd < 0 ? -errno : 0;
}

/* The deadline begins now, and not when the unit does. */
static int write_request(const struct asked *asked)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	char name[CHECKPOINT_NAME_MAX], *text;
	int r;

	dg_record_field_u64(&writer, "DEADLINE_USEC", asked->deadline_us);
	r = dg_record_end(&writer);
	text = r < 0 ? NULL : malloc(writer.n + asked->n_text);
	if (text) {
		memcpy(text, writer.data, writer.n);
		memcpy(text + writer.n, asked->text, asked->n_text);
		checkpoint_file(asked->run, &asked->id, "request", name);
		r = store_replace_file(asked->dir_fd, name, text, writer.n + asked->n_text);
	} else {
		r = -ENOMEM;
	}
	free(text);
	dg_record_writer_done(&writer);
	return r;
}

/* It is installed beside us. */
static int find_program(char path[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof(PROGRAM));
	char *slash;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	memcpy(slash + 1, PROGRAM, sizeof(PROGRAM));
	return 0;
}

static int start_unit(struct asked *asked, const char *unit, char **error)
{
	const char *verb = asked->run == CHECKPOINT_DUMP ? "dump" : "restore";
	const char *undo = asked->run == CHECKPOINT_DUMP ? "abandon" : "abandon-restore";
	char program[PATH_MAX], request[PATH_MAX + 16], criu[PATH_MAX + 16], description[128];
	char name[CHECKPOINT_NAME_MAX], id[DG_CHECKPOINT_ID_MAX];
	const char *const argv[] = {program, verb, request, NULL};
	const char *const stop_argv[] = {program, undo, request, NULL};
	const char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL, NULL};
	const struct service_start start = {
		.unit = unit,
		.description = description,
		.argv = argv,
		.stop_argv = stop_argv,
		.environment = environment,
		.max_us = asked->timeout_us + STOP_US,
	};
	int r;

	r = find_program(program);
	if (r < 0)
		return r;
	dg_checkpoint_id_format(&asked->id, id);
	snprintf(description, sizeof(description), "%s of Checkpoint %s",
		 asked->run == CHECKPOINT_DUMP ? "Making" : "Restore", id);
	checkpoint_file(asked->run, &asked->id, "request", name);
	if (snprintf(request, sizeof(request), "--request=%s/%s", asked->dir, name) >=
	    (int)sizeof(request))
		return -ENAMETOOLONG;
	/* Of tests. */
	if (getenv("DAXGUARD_CRIU")) {
		snprintf(criu, sizeof(criu), "DAXGUARD_CRIU=%s", getenv("DAXGUARD_CRIU"));
		environment[2] = criu;
	}
	return service_manager_start(asked->manager, &start, error);
}

static bool unit_is_there(struct asked *asked)
{
	char unit[CHECKPOINT_NAME_MAX], *state;
	bool queued, there;

	checkpoint_unit(asked->run, &asked->id, unit);
	/* Who does not answer has not said that it is gone. It is inactive until its job is
	 * done, so that one is asked for first. */
	if (service_manager_has_job(asked->manager, unit, &queued) < 0 || queued ||
	    service_manager_state(asked->manager, unit, &state) < 0)
		return true;
	there = state[0] && strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0;
	free(state);
	return there;
}

static bool has_result(const struct asked *asked)
{
	char name[CHECKPOINT_NAME_MAX];

	checkpoint_file(asked->run, &asked->id, "result", name);
	return faccessat(asked->dir_fd, name, F_OK, 0) == 0;
}

/* -EAGAIN: one is about to go, of which everything is said. */
static int start_or_join(struct asked *asked, char **error)
{
	char unit[CHECKPOINT_NAME_MAX], name[CHECKPOINT_NAME_MAX];
	bool there, said;
	int r;

	checkpoint_unit(asked->run, &asked->id, unit);
	there = unit_is_there(asked);
	said = has_result(asked);
	/* A dump is asked for once; to restore can be tried again. */
	if (asked->run == CHECKPOINT_RESTORE && there && said)
		return -EAGAIN;
	if (there || (asked->run == CHECKPOINT_DUMP && said)) {
		asked->joined = true;
		return 0;
	}
	checkpoint_file(asked->run, &asked->id, "result", name);
	if (unlinkat(asked->dir_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	r = write_request(asked);
	if (r >= 0)
		r = start_unit(asked, unit, error);
	if (r == -EEXIST)
		asked->joined = true;
	return r == -EEXIST ? 0 : r;
}

/* 0: it is there. -ETIME: it will not come. */
static int wait_for_result(struct asked *asked)
{
	char events[4096];
	int fd, r = -ETIME;

	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, asked->dir, IN_MOVED_TO) < 0) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (!has_result(asked)) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};

		if (poll(&pollfd, 1, LOOK_MS) < 0 && errno != EINTR)
			break;
		while (read(fd, events, sizeof(events)) > 0)
			;
		if (pollfd.revents == 0 && !unit_is_there(asked))
			break;
		if (checkpoint_now_us() > asked->deadline_us + GIVE_UP_US)
			break;
	}
	if (has_result(asked))
		r = 0;
	close(fd);
	return r;
}

static int say_record(struct asked *asked, const char *record, size_t n)
{
	const char *result = dg_record_get(record, n, "RESULT");
	int r;

	for (const char *field = record; field < record + n; field += strlen(field) + 1) {
		char key[32];
		const char *value = strchr(field, '=');

		if (!value || (size_t)(value - field) >= sizeof(key))
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)(value - field), field);
		dg_record_field(&asked->step->writer, key, value + 1);
	}
	if (asked->joined)
		dg_record_field_u64(&asked->step->writer, "JOINED", 1);
	r = step_emit(asked->step);
	if (r < 0)
		return r;
	return result && strcmp(result, "ok") == 0 ? STEP_EXIT_OK : STEP_EXIT_LEFT;
}

static int say_lost(struct asked *asked)
{
	bool late = checkpoint_now_us() > asked->deadline_us;
	char id[DG_CHECKPOINT_ID_MAX];
	int r;

	dg_checkpoint_id_format(&asked->id, id);
	dg_record_field(&asked->step->writer, "RESULT", late ? "timeout" : "failed");
	dg_record_field(&asked->step->writer, "TEXT", "its unit ended without a word");
	dg_record_field(&asked->step->writer, "ID", id);
	r = step_emit(asked->step);
	return r < 0 ? r : STEP_EXIT_LEFT;
}

static int say_result(struct asked *asked)
{
	const char *cursor, *record;
	char name[CHECKPOINT_NAME_MAX], *text;
	size_t n, n_record;
	int r;

	r = wait_for_result(asked);
	if (r == -ETIME)
		return say_lost(asked);
	if (r < 0)
		return r;
	checkpoint_file(asked->run, &asked->id, "result", name);
	r = store_read_file(asked->dir_fd, name, &text, &n);
	if (r < 0)
		return r;
	cursor = text;
	record = dg_record_next(&cursor, text + n, &n_record);
	r = record ? say_record(asked, record, n_record) : -EBADMSG;
	free(text);
	return r;
}

/* Under a lock: two steps for the same find each other. */
static int start_in_turn(struct asked *asked, char **error)
{
	int r;

	for (;;) {
		if (flock(asked->dir_fd, LOCK_EX) < 0)
			return -errno;
		r = start_or_join(asked, error);
		/* It is under way: this costs it nothing. */
		if (r >= 0)
			checkpoint_drop_results(asked->dir_fd, &asked->id);
		(void)flock(asked->dir_fd, LOCK_UN);
		if (r != -EAGAIN)
			return r;
		if (checkpoint_now_us() > asked->deadline_us)
			return -ETIME;
		(void)poll(NULL, 0, GAP_MS);
	}
}

static int ask(struct asked *asked)
{
	char *error = NULL;
	int r;

	r = open_dir(asked);
	if (r >= 0)
		r = service_manager_open(asked->address, &asked->manager, &error);
	if (r >= 0)
		r = start_in_turn(asked, &error);
	if (r < 0)
		fprintf(stderr, "%s\n", error ?: strerror(-r));
	free(error);
	return r;
}

static int run(struct step *step, enum checkpoint_run kind)
{
	struct asked asked = {.step = step, .run = kind, .dir_fd = -1};
	struct input input;
	const char *record;
	size_t n;
	int r;

	r = input_read(&input);
	if (r < 0)
		return r;
	asked.text = input.text;
	asked.n_text = input.n;
	record = input_next(&input, &n);
	r = record ? read_asked(record, n, &asked) : -EBADMSG;
	if (r >= 0)
		r = ask(&asked) < 0 ? STEP_EXIT_FAILURE : say_result(&asked);
	service_manager_free(asked.manager);
	if (asked.dir_fd >= 0)
		close(asked.dir_fd);
	input_done(&input);
	return r;
}

int verb_checkpoint(struct step *step)
{
	return run(step, CHECKPOINT_DUMP);
}

int verb_restore(struct step *step)
{
	return run(step, CHECKPOINT_RESTORE);
}
