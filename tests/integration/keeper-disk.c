/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper-disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#define DISK_SIZE "size=12m,mode=0700"

const char *step_path;
char disk[64], dir[80], file[96], filler[96];
sd_event *event;
struct keeper *keeper;
char said[2048];
int n_answers, last_answer;

static struct steps *steps;

static void on_log(void *userdata, int priority, const char *text)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%s\n", text);
}

void open_keeper(void)
{
	said[0] = '\0';
	n_answers = 0;
	assert_int_equal(steps_new(event, step_path, &steps), 0);
	assert_int_equal(keeper_new(event, steps, dir, on_log, NULL, &keeper), 0);
}

void close_keeper(void)
{
	keeper = keeper_free(keeper);
	steps = steps_free(steps);
}

int setup(void **state)
{
	if (mount("none", disk, "tmpfs", 0, DISK_SIZE) < 0 || sd_event_new(&event) < 0)
		return -1;
	open_keeper();
	return 0;
}

int teardown(void **state)
{
	close_keeper();
	event = sd_event_unref(event);
	return umount2(disk, MNT_DETACH);
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SEC + (uint64_t)now.tv_nsec / 1000;
}

uint64_t wait_until(bool (*is_so)(void))
{
	uint64_t end = now_us() + PATIENCE_US, longest = 0;

	while (!is_so()) {
		uint64_t begin;

		assert_true(now_us() < end);
		if (sd_event_get_state(event) == SD_EVENT_INITIAL && sd_event_prepare(event) == 0 &&
		    sd_event_wait(event, 100 * MSEC) == 0)
			continue;
		begin = now_us();
		assert_return_code(sd_event_dispatch(event), 0);
		longest = now_us() - begin > longest ? now_us() - begin : longest;
	}
	return longest;
}

static bool is_loaded(void)
{
	return keeper_status(keeper).loaded;
}

bool is_written(void)
{
	return is_loaded() && keeper_status(keeper).n_unwritten == 0;
}

bool is_answered(void)
{
	return n_answers > 0;
}

bool has_error(void)
{
	return keeper_status(keeper).error < 0;
}

void on_answer(void *userdata, int error)
{
	n_answers++;
	last_answer = error;
}

struct dg_failure nth(uint64_t n)
{
	struct dg_failure f = {.offset = n * 8192,
			       .length = 4096,
			       .sources = DG_SOURCE_MEMORY_FAILURE,
			       .type = "dax page",
			       .content = DG_CONTENT_FILE,
			       .path = "/mnt/pmem0/database/table",
			       .fs_dev = DG_DEV(259, 0),
			       .ino = 12,
			       .file_offset = n * 8192,
			       .times = 1};

	strcpy(f.ns, "0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001");
	f.first_ns = f.last_ns = n + 1;
	return f;
}

struct keeper_batch *report(uint64_t from, uint64_t n)
{
	struct dg_failure *failures = calloc(n, sizeof(*failures));
	struct keeper_batch *batch;

	for (uint64_t i = 0; i < n; i++)
		failures[i] = nth(from + i);
	assert_int_equal(keeper_add(keeper, failures, n, on_answer, NULL, &batch), 0);
	free(failures);
	return batch;
}

size_t n_bad(void)
{
	return dg_ledger_counts(keeper_ledger(keeper)).n_bad;
}

void load(void)
{
	keeper_start(keeper);
	wait_until(is_loaded);
}

void reopen(void)
{
	close_keeper();
	open_keeper();
	load();
}

void append_to_file(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

void fill_disk(off_t left)
{
	int fd = open(filler, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	static char zeros[4096];
	off_t n = 0;
	ssize_t r;

	while ((r = write(fd, zeros, sizeof(zeros))) > 0)
		n += r;
	assert_int_equal(ftruncate(fd, n - left), 0);
	close(fd);
}

/* A mount namespace of our own, and a user namespace where that takes one. */
bool leave(void)
{
	char map[32];
	int fd;

	if (unshare(CLONE_NEWNS) < 0) {
		snprintf(map, sizeof(map), "0 %u 1", geteuid());
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return false;
		fd = open("/proc/self/uid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, strlen(map)) < 0)
			return false;
		close(fd);
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
