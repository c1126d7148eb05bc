/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who was told of which pages: nobody twice, and at a cost that does not grow. */
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/told.h"
#include "test.h"

#define PAGE 4096ULL
#define BASE (1ULL << 32)

static const struct dg_range page = {BASE, PAGE};

/* A ring of four: who is forgotten is told again, the others are not. */
static void test_bounded(void **state)
{
	struct dg_told_list few;
	struct dg_told item = {.len = PAGE, .pages = page};
	uint64_t addr;

	dg_told_init(&few, 4);
	for (pid_t pid = 1; pid <= 6; pid++) {
		item.process = (struct dg_process){pid, 1};
		assert_int_equal(dg_told_add(&few, &item), 0);
	}
	assert_int_equal(few.n_forgotten, 2);
	for (pid_t pid = 1; pid <= 6; pid++) {
		item.process = (struct dg_process){pid, 1};
		assert_int_equal(dg_told_misses(&few, &item, &addr), pid <= 2);
	}
	dg_told_drop(&few, &item);
	assert_true(dg_told_misses(&few, &item, &addr));
	dg_told_done(&few);
}

/* Many times around, of several processes, two of which have one chain: the newest are known. */
static void test_ring(void **state)
{
	const uint64_t n_max = 64, n = 1000;
	static const pid_t pids[] = {5, 6, 5 + 4096};
	struct dg_told_list list;
	struct dg_told item = {.len = PAGE, .pages = page};
	uint64_t addr;

	dg_told_init(&list, n_max);
	for (uint64_t i = 0; i < n; i++) {
		item.process = (struct dg_process){pids[i % 3], 1};
		item.addr = i * PAGE;
		assert_int_equal(dg_told_add(&list, &item), 0);
		if (i % 7 == 0)
			dg_told_drop(&list, &item);
	}
	for (uint64_t i = 0; i < n; i++) {
		item.process = (struct dg_process){pids[i % 3], 1};
		item.addr = i * PAGE;
		/* What was dropped may have left room for older ones. */
		if (i % 7 == 0 || i < n - 2 * n_max)
			assert_true(dg_told_misses(&list, &item, &addr));
		else if (i >= n - n_max)
			assert_false(dg_told_misses(&list, &item, &addr));
	}
	dg_told_done(&list);
}

/* One who is tried in vain for hours takes nobody's place. */
static void test_tried_again_and_again(void **state)
{
	struct dg_told_list list;
	struct dg_told other = {.process = {5, 1}, .len = PAGE, .pages = page}, item = other;
	uint64_t addr;

	dg_told_init(&list, 8);
	assert_int_equal(dg_told_add(&list, &other), 0);
	item.process.pid = 6;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(dg_told_add(&list, &item), 0);
		dg_told_drop(&list, &item);
	}
	assert_int_equal(list.n_forgotten, 0);
	assert_false(dg_told_misses(&list, &other, &addr));
	assert_true(dg_told_misses(&list, &item, &addr));
	dg_told_done(&list);
}

/* The list's memory, of which each page that is touched is counted. */
static struct {
	char *begin;
	size_t len, page, n_touched;
} guarded;

static void on_touch(int signo, siginfo_t *info, void *context)
{
	char *at = info->si_addr;

	if (at < guarded.begin || at >= guarded.begin + guarded.len)
		abort();
	at -= (size_t)(at - guarded.begin) % guarded.page;
	if (mprotect(at, guarded.page, PROT_READ | PROT_WRITE) < 0)
		abort();
	guarded.n_touched++;
}

/* Whole pages of it. */
static void guard(void *memory)
{
	uintptr_t begin = (uintptr_t)memory, end = begin + malloc_usable_size(memory);

	guarded.page = (size_t)sysconf(_SC_PAGESIZE);
	begin += guarded.page - 1;
	begin -= begin % guarded.page;
	guarded.begin = (char *)begin;
	guarded.len = end - end % guarded.page - begin;
}

static size_t pages_touched_to_add(struct dg_told_list *list, const struct dg_told *item)
{
	guarded.n_touched = 0;
	assert_return_code(mprotect(guarded.begin, guarded.len, PROT_NONE), errno);
	assert_int_equal(dg_told_add(list, item), 0);
	return guarded.n_touched;
}

/* What goes is the last of its chain, and nobody walks there, however long that is. */
static void test_full_ring_is_fast(void **state)
{
	struct sigaction action = {.sa_sigaction = on_touch, .sa_flags = SA_SIGINFO}, before;
	struct dg_told item = {.process = {10, 1}, .len = PAGE, .pages = page};
	struct dg_told_list list;
	size_t n = 0;

	dg_told_init(&list, 0);
	for (; n < DG_TOLD_MAX; n++) {
		item.addr = n * PAGE;
		assert_int_equal(dg_told_add(&list, &item), 0);
	}
	guard(list.items);
	assert_true(guarded.len / guarded.page > 100);
	assert_return_code(sigaction(SIGSEGV, &action, &before), errno);
	for (; n < DG_TOLD_MAX + 1000; n++) {
		item.addr = n * PAGE;
		/* Its place, the head of the chain and the next one to go; each may lie on two. */
		assert_in_range(pages_touched_to_add(&list, &item), 0, 6);
	}
	assert_return_code(mprotect(guarded.begin, guarded.len, PROT_READ | PROT_WRITE), errno);
	assert_return_code(sigaction(SIGSEGV, &before, NULL), errno);
	dg_told_done(&list);
}

static void fill(struct dg_holder *ret, struct dg_mapping *mappings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mappings[i] = (struct dg_mapping){.addr = (2 * i + 1) * PAGE, .len = PAGE};
	*ret = (struct dg_holder){
		.process = {10, 1},
		.mappings = mappings,
		.n_mappings = n,
	};
}

/* Up to the limit each is known by itself, beyond it from where to where they are. */
static void test_holder(void **state)
{
	static struct dg_mapping mappings[65000];
	static const size_t numbers[] = {1, DG_TOLD_MAPPINGS_MAX, DG_TOLD_MAPPINGS_MAX + 1, 65000};

	for (size_t i = 0; i < 4; i++) {
		struct dg_told_list list;
		struct dg_holder holder;
		uint64_t addr = 0;

		dg_told_init(&list, 0);
		fill(&holder, mappings, numbers[i]);
		assert_true(dg_told_misses_holder(&list, &holder, page, &addr));
		assert_true(addr == PAGE);
		assert_int_equal(dg_told_add_holder(&list, &holder, page), 0);
		assert_int_equal(list.n_items, i < 2 ? numbers[i] : 1);
		assert_false(dg_told_misses_holder(&list, &holder, page, &addr));
		dg_told_drop_holder(&list, &holder, page);
		assert_true(dg_told_misses_holder(&list, &holder, page, &addr));
		dg_told_done(&list);
	}
}

/* The kernel has told of the first: the rest begins between two, where nothing is mapped. */
static void test_address_is_mapped(void **state)
{
	static struct dg_mapping mappings[DG_TOLD_MAPPINGS_MAX + 1];
	struct dg_told first = {.process = {10, 1}, .addr = PAGE, .len = PAGE, .pages = page};
	struct dg_told_list list;
	struct dg_holder holder;
	uint64_t addr = 0;

	dg_told_init(&list, 0);
	fill(&holder, mappings, DG_TOLD_MAPPINGS_MAX + 1);
	assert_int_equal(dg_told_add(&list, &first), 0);
	assert_true(dg_told_misses_holder(&list, &holder, page, &addr));
	assert_true(addr == PAGE);
	dg_told_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_full_ring_is_fast),
		cmocka_unit_test(test_holder),
		cmocka_unit_test(test_address_is_mapped),
		cmocka_unit_test(test_tried_again_and_again),
	};

	return cmocka_run_group_tests_name("told", tests, NULL, NULL);
}
