/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cannot be done for the moment is done later, and nobody else waits for it. */
#include "burst-world.h"

/* He is busy, and keeps nobody else waiting; told when he is not. */
static void test_missed(void **state)
{
	add(5, 1);
	add(7, 1);
	assert_scan(5, 3);
	found(10, 1, 1);
	told_of(5, 10, DG_BURST_MISSED);
	told_of(7, 11, DG_BURST_DONE);
	scan_finds(7, 11);
	for (uint64_t delay_us = DG_BURST_RETRY_US; delay_us < 1000000; delay_us *= 2) {
		assert_true(next().wake_us == now + delay_us);
		now += delay_us;
		told_of(5, 10, DG_BURST_MISSED);
	}
	now = next().wake_us;
	told_of(5, 10, DG_BURST_DONE);
	scan_finds(5, 10);
	assert_over("told");
	assert_int_equal(burst.counts.n_told, 2);
}

/* For a minute; what comes meanwhile waits for nothing. */
static void test_always_missed(void **state)
{
	struct dg_burst_order order;
	uint64_t began_us = now;
	unsigned n = 0;

	add(5, 1);
	for (; n < 10; n++) {
		assert_true(scans(&order));
		found(10, 1, 1);
		assert_tell(10, 0, DG_BURST_MISSED);
		assert_int_equal(next().kind, DG_BURST_WAIT);
	}
	add(9, 1);
	assert_scan(5, 5);
	found(11, 1, 1);
	told_of(5, 10, DG_BURST_MISSED);
	scan_finds(9, 0);
	for (dg_burst_next(&burst, now, &order); order.kind != DG_BURST_ROUND; n++) {
		assert_int_equal(order.kind, DG_BURST_WAIT);
		now = order.wake_us;
		told_of(5, 10, DG_BURST_MISSED);
		dg_burst_next(&burst, now, &order);
	}
	assert_string_equal(dg_burst_outcome(&burst), "untold");
	assert_in_range(now - began_us, DG_BURST_PUT_OFF_US, DG_BURST_PUT_OFF_US + 6000000);
	assert_in_range(n, 15, 30);
}

/* What is put off keeps the burst open; what comes then is told of as ever. */
static void test_late(void **state)
{
	add(5, 1);
	told_of(5, 10, DG_BURST_MISSED);
	assert_int_equal(next().kind, DG_BURST_WAIT);
	now += DG_BURST_LASTS_US - 1000000;
	add(7, 1);
	assert_scan(5, 3);
	found(10, 1, 1);
	for (uint64_t page = 5; page <= 7; page += 2) {
		told_of(page, 10, DG_BURST_MISSED);
	}
	assert_int_equal(next().kind, DG_BURST_WAIT);
	now += 5000000;
	assert_int_equal(add(9, 1), 0);
	assert_scan(5, 5);
	found(0, 0, 0);
	assert_over("nobody");
}

/* Whoever comes while others are told is told as well, and it is not said before that all were. */
static void test_others_come(void **state)
{
	pid_t pid = 10;

	add(5, 1);
	for (unsigned i = 0; i < DG_BURST_TRIES; i++) {
		assert_scan(5, 1);
		found(10, (size_t)(pid - 10) + 1, 1);
		assert_tell(pid++, 0, DG_BURST_DONE);
	}
	now = next().wake_us;
	assert_scan(5, 1);
	found(10, (size_t)(pid - 10) + 1, 1);
	assert_tell(pid++, 0, DG_BURST_DONE);
	assert_scan(5, 1);
	found(10, (size_t)(pid - 10), 1);
	assert_over("told");
}

static void test_others_always_come(void **state)
{
	struct dg_burst_order order;
	pid_t pid = 10;

	add(5, 1);
	for (;;) {
		dg_burst_next(&burst, now, &order);
		if (order.kind == DG_BURST_ROUND)
			break;
		if (order.kind == DG_BURST_SCAN)
			found(pid, 1, 1);
		else if (order.kind == DG_BURST_TELL)
			assert_int_equal(order.holder->process.pid, pid++);
		else
			now = order.wake_us;
		if (order.kind == DG_BURST_TELL)
			dg_burst_told(&burst, DG_BURST_DONE);
	}
	assert_string_equal(dg_burst_outcome(&burst), "untold");
}

/* A scan that could not list all is made again, also if it lists nobody. */
static void test_truncated(void **state)
{
	add(5, 1);
	for (int i = 0; i < 3; i++) {
		struct dg_holder_list nobody = {.truncated = true};

		assert_scan(5, 1);
		dg_burst_scanned(&burst, &nobody, now);
		assert_int_equal(next().kind, DG_BURST_WAIT);
		now = next().wake_us;
	}
	told_of(5, 10, DG_BURST_DONE);
	scan_finds(5, 10);
	assert_over("told");
}

/* His rule has nothing for him: he was not told. */
static void test_skipped(void **state)
{
	add(5, 1);
	told_of(5, 10, DG_BURST_SKIPPED);
	scan_finds(5, 10);
	assert_over("left");
	assert_int_equal(burst.counts.n_told, 0);
}

/* One that cannot be scanned never keeps the others from it, and is scanned again. */
static void test_scan_fails(void **state)
{
	add(1, 1);
	add(3, 1);
	assert_scan(1, 3);
	dg_burst_not_scanned(&burst, -ETIME, now);
	assert_scan(1, 1);
	dg_burst_not_scanned(&burst, -ENOMEM, now);
	told_of(3, 10, DG_BURST_DONE);
	scan_finds(3, 10);
	/* The round is not over before that. */
	assert_true(next().wake_us == now + DG_BURST_RETRY_US);
	now += DG_BURST_RETRY_US;
	told_of(1, 11, DG_BURST_DONE);
	scan_finds(1, 11);
	assert_over("told");
	assert_int_equal(burst.counts.n_told, 2);
}

static void test_scan_always_fails(void **state)
{
	struct dg_burst_order order;

	add(1, 1);
	while (scans(&order)) {
		now += 5000000;
		dg_burst_not_scanned(&burst, -ETIME, now);
	}
	assert_over("untold");
	assert_true(now < 90000000);
}

/* A minute; the rest is of the next one, with what has come meanwhile. */
static void test_round_is_bounded(void **state)
{
	add(1, 1);
	add(3, 1);
	add(5, 1);
	assert_scan(1, 5);
	found(10, 1, 1);
	add(7, 1);
	assert_scan(1, 1);
	now += DG_BURST_ROUND_US + 1;
	found(0, 0, 0);
	assert_scan(3, 5);
	found(10, 1, 1);
	scan_finds(3, 0);
	assert_scan(5, 3);
	found(0, 0, 0);
	assert_over("nobody");
}

/* Ten minutes, and what is left counts as not told. */
static void test_burst_is_bounded(void **state)
{
	struct dg_burst_order order;
	uint64_t began_us = now;

	for (uint64_t i = 0; i < 1000; i++)
		add(2 * i, 1);
	while (scans(&order)) {
		now += 5000000;
		found(order.range.len > PAGE ? 10 : 0, order.range.len > PAGE, 1);
	}
	assert_over("untold");
	assert_in_range(now - began_us, DG_BURST_GIVE_UP_US,
			DG_BURST_GIVE_UP_US + DG_BURST_ROUND_US + 10000000);
}

/* What is put off always has a place. */
static void test_room(void **state)
{
	for (uint64_t i = 0; i < DG_BURST_RANGES_MAX - 1; i++)
		assert_int_equal(add(2 * i, 1), 0);
	assert_int_equal(next().kind, DG_BURST_SCAN);
	assert_int_equal(add(100001, 1), 0);
	assert_int_equal(add(100003, 1), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_missed),
		CASE(test_always_missed),
		CASE(test_late),
		CASE(test_others_come),
		CASE(test_others_always_come),
		CASE(test_truncated),
		CASE(test_skipped),
		CASE(test_scan_fails),
		CASE(test_scan_always_fails),
		CASE(test_round_is_bounded),
		CASE(test_burst_is_bounded),
		CASE(test_room),
	};

	return cmocka_run_group_tests_name("burst-later", tests, NULL, NULL);
}
