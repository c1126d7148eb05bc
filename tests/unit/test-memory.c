/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each allocation on the way from a rule's text to its match, and to what it would
 * come to, and of a ledger of failures, fails once. Linked with --wrap; what is lost is seen by a
 * sanitizer.
 */
#include "test.h"

#include "core/forecast.h"
#include "core/ledger.h"
#include "core/selection.h"

static const char text[] = "[Match]\nUnit=a.service b.service\nUnit=!c.service\nUser=x 3\n"
			   "[Policy]\nAction=exec kill\nExec=/bin/a b c\n";
static const char device_text[] = "[Match]\nDevice=a b\nDevice=\nDevice=c\n[Device]\n";

/* How many may still succeed. */
static unsigned n_left;
static bool has_failed;

static bool may_fail(void)
{
	if (n_left > 0) {
		n_left--;
		return false;
	}
	has_failed = true;
	return true;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *memory, size_t n, size_t size);
void *__wrap_reallocarray(void *memory, size_t n, size_t size);
char *__real_strdup(const char *string);
char *__wrap_strdup(const char *string);

void *__wrap_calloc(size_t n, size_t size)
{
	return may_fail() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *memory, size_t n, size_t size)
{
	return may_fail() ? NULL : __real_reallocarray(memory, n, size);
}

char *__wrap_strdup(const char *string)
{
	return may_fail() ? NULL : __real_strdup(string);
}

static void no_error(void *userdata, const struct dg_text_error *error)
{
	fail_msg("%u:%u: %s", error->line, error->column, error->reason);
}

static int add_rules(struct dg_policy *policy)
{
	struct dg_device_rule device;
	struct dg_rule rule;
	int r = dg_rule_parse("a.policy", text, strlen(text), no_error, NULL, &rule);

	if (r < 0)
		return r;
	r = dg_policy_add(policy, &rule);
	if (r < 0) {
		dg_rule_done(&rule);
		return r;
	}
	r = dg_device_rule_parse("a.device", device_text, strlen(device_text), no_error, NULL,
				 &device);
	if (r < 0)
		return r;
	r = dg_policy_add_device(policy, &device);
	if (r < 0)
		dg_device_rule_done(&device);
	return r;
}

static int all_the_way(void)
{
	const struct dg_process_facts process = {.unit = "b.service", .has_uid = true, .uid = 3};
	struct dg_policy *policy = dg_policy_new();
	struct dg_selection selection;
	int r;

	if (!policy)
		return -ENOMEM;
	r = add_rules(policy);
	if (r == 0)
		r = dg_selection_init(policy, NULL, &selection);
	if (r == 0) {
		/* The unit of the other manager is not known. */
		assert_string_equal(dg_selection_match(&selection, &process)->name,
				    "built-in:other");
		dg_selection_done(&selection);
	}
	dg_policy_unref(policy);
	return r;
}

static int foresee(void)
{
	struct dg_layer layer = {.name = "dm-1"};
	struct dg_target target = {
		.name = "pmem0", .mode = DG_MODE_FSDAX, .layers = &layer, .n_layers = 1};
	const struct dg_request request = {
		.deadline_ms = 20000, .cap_ms = 60000, .targets = &target, .n_targets = 1};
	struct dg_holder who[] = {{.process = {7, 1}, .counts[DG_USE_MAPPED] = 1},
				  {.process = {8, 1}, .counts[DG_USE_OPEN] = 1},
				  {.process = {9, 1}, .counts[DG_USE_MAPPED] = 1}};
	const struct dg_holder_list holders = {who, 3, false};
	struct dg_mount mount = {.path = "/mnt", .type = "xfs", .result = ""};
	const struct dg_mount_list mounts = {.items = &mount, .n_items = 1};
	const struct dg_device_facts device = {.mount_points = {.complete = true}};
	struct dg_policy *policy = dg_policy_new();
	struct dg_forecast forecast = {};
	int r = policy ? add_rules(policy) : -ENOMEM;

	if (r == 0)
		r = dg_forecast(&(struct dg_forecast_input){.request = &request,
							    .policy = policy,
							    .limits = {6 * SEC, 10 * SEC},
							    .device = &device,
							    .mounts = &mounts,
							    .holders = &holders,
							    .knows_protected = true},
				&forecast);
	if (r == 0)
		assert_string_equal(forecast.incident.outcome, "detached-pinned");
	dg_forecast_done(&forecast);
	dg_policy_unref(policy);
	return r;
}

/* How many there are. */
static unsigned fail_each(int (*func)(void))
{
	unsigned n = 0;

	for (;; n++) {
		int r;

		n_left = n;
		has_failed = false;
		r = func();
		if (!has_failed) {
			assert_int_equal(r, 0);
			break;
		}
		assert_int_equal(r, -ENOMEM);
	}
	return n;
}

static void each_allocation_fails_once(void **state)
{
	assert_in_range(fail_each(all_the_way), 15, 100);
}

static void each_of_a_forecast(void **state)
{
	assert_in_range(fail_each(foresee), 30, 200);
}

#define N_CELLS 64

static void check_covered(const struct dg_ledger *ledger, const bool bad[N_CELLS])
{
	for (uint64_t i = 0; i < N_CELLS; i++) {
		const struct dg_failure *f = dg_ledger_find(ledger, "a", i);

		if (bad[i])
			assert_true(f && f->offset <= i);
	}
}

/* Whatever of it fails, what was taken as bad is said to be, until it is repaired. */
static void keep_a_ledger(void)
{
	static const struct {
		uint64_t offset, length;
		enum dg_content content;
		bool repaired;
	} steps[] = {
		{0, 40, DG_CONTENT_FILE, false},     {10, 5, DG_CONTENT_METADATA, false},
		{5, 50, DG_CONTENT_UNKNOWN, false},  {12, 1, DG_CONTENT_FILE, true},
		{20, 10, DG_CONTENT_UNKNOWN, false}, {60, 2, DG_CONTENT_UNKNOWN, false},
		{50, 12, DG_CONTENT_UNKNOWN, false}, {30, 3, DG_CONTENT_FREE, false},
		{25, 20, DG_CONTENT_FILE, true},     {0, 64, DG_CONTENT_UNKNOWN, false},
	};
	struct dg_ledger *ledger = dg_ledger_new(5, 0);
	bool bad[N_CELLS] = {};

	for (size_t i = 0; ledger && i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct dg_failure f = {.ns = "a",
				       .offset = steps[i].offset,
				       .length = steps[i].length,
				       .sources = DG_SOURCE_BADBLOCKS,
				       .content = steps[i].content,
				       .path = "/x",
				       .times = 1};
		int r = steps[i].repaired ? dg_ledger_repair(ledger, &f)
					  : dg_ledger_add(ledger, &f);

		assert_true(r == 0 || (r == -ENOMEM && has_failed));
		for (uint64_t k = f.offset; k < f.offset + f.length; k++)
			bad[k] = steps[i].repaired ? false : r == 0 || bad[k];
		check_covered(ledger, bad);
	}
	dg_ledger_free(ledger);
}

static void each_of_a_ledger(void **state)
{
	unsigned n = 0;

	do {
		n_left = n++;
		has_failed = false;
		keep_a_ledger();
	} while (has_failed);
	assert_in_range(n, 20, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
		cmocka_unit_test(each_of_a_forecast),
		cmocka_unit_test(each_of_a_ledger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
