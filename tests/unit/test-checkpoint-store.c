/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of a checkpoint is on the medium when it gets its name, and in what order: as the
 * store has synced and renamed.
 */
#include "test.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/checkpoint-store.h"

static char dir[] = "/tmp/daxguard-store-XXXXXX";
static char said[4096]; /* "sync:NAME rename:NAME …", below dir */
static const char *fails;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);

/* What is written beside has our pid in its name. */
static void say(const char *what, int fd, const char *name)
{
	char link[32], path[PATH_MAX], *beside;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	assert_int_equal(strncmp(path, dir, strlen(dir)), 0);
	beside = strstr(path, "/.manifest.");
	if (beside)
		beside[strlen("/.manifest")] = '\0';
	n = (ssize_t)strlen(said);
	snprintf(said + n, sizeof(said) - (size_t)n, "%s%s:%s%s%s", n ? " " : "", what,
		 path + strlen(dir), name ? "/" : "", name ?: "");
}

int __wrap_fsync(int fd)
{
	say("sync", fd, NULL);
	if (fails && strlen(said) >= strlen(fails) &&
	    strcmp(said + strlen(said) - strlen(fails), fails) == 0) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	say("rename", to_fd, to);
	return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	say("rename", to_fd, to);
	return __real_renameat2(from_fd, from, to_fd, to, flags);
}

static void expect(const char *expected)
{
	assert_string_equal(said, expected);
	said[0] = '\0';
}

static const struct dg_checkpoint_id id = {.boot = "0123abcd", .incident = 7, .pid = 12};

struct kept {
	int store_fd, part_fd;
};

static void write_image(const struct kept *kept, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), STORE_IMAGES "/%s", name);
	fd = openat(kept->part_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1234", 4), 4);
	close(fd);
}

static struct kept begin(void)
{
	char path[64];
	struct kept kept;

	snprintf(path, sizeof(path), "%s/store", dir);
	assert_int_equal(store_open(path, true, &kept.store_fd), 0);
	assert_int_equal(store_begin(kept.store_fd, &id, &kept.part_fd), 0);
	write_image(&kept, "a.img");
	return kept;
}

static int write_manifest(const struct kept *kept)
{
	struct dg_manifest_process process = {.pid = 12, .ppid = 1, .comm = "a"};
	const struct dg_manifest manifest = {
		.id = "0123abcd-7-12",
		.boot_id = "0123abcd-1111-2222-3333-444444444444",
		.incident = 7,
		.pid = 12,
		.comm = "a",
		.cgroup = "",
		.rule = "",
		.criu = "4.1.1",
		.processes = &process,
		.n_processes = 1,
	};

	return store_write_manifest(kept->part_fd, &manifest);
}

static void done(const struct kept *kept, bool part)
{
	assert_int_equal(store_remove(kept->store_fd, &id, part), 0);
	close(kept->part_fd);
	close(kept->store_fd);
	said[0] = '\0';
}

#define PARENT "/store/0123abcd-7"
#define PART PARENT "/.12.part"

static void all_is_there_before_the_name(void **state)
{
	struct kept kept = begin();
	uint64_t bytes;

	/* Where the store is, once; then where the parts are. */
	expect("sync: sync:/store");
	assert_int_equal(store_sync_images(kept.part_fd, &bytes), 0);
	assert_int_equal(bytes, 4);
	expect("sync:" PART "/images/a.img sync:" PART "/images");
	assert_int_equal(write_manifest(&kept), 0);
	expect("sync:" PART "/.manifest rename:" PART "/manifest sync:" PART);
	assert_int_equal(store_commit(kept.store_fd, &id), 0);
	expect("rename:" PARENT "/12 sync:" PARENT);
	done(&kept, false);
	kept = begin();
	expect("sync:/store");
	done(&kept, true);
}

static void each_image_is(void **state)
{
	struct kept kept = begin();
	uint64_t bytes;

	write_image(&kept, "b.img");
	said[0] = '\0';
	assert_int_equal(store_sync_images(kept.part_fd, &bytes), 0);
	assert_int_equal(bytes, 8);
	assert_non_null(strstr(said, "sync:" PART "/images/a.img "));
	assert_non_null(strstr(said, "sync:" PART "/images/b.img "));
	/* The directory is last. */
	assert_string_equal(strrchr(said, ' '), " sync:" PART "/images");
	done(&kept, true);
}

static void what_fails_is_told(void **state)
{
	struct kept kept = begin();
	uint64_t bytes;

	fails = "/a.img";
	assert_int_equal(store_sync_images(kept.part_fd, &bytes), -EIO);
	fails = "/images";
	assert_int_equal(store_sync_images(kept.part_fd, &bytes), -EIO);
	fails = "/.manifest";
	assert_int_equal(write_manifest(&kept), -EIO);
	fails = PART;
	assert_int_equal(write_manifest(&kept), -EIO);
	fails = PARENT;
	assert_int_equal(store_commit(kept.store_fd, &id), -EIO);
	fails = NULL;
	done(&kept, false);
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/store", dir);
	return rmdir(path) || rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_there_before_the_name),
		cmocka_unit_test(each_image_is),
		cmocka_unit_test(what_fails_is_told),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
