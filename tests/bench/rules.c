/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What many rules cost: read, made ready for a device, and matched with many
 * processes. Arguments: rules, holders; 10000 and 1000 without.
 *
 *	distinct  each rule is for other units, users, programs: as rules are
 *	wildcard  each names a part in the middle of a path
 *	same      all are for the same units, and for a use that nobody has
 *	device    each is for another device
 *	alike     all are for the same units, and a container that nobody is in
 *	blind     each has nothing literal that an index could find
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/selection.h"

#define REPEAT 7

static unsigned n_rules = 10000, n_holders = 1000;

static double now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void write_distinct(char *text, size_t size, unsigned i)
{
	static const struct {
		const char *before, *after;
	} forms[] = {
		{"Unit=app", "-*.service"},
		{"Executable=/opt/app", "/bin/*"},
		{"User=", ""},
		{"ControlGroup=/system.slice/app", "-main.service"},
		{"Executable=*/app", "/bin/server-with-a-name"},
		{"User=!0\nUnit=app", "-main.service"},
		{"Access=mapped\nCommand=app", ""},
		{"Container=app", ""},
	};
	const size_t form = i % (sizeof(forms) / sizeof(*forms));

	snprintf(text, size, "[Match]\nDevice=pmem*\n%s%u%s\n[Policy]\nAction=term@5s kill\n",
		 forms[form].before, i, forms[form].after);
}

static void write_wildcard(char *text, size_t size, unsigned i)
{
	snprintf(text, size, "[Match]\nExecutable=*app%u/*\n[Policy]\nAction=kill\n", i);
}

static void write_same(char *text, size_t size, unsigned i)
{
	snprintf(text, size, "[Match]\nUnit=app*.service\nAccess=cwd\n[Policy]\nAction=kill\n");
}

static void write_alike(char *text, size_t size, unsigned i)
{
	snprintf(text, size, "[Match]\nUnit=app*.service\nContainer=*\n[Policy]\nAction=kill\n");
}

static void write_blind(char *text, size_t size, unsigned i)
{
	snprintf(text, size,
		 "[Match]\nExecutable=*[p][%u][%u][%u][%u][/]*\n[Policy]\nAction=kill\n",
		 i / 1000 % 10, i / 100 % 10, i / 10 % 10, i % 10);
}

static void write_device(char *text, size_t size, unsigned i)
{
	snprintf(text, size, "[Match]\nDevice=pmem%u\nUnit=app*\n[Policy]\nAction=kill\n", i);
}

static const struct {
	const char *name;
	void (*write)(char *text, size_t size, unsigned i);
} kinds[] = {
	{"distinct", write_distinct}, {"wildcard", write_wildcard}, {"same", write_same},
	{"device", write_device},     {"alike", write_alike},       {"blind", write_blind},
};

static void fail(void *userdata, const struct dg_text_error *error)
{
	fprintf(stderr, "%u:%u: %s\n%s", error->line, error->column, error->reason,
		(const char *)userdata);
	exit(1);
}

static struct dg_policy *make_policy(size_t kind)
{
	struct dg_policy *policy = dg_policy_new();
	char path[64], text[512];
	struct dg_rule rule;

	for (unsigned i = 0; policy && i < n_rules; i++) {
		snprintf(path, sizeof(path), "/etc/daxguard/policy.d/%05u.policy", i);
		kinds[kind].write(text, sizeof(text), i);
		if (dg_rule_parse(path, text, strlen(text), fail, text, &rule) < 0 ||
		    dg_policy_add(policy, &rule) < 0)
			exit(1);
	}
	return policy;
}

/* Every second holder has a rule of its own in the first kind. */
static void make_process(unsigned i, struct dg_process_facts *process, char text[4][64])
{
	unsigned app = i % 2 ? n_rules + i : i * (n_rules / n_holders) + i / 2 % 8;

	snprintf(text[0], 64, "/opt/app%u/bin/server-with-a-name", app);
	snprintf(text[1], 64, "app%u-main.service", app);
	snprintf(text[2], 64, "/system.slice/app%u-main.service", app);
	snprintf(text[3], 16, "app%u", app);
	*process = (struct dg_process_facts){
		.uses = 1U << DG_USE_MAPPED,
		.has_uid = true,
		.uid = app,
		.gids_complete = true,
		.executable = text[0],
		.command = text[3],
		.unit = text[1],
		.user_unit = "",
		.cgroup = text[2],
		.container = "",
	};
}

/* One removal: the milliseconds of each part; returns how many had a rule of a file. */
static unsigned measure(const struct dg_policy *policy, double *ret_select, double *ret_match)
{
	static const char *const names[] = {"pmem7", "pfn7.0", "region7"};
	const struct dg_device_facts device = {.names = {names, 3, true}};
	struct dg_selection selection;
	unsigned n = 0;
	double start = now_ms();

	if (dg_selection_init(policy, &device, &selection) < 0)
		exit(1);
	*ret_select = now_ms() - start;
	start = now_ms();
	for (unsigned i = 0; i < n_holders; i++) {
		struct dg_process_facts process;
		char text[4][64];

		make_process(i, &process, text);
		n += dg_selection_match(&selection, &process)->path != NULL;
	}
	*ret_match = now_ms() - start;
	dg_selection_done(&selection);
	return n;
}

static void print_machine(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "model name", 10) == 0) {
			printf("machine:%s", strchr(line, ':') + 1);
			break;
		}
	if (file)
		fclose(file);
}

int main(int argc, char *argv[])
{
	if (argc > 1)
		n_rules = (unsigned)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		n_holders = (unsigned)strtoul(argv[2], NULL, 10);
	if (n_rules > DG_RULES_MAX || n_holders == 0 || n_rules < n_holders)
		return 2;
	print_machine();
	printf("%u rules, %u holders, best of %d; milliseconds\n", n_rules, n_holders, REPEAT);
	printf("%-9s %8s %8s %8s %8s %8s\n", "rules", "read", "select", "match", "removal",
	       "matched");
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(*kinds); kind++) {
		double start = now_ms(), read, best_select = 1e9, best_match = 1e9;
		struct dg_policy *policy = make_policy(kind);
		unsigned n = 0;

		read = now_ms() - start;
		for (unsigned i = 0; i < REPEAT; i++) {
			double select, match;

			n = measure(policy, &select, &match);
			if (select + match < best_select + best_match) {
				best_select = select;
				best_match = match;
			}
		}
		printf("%-9s %8.2f %8.2f %8.2f %8.2f %8u\n", kinds[kind].name, read, best_select,
		       best_match, best_select + best_match, n);
		dg_policy_unref(policy);
	}
	return 0;
}
