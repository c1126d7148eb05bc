/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands behind the keys of [Policy] and [Device]. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/nearest.h"
#include "core/rule-private.h"

#define USEC_PER_MSEC 1000ULL

static const struct {
	const char *name;
	int signo;
} signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},
	{"TRAP", SIGTRAP}, {"ABRT", SIGABRT},     {"BUS", SIGBUS},   {"FPE", SIGFPE},
	{"KILL", SIGKILL}, {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
	{"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT},
	{"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},
	{"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
	{"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
	{"IO", SIGIO},     {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

const char *rule_meant(const char *nearest, char buffer[static RULE_MEANT_MAX])
{
	buffer[0] = '\0';
	if (nearest)
		snprintf(buffer, RULE_MEANT_MAX, "; did you mean \"%s\"?", nearest);
	return buffer;
}

int rule_choose(struct rule_parser *p, const char *at, struct dg_piece word, const char *what,
		const char *(*name)(unsigned), unsigned n, unsigned *ret)
{
	char shown[DG_SHOWN_MAX], meant[RULE_MEANT_MAX];
	struct dg_nearest search = {.word = word};

	for (unsigned i = 0; i < n; i++) {
		if (dg_piece_equals(word, name(i))) {
			*ret = i;
			return 0;
		}
		dg_nearest_try(&search, name(i));
	}
	return dg_ini_error(&p->ini, at, &p->error, "%s \"%s\" is not known%s", what,
			    dg_piece_shown(word, shown), rule_meant(search.nearest, meant));
}

/* A time within bounds, all in milliseconds. */
static int read_time(struct rule_parser *p, const char *what, struct dg_piece value, uint32_t low,
		     uint32_t high, uint32_t *ret_ms)
{
	const char *at = value.text, *why;
	uint64_t us = 0;

	why = dg_piece_time(value, &us, &at);
	if (why)
		return dg_ini_error(&p->ini, at, &p->error, "%s", why);
	if (us < low * USEC_PER_MSEC || us > high * USEC_PER_MSEC)
		return dg_ini_error(&p->ini, value.text, &p->error, "%s must be from %u to %u ms",
				    what, low, high);
	*ret_ms = (uint32_t)(us / USEC_PER_MSEC);
	return 0;
}

static const char *action_name(unsigned i)
{
	return dg_action_name((enum dg_action)i);
}

/* "term@5s". A place in the word is one in the line, but for quotes. */
static int read_rung(struct rule_parser *p, const struct dg_word *word, struct dg_rung *ret)
{
	size_t n_name = strcspn(word->text, "@");
	struct dg_piece name = {word->text, n_name};
	struct dg_piece grace = dg_piece_skip((struct dg_piece){word->text, word->n}, n_name);
	unsigned action = DG_ACTION_LEAVE;
	int r;

	r = rule_choose(p, word->at, name, "the action", action_name, _DG_ACTION_MAX, &action);
	if (r < 0)
		return r;
	ret->action = (enum dg_action)action;
	ret->grace_ms = dg_action_grace_ms(ret->action);
	if (grace.n == 0)
		return 0;
	p->timed = true;
	if (ret->action == DG_ACTION_LEAVE)
		return dg_ini_error(&p->ini, word->at + n_name, &p->error, "leave takes no time");
	r = read_time(p, "a grace", dg_piece_skip(grace, 1), 0, DG_RULE_GRACE_MAX_MS,
		      &ret->grace_ms);
	if (r < 0)
		p->error.column = (unsigned)(word->at + n_name + 1 - p->ini.line_start) + 1;
	return r;
}

/* Who has been dumped is gone, and whom CRIU cannot dump it cannot dump later. */
static bool is_second_checkpoint(const struct dg_rung *ladder, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (ladder[i].action == DG_ACTION_CHECKPOINT &&
		    ladder[n - 1].action == DG_ACTION_CHECKPOINT)
			return true;
	return false;
}

int rule_read_action(struct rule_parser *p, struct dg_piece value)
{
	struct dg_rung ladder[DG_LADDER_MAX] = {};
	struct dg_word word;
	size_t n = 0;
	int r;

	p->timed = false;
	while ((r = dg_ini_word(&p->ini, &value, &word, &p->error)) > 0) {
		enum dg_action last = n > 0 ? ladder[n - 1].action : _DG_ACTION_MAX;

		if (last == DG_ACTION_LEAVE || last == DG_ACTION_KILL)
			return dg_ini_error(&p->ini, word.at, &p->error, "nothing comes after %s",
					    dg_action_name(last));
		if (n >= DG_LADDER_MAX)
			return dg_ini_error(&p->ini, word.at, &p->error,
					    "a ladder has at most %d rungs", DG_LADDER_MAX);
		r = read_rung(p, &word, &ladder[n++]);
		if (r < 0)
			return r;
		if (is_second_checkpoint(ladder, n))
			return dg_ini_error(&p->ini, word.at, &p->error,
					    "checkpoint can be there once");
	}
	if (r < 0)
		return r;
	memcpy(p->rule.ladder, ladder, n * sizeof(*ladder));
	p->rule.n_rungs = n;
	return 0;
}

static int signal_from_name(struct dg_piece name)
{
	struct dg_piece rest;
	uint64_t number = 0;

	if (dg_piece_number(name, &number, &rest) == 0)
		return rest.n == 0 && number <= (uint64_t)SIGRTMAX ? (int)number : 0;
	if (dg_piece_starts(name, "SIG"))
		name = dg_piece_skip(name, 3);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		if (dg_piece_equals(name, signals[i].name))
			return signals[i].signo;
	if (!dg_piece_starts(name, "RTMIN"))
		return 0;
	name = dg_piece_skip(name, strlen("RTMIN"));
	if (name.n == 0)
		return SIGRTMIN;
	if (name.text[0] != '+' || dg_piece_number(dg_piece_skip(name, 1), &number, &rest) < 0)
		return 0;
	return rest.n == 0 && number <= (uint64_t)(SIGRTMAX - SIGRTMIN) ? SIGRTMIN + (int)number
									: 0;
}

int rule_read_signal(struct rule_parser *p, struct dg_piece value)
{
	char shown[DG_SHOWN_MAX];
	int signo = value.n > 0 ? signal_from_name(value) : 0;

	if (value.n > 0 && signo == 0)
		return dg_ini_error(
			&p->ini, value.text, &p->error,
			"\"%s\" is no signal: a name as SIGUSR1 or SIGRTMIN+1, or a number",
			dg_piece_shown(value, shown));
	if (signo == SIGKILL || signo == SIGSTOP)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "nobody can catch this signal, so it tells nothing");
	p->rule.signo = signo;
	return 0;
}

/* n words of n_bytes, the blanks behind them included, are there already. */
static int add_exec_word(struct rule_parser *p, size_t n, size_t n_bytes,
			 const struct dg_word *word)
{
	if (n == 0 && word->text[0] != '/')
		return dg_ini_error(&p->ini, word->at, &p->error,
				    "the program needs its absolute path");
	if (n >= DG_RULE_EXEC_MAX)
		return dg_ini_error(&p->ini, word->at, &p->error, "more than %u words",
				    DG_RULE_EXEC_MAX);
	if (n_bytes + word->n > DG_RULE_EXEC_BYTES_MAX)
		return dg_ini_error(&p->ini, word->at, &p->error, "more than %u bytes",
				    DG_RULE_EXEC_BYTES_MAX);
	p->rule.exec[n] = strdup(word->text);
	return p->rule.exec[n] ? 0 : -ENOMEM;
}

int rule_read_exec(struct rule_parser *p, struct dg_piece value)
{
	size_t n = 0, n_bytes = 0;
	struct dg_word word;
	int r;

	rule_free_exec(p->rule.exec);
	p->rule.exec = NULL;
	if (value.n == 0)
		return 0;
	p->rule.exec = calloc(DG_RULE_EXEC_MAX + 1, sizeof(*p->rule.exec));
	if (!p->rule.exec)
		return -ENOMEM;
	while ((r = dg_ini_word(&p->ini, &value, &word, &p->error)) > 0) {
		r = add_exec_word(p, n++, n_bytes, &word);
		if (r < 0)
			return r;
		n_bytes += word.n + 1;
	}
	return r;
}

int rule_read_exec_timeout(struct rule_parser *p, struct dg_piece value)
{
	p->rule.exec_timeout_ms = DG_RULE_EXEC_TIMEOUT_MS;
	if (value.n == 0)
		return 0;
	return read_time(p, "ExecTimeoutSec=", value, DG_RULE_EXEC_TIMEOUT_MIN_MS,
			 DG_RULE_EXEC_TIMEOUT_MAX_MS, &p->rule.exec_timeout_ms);
}

static const char *scope_name(unsigned i)
{
	return dg_scope_name((enum dg_scope)i);
}

int rule_read_scope(struct rule_parser *p, struct dg_piece value)
{
	unsigned scope = DG_SCOPE_PROCESS;
	int r = 0;

	if (value.n > 0)
		r = rule_choose(p, value.text, value, "the scope", scope_name, _DG_SCOPE_MAX,
				&scope);
	p->rule.scope = (enum dg_scope)scope;
	return r;
}

static const char *on_busy_name(unsigned i)
{
	return dg_on_busy_name((enum dg_on_busy)i);
}

int rule_read_on_busy(struct rule_parser *p, struct dg_piece value)
{
	unsigned on_busy = DG_ON_BUSY_DETACH;
	int r = 0;

	if (value.n > 0)
		r = rule_choose(p, value.text, value, "the word", on_busy_name, _DG_ON_BUSY_MAX,
				&on_busy);
	p->device.on_busy = (enum dg_on_busy)on_busy;
	return r;
}

/* As systemd has it; empty is no. */
static int read_bool(struct rule_parser *p, struct dg_piece value, bool *ret)
{
	static const char *const words[] = {"no", "yes", "n",   "y",  "false", "true",
					    "f",  "t",   "off", "on", "0",     "1"};
	char shown[DG_SHOWN_MAX];

	*ret = false;
	if (value.n == 0)
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (dg_piece_equals(value, words[i])) {
			*ret = i % 2;
			return 0;
		}
	return dg_ini_error(&p->ini, value.text, &p->error, "\"%s\" is neither yes nor no",
			    dg_piece_shown(value, shown));
}

int rule_read_dry_run(struct rule_parser *p, struct dg_piece value)
{
	return read_bool(p, value, &p->rule.dry_run);
}

int rule_read_unmap_poison(struct rule_parser *p, struct dg_piece value)
{
	return read_bool(p, value, &p->device.unmap_poison);
}

int rule_read_restore_on_return(struct rule_parser *p, struct dg_piece value)
{
	return read_bool(p, value, &p->device.restore_on_return);
}

int rule_read_budget(struct rule_parser *p, struct dg_piece value)
{
	p->device.budget_ms = 0;
	if (value.n == 0)
		return 0;
	return read_time(p, "Budget=", value, DG_RULE_BUDGET_MIN_MS, DG_RULE_BUDGET_MAX_MS,
			 &p->device.budget_ms);
}
