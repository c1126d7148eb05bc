/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a step reads of /proc: one process there, whose files the input is,
 * with a NUL between two, in the order of `names`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "step/kernel-users.h"
#include "step/mount-table.h"
#include "step/step.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define DEV DG_DEV(259, 0)

static const char *const directories[] = {"7", "7/task", "7/task/7", "7/fd"};
static const char *const names[] = {
	"7/mountinfo",     "7/stat",        "7/comm",   "7/task/7/stat",
	"7/task/7/status", "7/task/7/maps", "7/cgroup", "swaps",
};
/* In memory: a disk would set the pace. */
static char root[] = "/dev/shm/fuzz-proc-XXXXXX";
static pid_t owner;
static int root_fd = -1, fds[N(names)];

/* The step's main() is not here. */
bool step_has_dev(const struct step *step, dg_dev_t dev)
{
	return dev == DEV;
}

dg_dev_t step_dev(dev_t dev)
{
	return (dg_dev_t)dev;
}

/* What is told must be records, whatever was read. */
int step_emit(struct step *step)
{
	const char *cursor, *end;
	size_t len;

	if (dg_record_end(&step->writer) < 0)
		abort();
	cursor = step->writer.data;
	end = cursor + step->writer.n;
	while (dg_record_next(&cursor, end, &len))
		;
	if (cursor != end)
		abort();
	step->writer.n = 0;
	return 0;
}

static void remove_tree(void)
{
	if (getpid() != owner)
		return;
	for (size_t i = 0; i < N(names); i++)
		unlinkat(root_fd, names[i], 0);
	for (size_t i = N(directories); i > 0; i--)
		unlinkat(root_fd, directories[i - 1], AT_REMOVEDIR);
	rmdir(root);
}

static void make_tree(void)
{
	owner = getpid();
	if (!mkdtemp(root) || (root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		abort();
	for (size_t i = 0; i < N(directories); i++)
		if (mkdirat(root_fd, directories[i], 0700) < 0)
			abort();
	for (size_t i = 0; i < N(names); i++) {
		fds[i] = openat(root_fd, names[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fds[i] < 0)
			abort();
	}
	atexit(remove_tree);
}

static void write_files(const char *data, size_t size)
{
	for (size_t i = 0; i < N(names); i++) {
		const char *nul = size > 0 ? memchr(data, 0, size) : NULL;
		size_t n = nul ? (size_t)(nul - data) : size;

		if (ftruncate(fds[i], 0) < 0 || pwrite(fds[i], data, n, 0) != (ssize_t)n)
			abort();
		data += nul ? n + 1 : n;
		size -= nul ? n + 1 : n;
	}
}

static void read_mounts(void)
{
	struct mount_table table;
	size_t sum = 0;

	if (mount_table_read(root_fd, "7", &table) < 0)
		return;
	for (size_t i = 0; i < table.n_items; i++) {
		const struct mount *mount = &table.items[i];
		const struct mount *above = mount_table_covering(&table, mount->path);

		if (!mount_table_find(&table, mount->id) || mount->depth > table.n_items)
			abort();
		if (above && strncmp(mount->path, above->path, strlen(above->path)) != 0)
			abort();
		sum += strlen(mount->root) + strlen(mount->type) + strlen(mount->options) +
		       strlen(mount->propagation);
	}
	/* So that every string was read to its end. */
	if (sum > SIZE_MAX / 2)
		abort();
	mount_table_done(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step step = {.writer = DG_RECORD_WRITER_INIT};

	if (root_fd < 0)
		make_tree();
	write_files((const char *)data, size);
	read_mounts();
	step.proc_fd = root_fd;
	verb_protected(&step);
	verb_procscan(&step);
	(void)kernel_users_swap(&step);
	dg_record_writer_done(&step.writer);
	return 0;
}
