/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger on a disk: a small one of its own (a tmpfs), real steps, and a keeper that
 * is killed.
 *
 * usage: test-keeper DAXGUARD_STEP; 77 where no file system may be mounted
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper-disk.h"

static void what_was_announced_is_there(void **state)
{
	struct stat status;

	load();
	report(0, 3);
	assert_int_equal(n_bad(), 3);
	assert_int_equal(keeper_status(keeper).n_unwritten, 3);
	wait_until(is_answered);
	assert_int_equal(last_answer, 0);
	assert_true(is_written());
	assert_int_equal(stat(dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	reopen();
	assert_int_equal(n_bad(), 3);
	assert_string_equal(said, "");
	assert_string_equal(dg_ledger_next(keeper_ledger(keeper), NULL)->path,
			    "/mnt/pmem0/database/table");
}

static void repaired_and_told(void **state)
{
	struct dg_failure f = nth(1);

	assert_int_equal(keeper_repaired(keeper, &f), -EAGAIN);
	load();
	report(0, 3);
	f.repaired_ns = 77;
	assert_int_equal(keeper_repaired(keeper, &f), 0);
	f = nth(2);
	f.told = 5;
	assert_int_equal(keeper_told(keeper, &f), 0);
	wait_until(is_written);
	reopen();
	assert_int_equal(n_bad(), 2);
	assert_int_equal(dg_ledger_next_repaired(keeper_ledger(keeper), NULL)->repaired_ns, 77);
	assert_int_equal(dg_ledger_find(keeper_ledger(keeper), f.ns, f.offset)->told, 5);
}

/* What comes while the past is not known is added to it. */
static void reported_before_it_is_read(void **state)
{
	load();
	report(0, 3);
	wait_until(is_written);
	close_keeper();
	open_keeper();
	report(2, 3);
	keeper_hold(keeper, true);
	keeper_start(keeper);
	assert_int_equal(sd_event_run(event, 200 * MSEC), 1); /* the timer, and nothing is read */
	assert_int_equal(sd_event_run(event, 200 * MSEC), 0);
	assert_null(keeper_ledger(keeper));
	assert_int_equal(n_answers, 0);
	keeper_hold(keeper, false);
	wait_until(is_answered);
	assert_int_equal(last_answer, 0);
	assert_int_equal(n_bad(), 5);
	reopen();
	assert_int_equal(n_bad(), 5);
	assert_int_equal(dg_ledger_find(keeper_ledger(keeper), nth(2).ns, 2 * 8192)->times, 2);
}

static int n_reads;

static void on_read(void *userdata)
{
	assert_non_null(keeper_ledger(keeper));
	n_reads++;
}

static bool is_read(void)
{
	return n_reads > 0;
}

/* Who wants to know when the past is known, and when all that was said is on the disk. */
static void who_waits(void **state)
{
	struct keeper_batch *batch;
	struct dg_failure f = nth(0);

	keeper_when_read(keeper, on_read);
	load();
	wait_until(is_read);
	assert_int_equal(n_reads, 1);
	/* There is nothing to be written. */
	assert_int_equal(keeper_wait(keeper, on_answer, NULL, &batch), 0);
	wait_until(is_answered);
	assert_int_equal(last_answer, 0);
	report(0, 1);
	wait_until(is_written);
	n_answers = 0;
	assert_int_equal(keeper_repaired(keeper, &f), 0);
	assert_int_equal(keeper_wait(keeper, on_answer, NULL, &batch), 0);
	assert_false(is_written());
	wait_until(is_answered);
	assert_true(is_written());
	assert_int_equal(n_answers, 1);
	assert_int_equal(n_reads, 1);
}

static void a_burst(void **state)
{
	uint64_t begin, took_us, longest;

	load();
	begin = now_us();
	for (uint64_t i = 0; i < 10; i++)
		report(i * 1000, 1000);
	took_us = now_us() - begin;
	longest = wait_until(is_written);
	print_message("10000 failures: %lu ms to take, %lu ms until they are written, longest turn "
		      "%lu ms\n",
		      took_us / 1000, (now_us() - begin) / 1000, longest / 1000);
	assert_int_equal(n_answers, 10);
	assert_int_equal(n_bad(), 10000);
	begin = now_us();
	reopen();
	print_message("read again in %lu ms\n", (now_us() - begin) / 1000);
	assert_int_equal(n_bad(), 10000);
}

/* Of neighbours there is one range; the file is written anew for it, while others wait. */
static void it_does_not_grow_for_ever(void **state)
{
	struct stat status;

	load();
	for (uint64_t i = 0; i < 6000; i++) {
		struct dg_failure f = nth(i % 3);
		struct keeper_batch *batch;

		assert_int_equal(keeper_add(keeper, &f, 1, on_answer, NULL, &batch), 0);
		if (i % 100 == 0)
			wait_until(is_written);
	}
	wait_until(is_written);
	assert_int_equal(n_answers, 6000);
	assert_int_equal(stat(file, &status), 0);
	assert_in_range(status.st_size, 100, 1200 * 300);
	reopen();
	assert_int_equal(n_bad(), 3);
	assert_int_equal(dg_ledger_next(keeper_ledger(keeper), NULL)->times, 2000);
}

static void a_full_disk(void **state)
{
	load();
	report(0, 10);
	wait_until(is_written);
	fill_disk(4096);
	n_answers = 0;
	report(10, 1000);
	wait_until(is_answered);
	assert_int_equal(last_answer, -ENOSPC);
	assert_int_equal(keeper_status(keeper).error, -ENOSPC);
	assert_int_equal(keeper_status(keeper).n_unwritten, 1000);
	assert_int_equal(n_bad(), 1010);
	assert_non_null(strstr(said, "No space left on device; 1000 records wait"));
	/* Nothing that was announced is gone by the attempt. */
	close_keeper();
	open_keeper();
	load();
	assert_int_equal(n_bad(), 10);
	report(10, 1000);
	wait_until(is_answered);
	assert_int_equal(last_answer, -ENOSPC);
	assert_int_equal(unlink(filler), 0);
	wait_until(is_written);
	assert_int_equal(n_answers, 1);
	assert_int_equal(keeper_status(keeper).error, 0);
	assert_non_null(strstr(said, "is written again"));
	reopen();
	assert_int_equal(n_bad(), 1010);
	assert_int_equal(dg_ledger_find(keeper_ledger(keeper), nth(500).ns, 500 * 8192)->times, 1);
}

/* More waits than is kept for it: the file is written anew from what is known. */
static void nobody_writes_for_long(void **state)
{
	int fd;

	load();
	report(0, 1);
	wait_until(is_written);
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_return_code(flock(fd, LOCK_EX), errno);
	n_answers = 0;
	for (uint64_t i = 0; i < 50; i++)
		report(i * 1000 % 15000, 1000);
	wait_until(has_error);
	assert_int_equal(keeper_status(keeper).error, -EBUSY);
	assert_int_equal(n_answers, 50);
	close(fd);
	wait_until(is_written);
	assert_int_equal(n_bad(), 15000);
	reopen();
	assert_int_equal(n_bad(), 15000);
}

static void what_is_no_line_is_told(void **state)
{
	load();
	report(0, 3);
	wait_until(is_written);
	append_to_file(file, "1 00000000 bad seq=4\nnonsense\n1 0", 34);
	reopen();
	assert_int_equal(n_bad(), 3);
	assert_int_equal(keeper_status(keeper).n_skipped, 3);
	assert_non_null(strstr(said, "has 3 lines that cannot be read; the first of them is 4: "));
	report(3, 1);
	wait_until(is_written);
	reopen();
	assert_int_equal(n_bad(), 4);
}

static void it_cannot_be_read(void **state)
{
	append_to_file(dir, "", 0); /* a file where the directory should be */
	keeper_start(keeper);
	report(0, 1);
	wait_until(is_answered);
	assert_int_equal(last_answer, -ENOTDIR);
	assert_null(keeper_ledger(keeper));
	assert_non_null(strstr(said, "could not be read: Not a directory"));
	assert_int_equal(unlink(dir), 0);
	wait_until(is_written);
	assert_int_equal(n_bad(), 1);
	assert_non_null(strstr(said, "is read again"));
}

static void who_gives_up_is_not_called(void **state)
{
	struct keeper_batch *batch;
	struct dg_failure wrong = nth(0);

	load();
	batch = report(0, 1);
	report(1, 1);
	assert_null(keeper_cancel(batch));
	wait_until(is_written);
	assert_int_equal(n_answers, 1);
	wrong.length = 0;
	assert_int_equal(keeper_add(keeper, &wrong, 1, on_answer, NULL, &batch), -EINVAL);
	assert_int_equal(keeper_add(keeper, &wrong, 0, on_answer, NULL, &batch), -EINVAL);
}

static volatile uint64_t *announced;

static void on_announced(void *userdata, int error)
{
	if (error == 0)
		*announced = (uint64_t)(uintptr_t)userdata;
}

/* Reports one after the other, and now and then has the file written anew. */
static int report_for_ever(void)
{
	if (sd_event_new(&event) < 0)
		return 1;
	open_keeper();
	load();
	for (uint64_t n = *announced;; n++) {
		struct dg_failure f = nth(n);
		struct keeper_batch *batch;

		if (keeper_add(keeper, &f, 1, on_announced, (void *)(uintptr_t)(n + 1), &batch) < 0)
			return 1;
		for (int again = 0; again < 30; again++)
			(void)!keeper_told(keeper, &f);
		while (n % 4 == 0 && !is_written())
			sd_event_run(event, PATIENCE_US);
	}
}

static void killed_at_any_time(void **state)
{
	announced = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned round = 0; round < 25; round++) {
		uint64_t before = *announced, end = now_us() + PATIENCE_US;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (pid == 0)
			_exit(report_for_ever());
		while (*announced == before && now_us() < end)
			usleep(1000);
		usleep(round * 7919 % 60 * 1000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		reopen();
		assert_true(n_bad() >= *announced);
		for (uint64_t n = 0; n < *announced; n++)
			assert_int_equal(
				dg_ledger_find(keeper_ledger(keeper), nth(n).ns, n * 8192)->offset,
				n * 8192);
		close_keeper();
		open_keeper();
	}
	print_message("%lu announced in 25 lives\n", *announced);
	assert_true(*announced >= 25);
	munmap((void *)announced, 4096);
}

int main(int argc, char *argv[])
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_announced_is_there),
		TEST(repaired_and_told),
		TEST(reported_before_it_is_read),
		TEST(who_waits),
		TEST(a_burst),
		TEST(it_does_not_grow_for_ever),
		TEST(a_full_disk),
		TEST(nobody_writes_for_long),
		TEST(what_is_no_line_is_told),
		TEST(it_cannot_be_read),
		TEST(who_gives_up_is_not_called),
		TEST(killed_at_any_time),
	};
	int failed;

	if (argc != 2)
		return 2;
	step_path = argv[1];
	strcpy(disk, "/tmp/daxguard-keeper-XXXXXX");
	if (!leave() || !mkdtemp(disk))
		return 77;
	snprintf(dir, sizeof(dir), "%s/state", disk);
	snprintf(file, sizeof(file), "%s/ledger", dir);
	snprintf(filler, sizeof(filler), "%s/filler", disk);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(disk);
	return failed;
}
