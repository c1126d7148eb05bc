/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration and the rules, read again: all of it takes effect, or none.
 *
 * Files are read at once, names of users and groups are looked up by a step;
 * only then what was in force is replaced. Who asks meanwhile has it all begin
 * anew, and everybody gets that answer. A hold ends it: who waits is told so,
 * and what nobody waits for is done when nothing is held any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "io/notify.h"
#include "manager-internal.h"
#include "names.h"

struct manager_reload {
	struct manager *m;
	struct manager_reload *next;
	manager_reload_func func;
	void *userdata;
};

/*
 * systemd before 253 knows no time here, and does without; the others want it.
 * As it has it, a daemon that says so unasked is reloading, too.
 */
static void tell_begin(struct manager *m)
{
	char text[64];

	if (!m->reload.asked || m->reload.told)
		return;
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager_now(m));
	(void)!notify_send(text);
	m->reload.told = true;
}

static void tell_end(struct manager *m)
{
	if (m->reload.told)
		(void)!notify_send("READY=1");
	m->reload.told = false;
}

static void discard(struct manager *m)
{
	m->reload.names = names_free(m->reload.names);
	policy_files_done(&m->reload.files);
	config_done(&m->reload.config);
}

struct manager_reload *manager_reload_cancel(struct manager_reload *reload)
{
	struct manager_reload **at;

	if (!reload)
		return NULL;
	for (at = &reload->m->reload.waiting; *at != reload; at = &(*at)->next)
		;
	*at = reload->next;
	free(reload);
	return NULL;
}

/* Those who have asked until now; who asks again at once waits for the next. */
static void answer_all(struct manager *m, int error, const char *const *errors)
{
	struct manager_reload *waiting = m->reload.waiting, *next;

	m->reload.waiting = NULL;
	for (; waiting; waiting = next) {
		next = waiting->next;
		waiting->func(waiting->userdata, error, errors);
		free(waiting);
	}
}

static void end(struct manager *m, int error, const char *const *errors)
{
	m->reload.wanted = m->reload.asked = false;
	discard(m);
	tell_end(m);
	OBSERVE(m, status_changed);
	answer_all(m, error, errors);
}

/* What was in force stays so, and what is wrong is told to everybody. */
static void refuse(struct manager *m)
{
	static const char *const none[] = {NULL};
	struct config *config = &m->reload.config;
	struct lines errors = {};
	int r = 0;

	if (config->errors[0])
		r = lines_add(&errors, "%s", config->errors[0]);
	if (r >= 0)
		r = policy_error_lines(&m->reload.files, &errors);
	if (r < 0) {
		lines_done(&errors);
		end(m, r, none);
		return;
	}
	for (size_t i = 0; i < errors.n; i++)
		log_message(m, LOG_ERR, DG_MESSAGE_CONFIG, "%s", errors.items[i]);
	log_message(m, LOG_ERR, DG_MESSAGE_CONFIG,
		    "Nothing was reloaded; what was in force stays so");
	lines_done(&m->refused);
	m->refused = errors;
	end(m, -EINVAL, (const char *const *)errors.items);
}

static void apply(struct manager *m)
{
	static const char *const none[] = {NULL};
	int r;

	r = policy_take(m, &m->reload.files, m->reload.names);
	if (r < 0) {
		end(m, r, none);
		return;
	}
	lines_done(&m->refused);
	config_done(&m->config);
	m->config = m->reload.config;
	m->reload.config = (struct config){};
	if (m->reload.asked)
		log_message(m, LOG_NOTICE, NULL, "Reloaded: %zu rules of files are in force",
			    m->policy->n_rules + m->policy->n_device_rules);
	end(m, 0, none);
}

static void on_names(void *userdata)
{
	apply(userdata);
}

static int read_all(struct manager *m)
{
	int r;

	r = config_load(m->paths->config, &m->reload.config);
	if (r >= 0)
		r = policy_files_load(m->paths->policy_dirs, &m->reload.files);
	return r;
}

static int on_reload(sd_event_source *source, void *userdata)
{
	static const char *const none[] = {NULL};
	struct manager *m = userdata;
	int r;

	if (manager_is_holding(m))
		return 0;
	discard(m);
	tell_begin(m);
	r = read_all(m);
	if (r >= 0 && (m->reload.config.errors[0] || m->reload.files.n_errors > 0)) {
		refuse(m);
		return 0;
	}
	if (r >= 0)
		r = names_start(m, m->reload.files.policy, on_names, m, &m->reload.names);
	if (r < 0)
		end(m, r, none);
	else if (!m->reload.names)
		apply(m);
	return 0;
}

/* What is under way was read before: its answer is none for who asks now. */
static void begin(struct manager *m)
{
	discard(m);
	sd_event_source_set_enabled(m->reload.source, SD_EVENT_ONESHOT);
}

int manager_reload(struct manager *m, manager_reload_func func, void *userdata,
		   struct manager_reload **ret)
{
	struct manager_reload *reload, **at = &m->reload.waiting;

	/* Files may lie on what is held, and so may what knows the users. */
	if (manager_is_holding(m))
		return -EBUSY;
	reload = calloc(1, sizeof(*reload));
	if (!reload)
		return -ENOMEM;
	*reload = (struct manager_reload){.m = m, .func = func, .userdata = userdata};
	while (*at)
		at = &(*at)->next;
	*at = reload;
	m->reload.asked = true;
	begin(m);
	*ret = reload;
	return 0;
}

void manager_reload_soon(struct manager *m)
{
	m->reload.wanted = m->reload.asked = true;
	if (manager_is_holding(m))
		log_message(m, LOG_NOTICE, NULL, "Reloading when nothing is held any more");
	else
		begin(m);
}

int reload_start(struct manager *m)
{
	int r = sd_event_add_defer(m->event, &m->reload.source, on_reload, m);

	return r < 0 ? r : sd_event_source_set_enabled(m->reload.source, SD_EVENT_OFF);
}

void reload_holds_changed(struct manager *m, bool holding)
{
	static const char *const none[] = {NULL};

	if (!m->reload.source)
		return;
	if (!holding) {
		if (m->reload.wanted)
			begin(m);
		return;
	}
	sd_event_source_set_enabled(m->reload.source, SD_EVENT_OFF);
	discard(m);
	tell_end(m);
	m->reload.asked = m->reload.asked && m->reload.wanted;
	answer_all(m, -EBUSY, none);
}

void reload_done(struct manager *m)
{
	discard(m);
	while (m->reload.waiting) {
		struct manager_reload *next = m->reload.waiting->next;

		free(m->reload.waiting);
		m->reload.waiting = next;
	}
	m->reload.source = sd_event_source_disable_unref(m->reload.source);
}
