/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fake-manager.h"
#include "names.h"

static struct dg_story_holder holder = {
	.process = {7, 1},
	.comm = "re\xff",
	.counts = {[DG_USE_MAPPED] = 1},
	.mapped_bytes = 4096,
	.rule = "1.policy",
	.how = "exited",
	.n_actions = 1,
	.actions = {{.action = DG_ACTION_TERM, .at_us = 1500, .outcome = "sent"}},
};
static char rule_path[] = "/etc/\xfe/1.policy";
static struct dg_story_rule rule = {.name = "1.policy", .path = rule_path, .line = 5};
static struct dg_story stories[] = {
	{.id = 3, .device = "pfn0.0", .state = DG_STATE_DONE, .outcome = "unmounted"},
	{.id = 4,
	 .device = "pfn1.0",
	 .state = DG_STATE_ACTING,
	 .began_us = 1000,
	 .rules = &rule,
	 .n_rules = 1,
	 .holders = &holder,
	 .n_holders = 1},
};
#define N_STORIES (sizeof(stories) / sizeof(stories[0]))

static char mount_path[] = "/mnt/\xfe";
static struct manager_mount mount = {.path = mount_path, .type = "ext4", .dev = DG_DEV(259, 0)};
static const struct manager_device device = {.name = "pmem0",
					     .ns_device = "pfn0.0",
					     .ns_name = "namespace0.0",
					     .uuid = "ABCD-EF",
					     .dev = DG_DEV(259, 0),
					     .mode = DG_MODE_FSDAX,
					     .size = 1 << 20,
					     .numa = -1,
					     .mounts = &mount,
					     .n_mounts = 1};

int manager_register(struct manager *m, const struct manager_device *d,
		     const struct manager_applicant *who, int *ret_fd, uint64_t *ret_id)
{
	int fds[2];

	if (strcmp(who->name, "many") == 0)
		return -EDQUOT;
	if (who->pid != getppid() || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0)
		return -ESRCH;
	assert_int_equal(send(fds[0], who->name, strlen(who->name), 0), strlen(who->name));
	close(fds[0]);
	*ret_fd = fds[1];
	*ret_id = 5;
	return 0;
}

bool manager_registration_at(struct manager *m, size_t n, struct manager_registration *ret)
{
	static const struct dg_registration registration = {.id = 5,
							    .process = {7, 1},
							    .uid = 1000,
							    .since_us = 2,
							    .device = "pmem0",
							    .name = "db"};

	*ret = (struct manager_registration){
		.what = &registration, .kept = true, .incident = 4, .state = "told"};
	return n == 0;
}

struct manager_reload {
	manager_reload_func func;
	void *userdata;
	sd_event_source *source;
};

int manager_may_remove(struct manager *m, const struct manager_device *d, bool force)
{
	return force ? -EBUSY : 0;
}

int manager_remove(struct manager *m, const struct manager_device *d, bool force, uint64_t *ret_id)
{
	int r = manager_may_remove(m, d, force);

	if (r < 0)
		return r;
	*ret_id = 1000000001;
	return 0;
}

struct manager_reload *manager_reload_cancel(struct manager_reload *reload)
{
	sd_event_source_disable_unref(reload->source);
	free(reload);
	return NULL;
}

static int refuse(sd_event_source *source, void *userdata)
{
	static const char *const errors[] = {"/etc/x:1:2: \xff", "/etc/y: no", NULL};
	struct manager_reload *reload = userdata;

	reload->func(reload->userdata, -EINVAL, errors);
	manager_reload_cancel(reload);
	return 0;
}

int manager_reload(struct manager *m, manager_reload_func func, void *userdata,
		   struct manager_reload **ret)
{
	struct manager_reload *reload = calloc(1, sizeof(*reload));

	*reload = (struct manager_reload){.func = func, .userdata = userdata};
	*ret = reload;
	return sd_event_add_defer(m->event, &reload->source, refuse, reload);
}

const struct dg_policy *manager_policy(const struct manager *m)
{
	return dg_policy_builtin();
}

bool manager_is_holding(const struct manager *m)
{
	return false;
}

sd_event *manager_event(struct manager *m)
{
	return m->event;
}

const struct manager_paths *manager_paths(const struct manager *m)
{
	return &m->paths;
}

void manager_log(struct manager *m, int priority, const char *format, ...)
{
}

void manager_get_status(struct manager *m, struct manager_status *ret)
{
	static const char *const errors[] = {"/etc/x:1:2: no", NULL};

	*ret = (struct manager_status){.why_not = "no module",
				       .module_version = "",
				       .n_kept = N_STORIES,
				       .config_builtin = true,
				       .config_errors = errors,
				       .ledger_error = ""};
}

const struct manager_protected *manager_protected(struct manager *m, size_t *ret_n)
{
	static const struct manager_protected init = {{1, 0}, DG_EXEMPT_INIT, "systemd"};

	*ret_n = 1;
	return &init;
}

void manager_foreach_pinned(struct manager *m, manager_pinned_func func, void *userdata)
{
	struct manager_pinned pinned = {
		.incident = 4, .device = "pmem0", .pid = 7, .comm = "a\xff", .path = ""};

	func(userdata, &pinned);
}

const struct manager_device *manager_devices(struct manager *m, size_t *ret_n)
{
	*ret_n = 1;
	return &device;
}

uint64_t manager_device_incident(struct manager *m, const struct manager_device *d)
{
	return 4;
}

const struct dg_story *manager_incident_at(struct manager *m, size_t n)
{
	return n < N_STORIES ? &stories[n] : NULL;
}

const struct dg_story *manager_incident_find(struct manager *m, uint64_t id)
{
	for (size_t i = 0; i < N_STORIES; i++)
		if (stories[i].id == id)
			return &stories[i];
	return NULL;
}

/* pmem0 has a bad range in a file, what was there before it a repaired one. */
const struct dg_ledger *manager_ledger(struct manager *m, uint64_t *ret_written)
{
	static const struct dg_failure bad =
					       {
						       .ns = "abcd-ef",
						       .offset = 1 << 20,
						       .length = 4096,
						       .sources = DG_SOURCE_MEMORY_FAILURE,
						       .type = "dax page",
						       .result = "Recovered",
						       .content = DG_CONTENT_FILE,
						       .path = "/mnt/\xfe",
						       .fs_dev = DG_DEV(259, 0),
						       .ino = 12,
						       .file_offset = 8192,
						       .first_ns = 2000,
						       .last_ns = 3000,
						       .times = 2,
						       .told = 1,
						       .seq = 9,
					       },
				       was = {.ns = "pmem7",
					      .length = 512,
					      .sources = DG_SOURCE_BADBLOCKS,
					      .repaired = true,
					      .repaired_ns = 4000};

	*ret_written = 8;
	if (!m->ledger) {
		m->ledger = dg_ledger_new(0, 0);
		assert_int_equal(dg_ledger_restore(m->ledger, &bad), 0);
		assert_int_equal(dg_ledger_restore(m->ledger, &was), 0);
	}
	return m->ledger;
}

void manager_observe(struct manager *m, const struct manager_observer *observer, void *userdata)
{
	m->observer = observer;
	m->userdata = userdata;
}

struct manager_query {
	struct manager *m;
	dg_dev_t dev;
	manager_holders_func func;
	void *userdata;
	sd_event_source *source;
};

/* 259:0 answers, 259:1 is no device, 259:2 never answers. A query is also news. */
static int answer(sd_event_source *source, void *userdata)
{
	struct manager_query *query = userdata;
	struct manager *m = query->m;
	struct dg_mapping mapping = {.addr = 4096, .len = 8192, .flags = DG_HOLDER_WRITE};
	struct dg_holder who = {.process = {7, 1},
				.comm = "redis",
				.counts = {[DG_USE_MAPPED] = 1},
				.mappings = &mapping,
				.n_mappings = 1};
	struct dg_holder_list list = {&who, 1, true};
	struct dg_fs fs = {.type = "xfs", .flags = DG_FS_LIVE | DG_FS_DAX};
	struct dg_fs_list fs_list = {&fs, 1, false};

	m->observer->incident_began(m->userdata, &stories[1]);
	m->observer->incident_changed(m->userdata, &stories[1], DG_STATE_SCANNING);
	m->observer->holder_acted(m->userdata, &stories[1], &holder, &holder.actions[0]);
	m->observer->incident_ended(m->userdata, &stories[0]);

	query->func(query->userdata, query->dev == DG_DEV(259, 0) ? 0 : -ENODEV, &list, &fs_list);
	sd_event_source_unref(query->source);
	free(query);
	return 0;
}

int manager_query_holders(struct manager *m, dg_dev_t dev, manager_holders_func func,
			  void *userdata, struct manager_query **ret)
{
	struct manager_query *query = calloc(1, sizeof(*query));

	assert_non_null(query);
	*query = (struct manager_query){m, dev, func, userdata, NULL};
	if (dev != DG_DEV(259, 2))
		assert_return_code(sd_event_add_defer(m->event, &query->source, answer, query), 0);
	*ret = query;
	return 0;
}

struct manager_query *manager_query_cancel(struct manager_query *query)
{
	if (query) {
		sd_event_source_disable_unref(query->source);
		free(query);
	}
	return NULL;
}

struct manager_forecast {
	struct manager_question question;
	manager_forecast_func func;
	void *userdata;
	sd_event_source *source;
};

/* 7 maps it, 8 has a file open there; 9 holds nothing, and there are no others. */
static void forecast(struct manager_forecast *f)
{
	static const char *const names[] = {"pmem0"}, *const points[] = {"/mnt/\xfe"};
	struct dg_holder who[] = {
		{.process = {7, 1}, .comm = "re\xff\x1b", .counts = {[DG_USE_MAPPED] = 1}},
		{.process = {8, 1}, .uid = 8, .comm = "b", .counts = {[DG_USE_OPEN] = 1}},
		{.process = {9, 1}, .uid = 9, .comm = "c"},
	};
	const struct dg_holder_list holders = {who, f->question.pid == 9 ? 3 : 2, false};
	struct dg_mount place = {.path = "/mnt/\xfe", .type = "xfs", .result = "", .host = true};
	struct dg_mount_list mounts = {.items = &place, .n_items = 1};
	struct dg_target target = {.name = "pmem0", .mode = DG_MODE_FSDAX};
	struct dg_request request = {.device = "pfn0.0",
				     .by_user = f->question.by_user,
				     .forced = f->question.forced,
				     .deadline_ms = f->question.by_user ? DG_REMOVE_MSEC : 20000,
				     .cap_ms = f->question.by_user ? DG_REMOVE_MSEC : 60000,
				     .targets = &target,
				     .n_targets = 1};
	struct dg_device_facts facts = {
		.names = {names, 1, true},
		.mount_points = {points, 1, true},
	};
	struct dg_forecast_input input = {.request = &request,
					  .policy = dg_policy_builtin(),
					  .limits = {5000000, 10000000},
					  .device = &facts,
					  .mounts = &mounts,
					  .holders = &holders,
					  .knows_protected = true};
	struct dg_forecast forecast;

	for (unsigned use = 0; use < DG_USE_KERNEL; use++)
		who[2].counts[use] = (f->question.uses ?: 1) >> use & 1;
	assert_int_equal(dg_forecast(&input, &forecast), 0);
	f->func(f->userdata, 0,
		&(struct manager_answer){
			.forecast = &forecast,
			.policy = input.policy,
			.facts = &facts,
			.holders = &holders,
			.mounts = &mounts,
			.process = f->question.pid > 0 ? &who[f->question.pid - 7] : NULL,
			.holds = f->question.pid != 9,
			.held = true,
		});
	dg_forecast_done(&forecast);
}

static int answer_forecast(sd_event_source *source, void *userdata)
{
	struct manager_forecast *f = userdata;

	if (f->question.dev != DG_DEV(259, 0))
		f->func(f->userdata, -ENODEV, NULL);
	else if (f->question.pid != 0 && (f->question.pid < 7 || f->question.pid > 9))
		f->func(f->userdata, -ESRCH, NULL);
	else
		forecast(f);
	manager_forecast_cancel(f);
	return 0;
}

int manager_forecast(struct manager *m, const struct manager_question *question,
		     manager_forecast_func func, void *userdata, struct manager_forecast **ret)
{
	struct manager_forecast *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	*f = (struct manager_forecast){.question = *question, .func = func, .userdata = userdata};
	if (question->dev != DG_DEV(259, 2))
		assert_return_code(sd_event_add_defer(m->event, &f->source, answer_forecast, f), 0);
	*ret = f;
	return 0;
}

struct manager_forecast *manager_forecast_cancel(struct manager_forecast *f)
{
	if (f) {
		sd_event_source_disable_unref(f->source);
		free(f);
	}
	return NULL;
}
