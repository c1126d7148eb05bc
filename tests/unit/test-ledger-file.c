/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the ledger under a writer that is killed at each of its calls, with a
 * medium that has only what was synced, or more of it, and one that is full or breaks
 * at each call. What was said to be written is read back, once, and nothing else is.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "core/ledger-record.h"
#include "cut-writer.h"
#include "step/ledger-file.h"

static char dir[64], medium[80];
static int dir_fd;

/* Records of these numbers; each is a range of its own. */
static size_t make_lines(uint64_t from, uint64_t to, char *buffer, size_t size)
{
	size_t n = 0;

	for (uint64_t seq = from; seq <= to; seq++) {
		struct dg_ledger_record record = {
			.kind = DG_LEDGER_BAD,
			.failure = {.ns = "pmem0",
				    .offset = seq * 8192,
				    .length = 512,
				    .sources = DG_SOURCE_BADBLOCKS,
				    .times = 1,
				    .seq = seq},
		};
		int k = dg_ledger_record_format(&record, buffer + n, size - n);

		assert_true(k > 0);
		n += (size_t)k;
	}
	return n;
}

static int append(uint64_t from, uint64_t to)
{
	static char lines[CONTENT_MAX];
	size_t n = make_lines(from, to, lines, sizeof(lines));

	return ledger_file_append(dir_fd, lines, n);
}

struct pieces {
	char data[CONTENT_MAX];
	size_t n;
};

static int keep(void *userdata, const char *line, size_t n)
{
	struct pieces *pieces = userdata;

	memcpy(pieces->data + pieces->n, line, n);
	pieces->n += n;
	return 0;
}

/* All up to seq, some of it new, in two pieces that are cut anywhere. */
static int rewrite(uint64_t unused, uint64_t seq)
{
	static char lines[CONTENT_MAX];
	static struct pieces pieces;
	struct dg_ledger *ledger = dg_ledger_new(0, 0);
	struct dg_ledger_reader reader;
	int r;

	assert_int_equal(dg_ledger_reader_init(&reader, ledger), 0);
	assert_int_equal(dg_ledger_read(&reader, lines, make_lines(1, seq, lines, sizeof(lines))),
			 0);
	pieces.n = 0;
	assert_int_equal(dg_ledger_write(ledger, seq, keep, &pieces), 0);
	dg_ledger_reader_done(&reader);
	dg_ledger_free(ledger);
	r = ledger_file_begin(dir_fd, pieces.data, pieces.n / 3);
	if (r >= 0)
		r = ledger_file_go_on(dir_fd, pieces.data + pieces.n / 3, pieces.n - pieces.n / 3);
	return r < 0 ? r : ledger_file_replace(dir_fd);
}

/* As the daemon has it done; what fails is tried again. */
static void write_all(void)
{
	static const struct {
		int (*func)(uint64_t from, uint64_t to);
		uint64_t from, to;
	} jobs[] = {{append, 1, 3},  {append, 4, 4},   {rewrite, 1, 6}, {append, 7, 7},
		    {append, 8, 20}, {rewrite, 1, 22}, {append, 23, 23}};

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		shared->tried = jobs[i].to > shared->tried ? jobs[i].to : shared->tried;
		if (jobs[i].func(jobs[i].from, jobs[i].to) < 0)
			assert_int_equal(jobs[i].func(jobs[i].from, jobs[i].to), 0);
		shared->announced = jobs[i].to;
	}
}

/* False: it was not killed. */
static bool run_child(void)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		assert_int_equal(ledger_dir_open(dir, true, &dir_fd), 0);
		armed = true;
		write_all();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED);
	return WEXITSTATUS(status) == KILLED;
}

static struct dg_ledger *read_file(const char *path, uint64_t *ret_seq)
{
	struct dg_ledger *ledger = dg_ledger_new(0, 0);
	struct dg_ledger_reader reader;
	static char buffer[CONTENT_MAX];
	size_t n;
	int fd;

	assert_int_equal(ledger_dir_open(path, false, &fd), 0);
	assert_int_equal(ledger_file_read(fd, 0, buffer, sizeof(buffer), &n), 0);
	close(fd);
	assert_int_equal(dg_ledger_reader_init(&reader, ledger), 0);
	assert_int_equal(dg_ledger_read(&reader, buffer, n), 0);
	assert_int_equal(dg_ledger_read_end(&reader), 0);
	*ret_seq = reader.seq + reader.n_skipped;
	dg_ledger_reader_done(&reader);
	return ledger;
}

static void check(const char *path, uint64_t announced, uint64_t tried)
{
	const struct dg_failure *f = NULL;
	struct dg_ledger *ledger;
	uint64_t seq;

	ledger = read_file(path, &seq);
	for (uint64_t i = 1; i <= announced; i++) {
		f = dg_ledger_find(ledger, "pmem0", i * 8192);
		assert_non_null(f);
		assert_int_equal(f->offset, i * 8192);
	}
	for (f = NULL; (f = dg_ledger_next(ledger, f));) {
		assert_int_equal(f->length, 512);
		assert_int_equal(f->times, 1);
		assert_in_range(f->offset, 8192, tried * 8192);
	}
	dg_ledger_free(ledger);
}

/* The next writer goes on behind what it finds. */
static void check_next_writer(const char *path)
{
	struct dg_ledger *ledger;
	uint64_t seq, next;

	ledger = read_file(path, &seq);
	dg_ledger_free(ledger);
	next = seq > shared->tried ? seq : shared->tried;
	assert_int_equal(ledger_dir_open(path, true, &dir_fd), 0);
	assert_int_equal(append(next + 1, next + 2), 0);
	close(dir_fd);
	ledger = read_file(path, &seq);
	assert_non_null(dg_ledger_find(ledger, "pmem0", (next + 1) * 8192));
	assert_int_equal(seq >= next + 2, true);
	dg_ledger_free(ledger);
}

static void put_file(const char *bytes, size_t n)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/ledger", medium);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static size_t synced_of(ino_t ino)
{
	for (unsigned i = 0; i < shared->n_inodes; i++)
		if (shared->inodes[i].ino == ino)
			return (size_t)shared->inodes[i].synced;
	return 0;
}

/*
 * The power went with it. part of what was written and not synced is there; renamed:
 * the directory is as it was last, and not as it was last synced.
 */
static void check_after_power_loss(double part, bool renamed)
{
	static char now[CONTENT_MAX];
	const char *content = now;
	char path[96];
	struct stat status = {};
	size_t n = 0, synced;
	ino_t ino = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/ledger", dir);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		assert_int_equal(fstat(fd, &status), 0);
		n = (size_t)read(fd, now, sizeof(now));
		close(fd);
		ino = status.st_ino;
	}
	if (!renamed && shared->entry != ino) {
		if (shared->entry != 0)
			assert_int_equal(shared->entry, shared->old_ino);
		content = shared->old;
		n = shared->entry != 0 ? shared->n_old : 0;
		ino = shared->entry;
	}
	synced = synced_of(ino);
	assert_true(synced <= n);
	put_file(content, synced + (size_t)((double)(n - synced) * part));
	check(medium, shared->announced, shared->tried);
	check_next_writer(medium);
}

static void clean_up(void)
{
	static const char *const names[] = {"ledger", "ledger.new"};
	char path[96];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	memset(shared, 0, sizeof(*shared));
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/daxguard-ledger-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(medium, sizeof(medium), "%s/medium", dir);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return shared == MAP_FAILED ? -1 : mkdir(medium, 0700);
}

static int teardown(void **state)
{
	char command[128];

	munmap(shared, sizeof(*shared));
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void killed_at_each_call(enum mode mode, unsigned *ret_n)
{
	bool killed = true;

	for (*ret_n = 0; killed; ++*ret_n) {
		clean_up();
		shared->mode = mode;
		shared->cut_at = *ret_n + 1;
		killed = run_child();
		check(dir, shared->announced, shared->tried);
		for (int renamed = 0; renamed < 2; renamed++)
			for (double part = 0; part <= 1; part += 0.25)
				check_after_power_loss(part, renamed);
		check_next_writer(dir);
	}
	assert_int_equal(shared->announced, 23);
}

static void each_call_may_be_the_last(void **state)
{
	unsigned n;

	killed_at_each_call(KILL, &n);
	print_message("killed at %u calls\n", n - 1);
	assert_in_range(n, 30, 200);
	killed_at_each_call(KILL_HALFWAY, &n);
	assert_in_range(n, 30, 200);
}

/* What is tried again is in it once, also if the first attempt could not be taken back. */
static void each_call_may_fail(void **state)
{
	static const enum mode modes[] = {FAIL, FAIL_FOR_GOOD};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		for (unsigned n = 1, done = 0; !done; n++) {
			clean_up();
			shared->mode = modes[i];
			shared->cut_at = n;
			assert_false(run_child());
			assert_int_equal(shared->announced, 23);
			check(dir, 23, 23);
			check_after_power_loss(0, false);
			done = shared->n_calls < n;
		}
}

static void one_at_a_time(void **state)
{
	int first, second;

	clean_up();
	assert_int_equal(ledger_dir_open(dir, true, &first), 0);
	assert_int_equal(ledger_dir_open(dir, true, &second), -EBUSY);
	assert_int_equal(ledger_dir_open(dir, false, &second), -EBUSY);
	close(first);
	assert_int_equal(ledger_dir_open(dir, false, &first), 0);
	assert_int_equal(ledger_dir_open(dir, false, &second), 0);
	close(second);
	close(first);
}

static void the_file_is_roots_alone(void **state)
{
	char path[96], other[96];
	struct stat status;
	size_t n;
	char c;

	clean_up();
	snprintf(path, sizeof(path), "%s/ledger", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(ledger_dir_open(dir, true, &dir_fd), 0);
	assert_int_equal(ledger_file_read(dir_fd, 0, &c, 1, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(append(1, 1), 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(chmod(path, 0620), 0);
	assert_int_equal(append(2, 2), -EPERM);
	assert_int_equal(ledger_file_read(dir_fd, 0, &c, 1, &n), -EPERM);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(append(2, 2), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(other, 0600), 0);
	assert_int_equal(link(other, path), 0);
	assert_int_equal(append(2, 2), -EMEDIUMTYPE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(append(2, 2), -EMEDIUMTYPE);
	assert_int_equal(unlink(path), 0);
	close(dir_fd);
	assert_int_equal(ledger_dir_open("/nonexistent/x", false, &dir_fd), -ENOENT);
	assert_int_equal(ledger_dir_open(other, true, &dir_fd), -ENOTDIR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_call_may_be_the_last),
		TEST(each_call_may_fail),
		TEST(one_at_a_time),
		TEST(the_file_is_roots_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
