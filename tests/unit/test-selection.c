/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That the fast way to the first rule gives what asking each in turn gives,
 * and what the words of the manual page give, written here a second time.
 *
 * DAXGUARD_SEED=N repeats a run, DAXGUARD_SEED=random makes a new one.
 */
#include "test.h"

#include <fnmatch.h>
#include <time.h>

#include "core/selection.h"

#define POLICIES 400
#define RULES_MAX 40
#define LINES_MAX 4
#define WORDS_MAX 3
#define WORD_SIZE 64
#define PROCESSES 30
#define PATTERNS 4000
#define PATTERN_PARTS 5

static uint64_t seed, chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return (uint32_t)((chance_state * 0x2545f4914f6cdd1d) >> 32) % below;
}

/* A rule as it is meant: lines of words. */
struct line {
	enum dg_key key;
	bool unwanted;
	char words[WORDS_MAX][WORD_SIZE];
	unsigned n_words;
};

struct model {
	struct line lines[LINES_MAX];
	unsigned n_lines;
};

/* Texts of few letters, so that they meet. Paths and units must look like some. */
static void random_text(char text[16], enum dg_key key, const char *letters, uint32_t n_max)
{
	uint32_t n = chance(n_max);
	char *c = text;

	if (key == DG_KEY_EXECUTABLE || key == DG_KEY_MOUNT_POINT || key == DG_KEY_CONTROL_GROUP)
		*c++ = '/';
	*c++ = letters[chance(2)];
	while (n-- > 0)
		*c++ = letters[chance((uint32_t)strlen(letters))];
	if (key == DG_KEY_UNIT)
		*c++ = '.';
	*c = '\0';
}

static void random_word(char word[WORD_SIZE], enum dg_key key)
{
	static const char *const brackets[] = {"[ab]", "[!a]", "[]a]", "[[:alpha:]]", "[[:]"};
	char *star = word;

	if (key == DG_KEY_EVENT) {
		strcpy(word, "pre-remove");
	} else if (key == DG_KEY_ACCESS) {
		strcpy(word, dg_use_name(chance(DG_USE_KERNEL)));
	} else if (key == DG_KEY_USER || key == DG_KEY_GROUP) {
		snprintf(word, WORD_SIZE, chance(8) ? "%u" : "nobody%u", chance(4));
	} else {
		random_text(word, key, chance(2) ? "ab" : "ab/?*", 5);
		if (chance(4) == 0)
			strcat(word, brackets[chance(5)]);
		if (chance(4) == 0)
			strcat(word, chance(2) ? "ab" : "b]");
		if (chance(3) == 0)
			strcat(word, "*");
		if (chance(3) == 0) {
			memmove(star + 1, star, strlen(star) + 1);
			*star = '*';
		}
		if (chance(20) == 0)
			strcpy(word, "*");
	}
}

static void random_model(struct model *model)
{
	model->n_lines = 1 + chance(LINES_MAX);
	for (unsigned i = 0; i < model->n_lines; i++) {
		struct line *line = &model->lines[i];

		line->key = chance(3) ? DG_KEY_ACCESS + chance(_DG_KEY_MAX - DG_KEY_ACCESS)
				      : chance(_DG_KEY_MAX);
		line->unwanted = chance(4) == 0;
		line->n_words = 1 + chance(WORDS_MAX);
		for (unsigned k = 0; k < line->n_words; k++)
			random_word(line->words[k], line->key);
	}
}

static void fail_on_error(void *userdata, const struct dg_text_error *error)
{
	print_error("%s\n%u:%u: %s\n", (const char *)userdata, error->line, error->column,
		    error->reason);
}

static void write_rule(const struct model *model, char text[1024])
{
	size_t n = (size_t)snprintf(text, 1024, "[Match]\n");

	for (unsigned i = 0; i < model->n_lines; i++) {
		const struct line *line = &model->lines[i];

		n += (size_t)sprintf(text + n, "%s=%s", dg_key_name(line->key),
				     line->unwanted ? "!" : "");
		for (unsigned k = 0; k < line->n_words; k++)
			n += (size_t)sprintf(text + n, chance(4) ? "%s " : "\"%s\"\t",
					     line->words[k]);
		n += (size_t)sprintf(text + n, "\n");
	}
	sprintf(text + n, "[Policy]\nAction=kill\n");
}

static void add_rule(struct dg_policy *policy, const struct model *model, unsigned i)
{
	char path[32], text[1024];
	struct dg_rule rule;

	snprintf(path, sizeof(path), "%03u.policy", i);
	write_rule(model, text);
	assert_int_equal(dg_rule_parse(path, text, strlen(text), fail_on_error, text, &rule), 0);
	assert_int_equal(dg_policy_add(policy, &rule), 0);
}

/* Values of the subject by key, and whether they are all. */
struct values {
	char items[4][32];
	unsigned n;
	bool complete;
};

struct world {
	struct values values[_DG_KEY_MAX];
	const char *strings[_DG_KEY_MAX][4];
	gid_t gids[4];
	struct dg_device_facts device;
	struct dg_process_facts process;
};

static void random_values(struct values *values, enum dg_key key, uint32_t n_max)
{
	values->complete = chance(8) != 0;
	values->n = chance(n_max + 1);
	for (unsigned i = 0; i < values->n; i++)
		if (key == DG_KEY_USER || key == DG_KEY_GROUP)
			snprintf(values->items[i], 16, "%u", chance(4));
		else
			random_text(values->items[i], key, chance(4) ? "ab/" : "ab]", 5);
}

static struct dg_strings strings_of(struct world *world, enum dg_key key)
{
	struct values *values = &world->values[key];

	for (unsigned i = 0; i < values->n; i++)
		world->strings[key][i] = values->items[i];
	return (struct dg_strings){world->strings[key], values->n, values->complete};
}

/* One text: unknown, none, or itself; and the values that this stands for. */
static const char *text_of(struct values *values)
{
	if (!values->complete) {
		values->n = 0;
		return NULL;
	}
	return values->n > 0 ? values->items[0] : "";
}

static void random_device(struct world *world)
{
	for (enum dg_key key = DG_KEY_DEVICE; key <= DG_KEY_MOUNT_POINT; key++)
		random_values(&world->values[key], key, 4);
	strcpy(world->values[DG_KEY_EVENT].items[0], "pre-remove");
	world->values[DG_KEY_EVENT].n = 1;
	world->values[DG_KEY_EVENT].complete = true;
	world->device = (struct dg_device_facts){
		.names = strings_of(world, DG_KEY_DEVICE),
		.drivers = strings_of(world, DG_KEY_DRIVER),
		.file_systems = strings_of(world, DG_KEY_FILE_SYSTEM),
		.mount_points = strings_of(world, DG_KEY_MOUNT_POINT),
	};
}

static void random_executable(struct world *world)
{
	struct values *values = &world->values[DG_KEY_EXECUTABLE];

	world->process.executable = text_of(values);
	if (values->n == 0 || chance(3) > 0)
		return;
	strcpy(values->items[1], values->items[0]);
	strcat(values->items[0], " (deleted)");
	values->n = 2;
}

static void random_units(struct world *world)
{
	struct values *values = &world->values[DG_KEY_UNIT];

	values->complete = true;
	values->n = 2;
	world->process.unit = values->items[0];
	world->process.user_unit = values->items[1];
	random_text(values->items[0], DG_KEY_UNIT, "ab/", 5);
	random_text(values->items[1], DG_KEY_UNIT, "ab/", 5);
	if (chance(2)) {
		values->n = 1;
		values->complete = chance(4) > 0;
		world->process.user_unit = values->complete ? "" : NULL;
	}
}

static void random_process(struct world *world)
{
	struct dg_process_facts *process = &world->process;
	struct values *uses = &world->values[DG_KEY_ACCESS], *ids;

	for (enum dg_key key = DG_KEY_EXECUTABLE; key < _DG_KEY_MAX; key++)
		random_values(&world->values[key], key, 1);
	*process = (struct dg_process_facts){.exempt = chance(20) ? DG_EXEMPT_NONE
								  : DG_EXEMPT_SERVICE};
	*uses = (struct values){.complete = true};
	for (unsigned use = 0; use < DG_USE_KERNEL; use++)
		if (chance(3) == 0 && uses->n < 4) {
			process->uses |= 1U << use;
			strcpy(uses->items[uses->n++], dg_use_name(use));
		}
	random_executable(world);
	random_units(world);
	process->command = text_of(&world->values[DG_KEY_COMMAND]);
	process->cgroup = text_of(&world->values[DG_KEY_CONTROL_GROUP]);
	process->container = text_of(&world->values[DG_KEY_CONTAINER]);
	ids = &world->values[DG_KEY_USER];
	ids->complete = process->has_uid = ids->n > 0;
	process->uid = (uid_t)(ids->n > 0 ? atoi(ids->items[0]) : 0);
	ids = &world->values[DG_KEY_GROUP];
	random_values(ids, DG_KEY_GROUP, 4);
	for (unsigned i = 0; i < ids->n; i++)
		world->gids[i] = (gid_t)atoi(ids->items[i]);
	process->gids = world->gids;
	process->n_gids = ids->n;
	process->gids_complete = ids->complete;
}

/* The manual page, in C. Names of users are "nobody0" to "nobody3", and nobody knows 3. */
static bool is_id(enum dg_key key)
{
	return key == DG_KEY_USER || key == DG_KEY_GROUP;
}

static bool is_unresolved(enum dg_key key, const char *word)
{
	return is_id(key) && strcmp(word, "nobody3") == 0;
}

static bool word_matches(const struct line *line, const char *word, const struct values *values)
{
	if (is_unresolved(line->key, word))
		return false;
	if (is_id(line->key) && strncmp(word, "nobody", 6) == 0)
		word += 6;
	for (unsigned i = 0; i < values->n; i++)
		if (fnmatch(word, values->items[i], FNM_NOESCAPE) == 0)
			return true;
	return false;
}

static bool key_holds(const struct model *model, enum dg_key key, const struct values *values)
{
	bool wants = false, found = false, excludes = false;

	for (unsigned i = 0; i < model->n_lines; i++) {
		const struct line *line = &model->lines[i];

		if (line->key != key)
			continue;
		for (unsigned k = 0; k < line->n_words; k++) {
			bool matches = word_matches(line, line->words[k], values);

			if (line->unwanted && (matches || is_unresolved(key, line->words[k])))
				return false;
			found = found || matches;
		}
		wants = wants || !line->unwanted;
		excludes = excludes || line->unwanted;
	}
	return (!wants || found) && (!excludes || values->complete);
}

static bool model_matches(const struct model *model, const struct world *world)
{
	if (world->process.exempt != DG_EXEMPT_NONE)
		return false;
	for (enum dg_key key = 0; key < _DG_KEY_MAX; key++)
		if (!key_holds(model, key, &world->values[key]))
			return false;
	return true;
}

static const char *first_by_the_book(const struct model *models, unsigned n,
				     const struct world *world, char name[32])
{
	for (unsigned i = 0; i < n; i++)
		if (model_matches(&models[i], world)) {
			snprintf(name, 32, "%03u.policy", i);
			return name;
		}
	if (world->process.exempt != DG_EXEMPT_NONE)
		return "built-in:protected";
	return world->process.uses & 1U << DG_USE_MAPPED ? "built-in:mapped" : "built-in:other";
}

static const char *first_in_turn(const struct dg_policy *policy, const struct world *world)
{
	const struct dg_rule *rule;
	struct dg_subject subject;
	struct dg_reason reason;

	dg_subject_init(&subject, &world->device, &world->process);
	for (size_t i = 0; (rule = dg_policy_rule_at(policy, i)); i++) {
		dg_rule_explain(rule, &subject, &reason);
		if (reason.verdict == DG_VERDICT_MATCHED)
			return rule->name;
	}
	fail_msg("no rule at all");
	return NULL;
}

static int lookup(void *userdata, enum dg_key key, const char *name, uint32_t *ret_id)
{
	assert_true(is_id(key));
	assert_int_equal(strncmp(name, "nobody", 6), 0);
	if (name[6] == '3')
		return -ENOENT;
	*ret_id = (uint32_t)(name[6] - '0');
	return 0;
}

static unsigned n_by_file, n_matches, n_parts[_DG_PART_MAX], n_uses;

/* By what the rules are found. */
static void count_ways(const struct dg_selection *selection)
{
	for (enum dg_key key = 0; key < _DG_KEY_MAX; key++)
		for (enum dg_part part = 0; part < _DG_PART_MAX; part++)
			n_parts[part] += selection->lengths[key][part] != 0;
	n_uses += (selection->uses & ~1U) != 0;
}

static void try_one_device(const struct dg_policy *policy, const struct model *models, unsigned n)
{
	struct dg_selection selection;
	struct world world = {};
	char name[32];

	random_device(&world);
	assert_int_equal(dg_selection_init(policy, &world.device, &selection), 0);
	count_ways(&selection);
	for (unsigned i = 0; i < PROCESSES; i++) {
		const char *wanted;

		random_process(&world);
		wanted = first_by_the_book(models, n, &world, name);
		assert_string_equal(dg_selection_match(&selection, &world.process)->name, wanted);
		assert_string_equal(first_in_turn(policy, &world), wanted);
		n_by_file += wanted == name;
		n_matches++;
	}
	dg_selection_done(&selection);
}

static void random_rules_and_processes(void **state)
{
	static struct model models[RULES_MAX];

	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < POLICIES; i++) {
		struct dg_policy *policy = dg_policy_new();
		unsigned n = chance(RULES_MAX + 1);

		for (unsigned k = 0; k < n; k++) {
			random_model(&models[k]);
			add_rule(policy, &models[k], k);
		}
		dg_policy_resolve(policy, lookup, NULL);
		for (unsigned k = 0; k < 3; k++)
			try_one_device(policy, models, n);
		dg_policy_unref(policy);
	}
	print_message("%u matches, %u of a file\n", n_matches, n_by_file);
	/* A property of nothing would hold as well. */
	assert_in_range(n_by_file, n_matches / 5, n_matches - n_matches / 10);
	for (enum dg_part part = 0; part < _DG_PART_MAX; part++)
		assert_true(n_parts[part] > POLICIES);
	assert_true(n_uses > POLICIES);
}

/* One pattern, with brackets of all kinds, against the like of what it has in it. */
static void random_patterns(void **state)
{
	static const char *const parts[] = {"*",    "?",    "a",    "b",           "]",
					    "[ab]", "[!a]", "[]a]", "[[:alpha:]]", "[a[]"};
	unsigned n_hits = 0;

	for (unsigned i = 0; i < PATTERNS; i++) {
		struct model model = {.lines = {{.key = DG_KEY_COMMAND, .n_words = 1}},
				      .n_lines = 1};
		struct dg_policy *policy = dg_policy_new();
		char *word = model.lines[0].words[0];
		struct dg_selection selection;

		for (unsigned n = 1 + chance(PATTERN_PARTS); n > 0; n--)
			strcat(word, parts[chance(sizeof(parts) / sizeof(*parts))]);
		add_rule(policy, &model, 0);
		assert_int_equal(dg_selection_init(policy, NULL, &selection), 0);
		for (unsigned k = 0; k < PROCESSES; k++) {
			char command[16] = "";
			struct dg_process_facts process = {.command = command};
			bool hit;

			for (unsigned n = 1 + chance(PATTERN_PARTS); n > 0; n--)
				command[n - 1] = "ab]:["[chance(5)];
			hit = fnmatch(word, command, FNM_NOESCAPE) == 0;
			n_hits += hit;
			assert_int_equal(dg_selection_match(&selection, &process)->path != NULL,
					 hit);
		}
		dg_selection_done(&selection);
		dg_policy_unref(policy);
	}
	assert_in_range(n_hits, PATTERNS, PATTERNS * PROCESSES / 2);
}

static int count_name(void *userdata, const struct dg_rule *rule, enum dg_key key,
		      const struct dg_pattern *pattern)
{
	unsigned *n = userdata;

	n[pattern->kind == DG_PATTERN_NAME]++;
	return 0;
}

static void names_are_resolved_again(void **state)
{
	static const char text[] = "[Match]\nUser=nobody1 nobody3 7\nGroup=!nobody2\n"
				   "[Policy]\nAction=kill\n";
	struct dg_policy *policy = dg_policy_new();
	unsigned n[2] = {};
	struct dg_rule rule;

	assert_int_equal(dg_rule_parse("a.policy", text, strlen(text), fail_on_error, NULL, &rule),
			 0);
	assert_int_equal(dg_policy_add(policy, &rule), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dg_policy_resolve(policy, lookup, NULL), 1);
		n[0] = n[1] = 0;
		assert_int_equal(dg_policy_foreach_name(policy, count_name, n), 0);
		assert_int_equal(n[false], 2);
		assert_int_equal(n[true], 1);
	}
	dg_policy_unref(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_rules_and_processes),
		cmocka_unit_test(random_patterns),
		cmocka_unit_test(names_are_resolved_again),
	};
	const char *wanted = getenv("DAXGUARD_SEED");

	seed = wanted && strcmp(wanted, "random") == 0 ? (uint64_t)time(NULL)
	       : wanted                                ? strtoull(wanted, NULL, 10)
						       : 1;
	chance_state = seed * 0x9e3779b97f4a7c15 | 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
