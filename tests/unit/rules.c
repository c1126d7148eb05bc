/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rules.h"

#include "test.h"

static void fail_error(void *userdata, const struct dg_text_error *error)
{
	fail_msg("%u:%u: %s", error->line, error->column, error->reason);
}

static size_t write_rule(char text[512], const char *match, const char *section, const char *what)
{
	int n = snprintf(text, 512, "[Match]\n%s\n[%s]\n%s\n", match, section, what);

	assert_in_range(n, 1, 511);
	return (size_t)n;
}

void add_rule(struct dg_policy *policy, const char *name, const char *match, const char *what)
{
	struct dg_rule rule;
	char text[512];
	size_t n = write_rule(text, match, "Policy", what);

	assert_int_equal(dg_rule_parse(name, text, n, fail_error, NULL, &rule), 0);
	assert_int_equal(dg_policy_add(policy, &rule), 0);
}

void add_device_rule(struct dg_policy *policy, const char *name, const char *match,
		     const char *what)
{
	struct dg_device_rule rule;
	char text[512];
	size_t n = write_rule(text, match, "Device", what);

	assert_int_equal(dg_device_rule_parse(name, text, n, fail_error, NULL, &rule), 0);
	assert_int_equal(dg_policy_add_device(policy, &rule), 0);
}
