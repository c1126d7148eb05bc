/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Failed pages of a device: who is told of which, and how often. */
#include "burst-world.h"

static void test_nobody(void **state)
{
	assert_int_equal(add(5, 1), 0);
	scan_finds(5, 0);
	assert_over("nobody");
}

/* Memory that nobody can map is not looked for. */
static void test_unaddressed(void **state)
{
	struct dg_failure_record record = {.range = {0, 512}, .unaddressed = true};

	assert_int_equal(dg_burst_add(&burst, &record, now), 0);
	assert_int_equal(next().kind, DG_BURST_WAIT);
	now = next().wake_us;
	assert_int_equal(next().kind, DG_BURST_END);
	assert_string_equal(dg_burst_outcome(&burst), "nobody");
	assert_int_equal(burst.counts.n_ranges, 1);
	assert_int_equal(burst.counts.n_scans, 0);
}

static void test_told(void **state)
{
	add(5, 1);
	assert_scan(5, 1);
	found(10, 2, 1);
	assert_tell(10, 0, DG_BURST_DONE);
	assert_tell(11, 0, DG_BURST_DONE);
	/* Somebody came in between; then nobody. */
	assert_scan(5, 1);
	found(10, 3, 1);
	assert_tell(12, 0, DG_BURST_DONE);
	assert_scan(5, 1);
	found(10, 3, 1);
	assert_over("told");
	assert_int_equal(burst.counts.n_told, 3);
}

/* Sectors of one page, and what touches: each page once. */
static void test_united(void **state)
{
	struct dg_failure_record sector = {.range = {BASE + 7 * PAGE + 512, 512}};

	add(6, 1);
	add(2, 1);
	dg_burst_add(&burst, &sector, now);
	sector.range.start += 1024;
	dg_burst_add(&burst, &sector, now);
	assert_scan(2, 6);
	found(10, 1, 1);
	scan_finds(2, 0);
	assert_scan(6, 2);
	found(10, 1, 2);
	assert_tell(10, 0, DG_BURST_DONE);
	assert_scan(6, 2);
	found(10, 1, 2);
	assert_over("told");
}

/* Where on the device it is: of sectors that of their page; what is apart there is not one. */
static void test_placed(void **state)
{
	static const uint64_t offsets[] = {5 * PAGE, 6 * PAGE, 70 * PAGE};
	struct dg_failure_record record = {.has_disk_offset = true};
	struct dg_burst_order order;

	for (uint64_t i = 0; i < 3; i++) {
		record.range = (struct dg_range){BASE + i * PAGE + 512, 512};
		record.disk_offset = offsets[i] + 512;
		assert_int_equal(dg_burst_add(&burst, &record, now), 0);
	}
	assert_scan(0, 3);
	found(10, 1, 3);
	assert_scan(0, 2);
	found(10, 1, 2);
	order = next();
	assert_int_equal(order.kind, DG_BURST_TELL);
	assert_true(order.placed && order.offset == 5 * PAGE && order.range.len == 2 * PAGE);
	dg_burst_told(&burst, DG_BURST_DONE);
	assert_scan(0, 2);
	found(0, 0, 0);
	scan_finds(2, 11);
	order = next();
	assert_true(order.placed && order.offset == 70 * PAGE && order.range.len == PAGE);
}

/* What grows is told of as far as it has grown, in the same burst and in the next. */
static void test_grows(void **state)
{
	add(5, 1);
	told_of(5, 10, DG_BURST_DONE);
	add(5, 2);
	scan_finds(5, 10);
	assert_int_equal(next().kind, DG_BURST_ROUND);
	assert_scan(5, 2);
	found(10, 1, 2);
	assert_tell(10, 1, DG_BURST_DONE);
	assert_scan(5, 2);
	found(10, 1, 2);
	assert_over("told");
	dg_burst_done(&burst);
	begin(false);
	add(5, 3);
	assert_scan(5, 3);
	found(10, 1, 3);
	assert_tell(10, 2, DG_BURST_DONE);
}

/* The same address over another page is another matter. */
static void test_other_page(void **state)
{
	add(5, 1);
	told_of(5, 10, DG_BURST_DONE);
	add(9, 1);
	scan_finds(5, 0);
	assert_int_equal(next().kind, DG_BURST_ROUND);
	told_of(9, 10, DG_BURST_DONE);
}

static void test_kernel_told(void **state)
{
	struct dg_failure_told by_kernel[] = {{{10, 77000000000}, 10ULL << 24, PAGE},
					      {{11, 77000000000}, 99ULL << 24, PAGE},
					      {{12, 55000000000}, 12ULL << 24, PAGE}};
	struct dg_failure_record record = {.range = {BASE, PAGE}, .told = by_kernel, .n_told = 3};

	dg_burst_add(&burst, &record, now);
	assert_scan(0, 1);
	found(10, 3, 1);
	/* Of another page; and a process that had the pid before. */
	assert_tell(11, 0, DG_BURST_DONE);
	assert_tell(12, 0, DG_BURST_DONE);
}

static void test_who_shares_memory(void **state)
{
	struct dg_mapping mappings[2] = {{.addr = 1 << 24, .len = PAGE},
					 {.addr = 1 << 24, .len = PAGE}};
	struct dg_holder_list holders = {calloc(2, sizeof(struct dg_holder)), 2, false};

	for (int i = 0; i < 2; i++) {
		holders.items[i].process = (struct dg_process){10 + i, 77000000000};
		holders.items[i].mappings = malloc(sizeof(*mappings));
		*holders.items[i].mappings = mappings[i];
		holders.items[i].n_mappings = 1;
	}
	holders.items[1].shared_with = 10;
	add(5, 1);
	assert_scan(5, 1);
	dg_burst_scanned(&burst, &holders, now);
	assert_int_equal(next().holder->process.pid, 10);
	dg_burst_told(&burst, DG_BURST_DONE);
	assert_int_equal(next().kind, DG_BURST_SCAN);
}

static void test_gone(void **state)
{
	add(1, 1);
	assert_scan(1, 1);
	dg_burst_not_scanned(&burst, -ENODEV, now);
	assert_int_equal(next().kind, DG_BURST_ROUND);
	assert_int_equal(next().kind, DG_BURST_END);
	assert_string_equal(dg_burst_outcome(&burst), "gone");
}

static void test_stopped(void **state)
{
	add(1, 1);
	assert_scan(1, 1);
	found(10, 2, 1);
	assert_tell(10, 0, DG_BURST_DONE);
	dg_burst_stop(&burst, DG_BURST_REMOVED);
	assert_int_equal(next().kind, DG_BURST_ROUND);
	assert_int_equal(next().kind, DG_BURST_END);
	assert_string_equal(dg_burst_outcome(&burst), "removal");
	/* A late answer. */
	found(10, 2, 1);
	assert_int_equal(next().kind, DG_BURST_END);
}

static void test_unmap(void **state)
{
	begin(true);
	add(1, 1);
	add(3, 1);
	assert_scan(1, 3);
	found(10, 1, 1);
	told_of(1, 10, DG_BURST_DONE);
	scan_finds(1, 10);
	assert_int_equal(next().kind, DG_BURST_UNMAP);
	/* Not all of it: once more, when the others are done. */
	dg_burst_unmapped(&burst, 0, false, now);
	/* Who let go of it needs no unmapping. */
	told_of(3, 11, DG_BURST_DONE);
	scan_finds(3, 0);
	now = next().wake_us;
	scan_finds(1, 10);
	assert_int_equal(next().kind, DG_BURST_UNMAP);
	dg_burst_unmapped(&burst, 0, true, now);
	assert_over("told");
	assert_true(burst.marks & DG_BURST_UNMAPPED);
}

/* Good pages are in it: who maps it is told, but keeps it; what is bad for sure is unmapped. */
static void test_widened(void **state)
{
	struct dg_failure_record record = {.range = {BASE, 16 * PAGE}, .flags = DG_FAIL_WIDENED};

	begin(true);
	add(4, 1);
	dg_burst_add(&burst, &record, now);
	assert_scan(0, 16);
	found(10, 1, 1);
	assert_scan(0, 16);
	found(10, 1, 1);
	assert_tell(10, 0, DG_BURST_DONE);
	assert_scan(0, 16);
	found(10, 1, 1);
	told_of(4, 11, DG_BURST_DONE);
	scan_finds(4, 11);
	assert_int_equal(next().kind, DG_BURST_UNMAP);
	dg_burst_unmapped(&burst, 0, true, now);
	assert_over("untold");
}

/* Where nobody maps them, ten thousand cost one scan; where one is mapped, few. */
static void test_many(void **state)
{
	struct dg_burst_order order;
	unsigned n = 0;

	for (uint64_t i = 10000; i > 0; i--)
		assert_int_equal(add(2 * i, 1), 0);
	while ((order = next()).kind == DG_BURST_SCAN || order.kind == DG_BURST_TELL) {
		uint64_t end = order.range.start + order.range.len;

		if (order.kind == DG_BURST_TELL)
			dg_burst_told(&burst, DG_BURST_DONE);
		else if (order.range.start <= BASE + 5000 * PAGE && end > BASE + 5000 * PAGE)
			found(10, 1, 1);
		else
			found(0, 0, 0);
		n++;
	}
	assert_int_equal(order.kind, DG_BURST_ROUND);
	assert_int_equal(burst.counts.n_told, 1);
	assert_in_range(n, 3, 40);
	for (uint64_t i = 0; i < DG_BURST_RANGES_MAX; i++)
		assert_int_equal(add(2 * i, 1), 0);
	assert_int_equal(add(9999999, 1), -ENOSPC);
	now += DG_BURST_LASTS_US + 1;
	assert_int_equal(add(2 * DG_BURST_RANGES_MAX - 1, 1), -ENOSPC);
}

/* A record that grows has all that the kernel has told again: they are known. */
static void test_kernel_told_once(void **state)
{
	struct dg_failure_told by_kernel[] = {{{10, 77000000000}, 10ULL << 24, PAGE},
					      {{11, 77000000000}, 11ULL << 24, PAGE}};
	struct dg_failure_record record = {.told = by_kernel, .n_told = 2};

	for (uint64_t i = 1; i < 10; i++) {
		record.range = (struct dg_range){BASE, i * PAGE};
		assert_int_equal(dg_burst_add(&burst, &record, now), 0);
	}
	assert_int_equal(told.n_items, 2);
}

/* One process that maps a page at very many places is one entry, and is told once. */
static void test_many_mappings(void **state)
{
	struct dg_holder_list holders = {};
	const size_t n = 65000;

	add(5, 1);
	for (int scan = 0; scan < 2; scan++) {
		assert_scan(5, 1);
		holders = (struct dg_holder_list){calloc(1, sizeof(struct dg_holder)), 1, false};
		holders.items->process = (struct dg_process){10, 77000000000};
		holders.items->mappings = calloc(n, sizeof(struct dg_mapping));
		holders.items->n_mappings = n;
		for (size_t i = 0; i < n; i++) {
			holders.items->mappings[i].addr = (10ULL << 24) + 2 * i * PAGE;
			holders.items->mappings[i].len = PAGE;
		}
		dg_burst_scanned(&burst, &holders, now);
		if (scan == 0)
			assert_tell(10, 0, DG_BURST_DONE);
		assert_int_equal(told.n_items, 1);
	}
	assert_over("told");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_nobody),        CASE(test_unaddressed), CASE(test_told),
		CASE(test_united),        CASE(test_placed),      CASE(test_grows),
		CASE(test_other_page),    CASE(test_kernel_told), CASE(test_who_shares_memory),
		CASE(test_gone),          CASE(test_stopped),     CASE(test_unmap),
		CASE(test_widened),       CASE(test_many),        CASE(test_kernel_told_once),
		CASE(test_many_mappings),
	};

	return cmocka_run_group_tests_name("burst", tests, NULL, NULL);
}
