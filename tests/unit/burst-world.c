/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "burst-world.h"

struct dg_told_list told;
static struct dg_selection selection;
struct dg_burst burst;
uint64_t now;

void begin(bool unmap)
{
	dg_burst_init(&burst, &told, &selection, PAGE, unmap, now);
}

int setup(void **state)
{
	const struct dg_device_facts facts = {.event = DG_RULE_EVENT_MEMORY_FAILURE};

	now = 1000000;
	dg_told_init(&told, 0);
	assert_int_equal(dg_selection_init(dg_policy_builtin(), &facts, &selection), 0);
	begin(false);
	return 0;
}

int teardown(void **state)
{
	dg_burst_done(&burst);
	dg_selection_done(&selection);
	dg_told_done(&told);
	return 0;
}

int add(uint64_t page, uint64_t n)
{
	struct dg_failure_record record = {.range = {BASE + page * PAGE, n * PAGE}};

	return dg_burst_add(&burst, &record, now);
}

struct dg_burst_order next(void)
{
	struct dg_burst_order order;

	dg_burst_next(&burst, now, &order);
	return order;
}

void assert_scan(uint64_t page, uint64_t n)
{
	struct dg_burst_order order = next();

	assert_int_equal(order.kind, DG_BURST_SCAN);
	assert_true(order.range.start == BASE + page * PAGE && order.range.len == n * PAGE);
	/* Nothing else until it is answered. */
	assert_int_equal(next().kind, DG_BURST_WAIT);
}

void found(pid_t pid, size_t n, uint64_t pages)
{
	struct dg_holder_list holders = {calloc(n + 1, sizeof(struct dg_holder)), n, false};

	for (size_t i = 0; i < n; i++) {
		struct dg_holder *holder = &holders.items[i];

		holder->process = (struct dg_process){pid + (pid_t)i, 77000000000};
		holder->counts[DG_USE_MAPPED] = 1;
		holder->mappings = calloc(1, sizeof(*holder->mappings));
		holder->mappings->addr = (uint64_t)holder->process.pid << 24;
		holder->mappings->len = pages * PAGE;
		holder->n_mappings = 1;
	}
	dg_burst_scanned(&burst, &holders, now);
	dg_holder_list_done(&holders);
}

void assert_tell(pid_t pid, uint64_t page, enum dg_burst_answer answer)
{
	struct dg_burst_order order = next();

	assert_int_equal(order.kind, DG_BURST_TELL);
	assert_int_equal(order.holder->process.pid, pid);
	assert_true(order.addr == ((uint64_t)pid << 24) + page * PAGE);
	assert_string_equal(order.rule->name, "built-in:memory-failure");
	dg_burst_told(&burst, answer);
}

void scan_finds(uint64_t page, pid_t pid)
{
	assert_scan(page, 1);
	found(pid, pid > 0, 1);
}

void told_of(uint64_t page, pid_t pid, enum dg_burst_answer answer)
{
	scan_finds(page, pid);
	assert_tell(pid, 0, answer);
}

void assert_over(const char *outcome)
{
	struct dg_burst_order order;

	assert_int_equal(next().kind, DG_BURST_ROUND);
	order = next();
	assert_int_equal(order.kind, DG_BURST_WAIT);
	now = order.wake_us;
	assert_int_equal(next().kind, DG_BURST_END);
	assert_string_equal(dg_burst_outcome(&burst), outcome);
	assert_int_equal(add(1, 1), -ENOSPC);
}

bool scans(struct dg_burst_order *ret)
{
	if (burst.finished)
		return false;
	*ret = next();
	if (ret->kind == DG_BURST_WAIT) {
		now = ret->wake_us;
		*ret = next();
	}
	assert_int_equal(ret->kind, DG_BURST_SCAN);
	return true;
}
