/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a removal would come to, for a client: all that it would ask is asked, by
 * the same steps and in the same way, and worked through by core/forecast.c.
 *
 *	mounts -> protected -> scan -> who (of a process that uses nothing) -> looks
 *
 * When a hold begins, whoever asks is told so at once, and nothing is asked any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager-registrations.h"

#define STEP_US 5000000ULL
#define WHO_US 1000000ULL

/* For who asks while removals are not held; as in daxguard(4). */
#define HOLD_MSEC 20000U
#define CAP_MSEC 60000U

struct manager_forecast {
	struct manager *m;
	struct manager_forecast *next;
	struct manager_question question;
	manager_forecast_func func;
	void *userdata;
	const struct dg_policy *policy;
	struct dg_request request;
	struct looking looking;
	struct step *step;
	struct scan *scan;
	struct looks *looks;
	char *mounts_text; /* what the step printed, which the list refers to */
	struct dg_mount_list mounts;
	bool knows_mounts, knows_protected, holds;
	struct dg_usage_list rows;
	struct dg_fs_list fs;
	bool has_fs;
};

static void unlink_forecast(struct manager_forecast *f)
{
	struct manager_forecast **at = &f->m->forecasts;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
}

static void free_forecast(struct manager_forecast *f)
{
	if (f->step)
		step_cancel(f->step);
	scan_cancel(f->scan);
	looks_free(f->looks);
	looking_done(&f->looking);
	dg_mount_list_done(&f->mounts);
	free(f->mounts_text);
	dg_usage_list_done(&f->rows);
	dg_fs_list_done(&f->fs);
	dg_request_done(&f->request);
	dg_policy_unref(f->policy);
	free(f);
}

struct manager_forecast *manager_forecast_cancel(struct manager_forecast *f)
{
	if (!f)
		return NULL;
	unlink_forecast(f);
	free_forecast(f);
	return NULL;
}

static void answer(struct manager_forecast *f, int error, const struct manager_answer *what)
{
	unlink_forecast(f);
	f->func(f->userdata, error, what);
	free_forecast(f);
}

static struct manager_forecast *take_first(struct manager *m)
{
	struct manager_forecast *f = m->forecasts;

	if (f)
		m->forecasts = f->next;
	return f;
}

void forecasts_hold(struct manager *m)
{
	struct manager_forecast *f;

	while ((f = take_first(m))) {
		f->func(f->userdata, -EBUSY, NULL);
		free_forecast(f);
	}
}

void forecasts_done(struct manager *m)
{
	struct manager_forecast *f;

	while ((f = take_first(m)))
		free_forecast(f);
}

static bool has_block(const struct manager_forecast *f)
{
	return f->request.targets[0].mode != DG_MODE_DEVDAX;
}

static const struct dg_holder *find_process(const struct manager_forecast *f,
					    const struct dg_holder_list *holders)
{
	for (size_t i = 0; i < holders->n_items; i++)
		if (f->question.pid > 0 && holders->items[i].process.pid == f->question.pid)
			return &holders->items[i];
	return NULL;
}

static void tell(struct manager_forecast *f, const struct dg_holder_list *holders,
		 const struct dg_device_facts *facts)
{
	const struct dg_forecast_input input = {
		.request = &f->request,
		.policy = f->policy,
		.limits = {f->m->config.settings.reserve_us, f->m->config.settings.step_timeout_us},
		.device = facts,
		.mounts = f->knows_mounts ? &f->mounts : NULL,
		.holders = holders,
		.fs = f->has_fs ? &f->fs : NULL,
		.knows_protected = f->knows_protected,
		.no_criu = !policy_has_criu(f->m->paths->criu),
	};
	struct dg_forecast forecast = {};
	const struct manager_answer what = {
		.forecast = &forecast,
		.policy = f->policy,
		.facts = facts,
		.holders = holders,
		.mounts = input.mounts,
		.process = find_process(f, holders),
		.holds = f->holds,
		.held = f->m->registered,
		.truncated = holders->truncated || f->fs.truncated,
		.n_unknown = f->looking.n_unknown,
	};
	int r = dg_forecast(&input, &forecast);

	if (r >= 0)
		answer(f, 0, &what);
	else
		answer(f, r, NULL);
	dg_forecast_done(&forecast);
}

static int describe(struct manager_forecast *f, struct dg_description *d)
{
	size_t n_mounts = f->knows_mounts ? f->mounts.n_items : 0;
	bool known, complete = n_mounts < DG_STORY_PARTS_MAX;
	int r = rules_describe(f->m, &f->request, d, &known);

	for (size_t i = 0; i < n_mounts && i < DG_STORY_PARTS_MAX && r >= 0; i++)
		r = dg_description_add_mount(d, f->mounts.items[i].type, f->mounts.items[i].path,
					     f->mounts.items[i].host);
	dg_description_complete(d, known, (f->knows_mounts || !has_block(f)) && complete);
	return r;
}

static void conclude(struct manager_forecast *f, struct dg_holder_list *holders)
{
	struct dg_description description = {};
	int r = describe(f, &description);

	dg_look_attach(&f->looking.list, holders);
	if (r < 0)
		answer(f, r, NULL);
	else
		tell(f, holders, &description.facts);
	dg_description_done(&description);
}

static void on_looked(void *userdata, struct dg_holder_list *holders, const struct dg_fs_list *fs)
{
	struct manager_forecast *f = userdata;
	struct looks *looks = f->looks;

	f->looks = NULL;
	conclude(f, holders);
	looks_free(looks);
}

/* The rows are there, those of what is only imagined as well. */
static void look(struct manager_forecast *f)
{
	uint64_t deadline_us = manager_now(f->m) + f->request.deadline_ms * UINT64_C(1000);
	struct dg_holder_list holders = {};
	int r = manager_merge_holders(f->m, NULL, &f->rows, &holders);

	if (r < 0) {
		answer(f, r, NULL);
		return;
	}
	registrations_mark(f->m, &f->request, &holders);
	if (looks_start(&f->looking, deadline_us, &holders, NULL, on_looked, f, &f->looks) > 0)
		return;
	conclude(f, &holders);
	dg_holder_list_done(&holders);
}

/* Its uses are these from now on. who: one of its rows, or of none. */
static int imagine(struct manager_forecast *f, struct dg_usage who)
{
	uint32_t uses = f->question.uses ?: 1U << DG_USE_MAPPED;
	struct dg_usage *rows;
	size_t n = 0;

	rows = reallocarray(f->rows.items, f->rows.n_items + _DG_USE_MAX, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	f->rows.items = rows;
	for (size_t i = 0; i < f->rows.n_items; i++)
		if (rows[i].pid != f->question.pid)
			rows[n++] = rows[i];
	who.ino = who.addr = who.len = who.offset = 0;
	who.count = 1;
	for (who.use = 0; who.use < _DG_USE_MAX; who.use++)
		if (uses & (1U << who.use))
			rows[n++] = who;
	f->rows.n_items = n;
	return 0;
}

static void on_who(void *userdata, const struct step_outcome *outcome)
{
	struct manager_forecast *f = userdata;
	struct dg_usage_list who = {};
	int r = outcome->end == STEP_TIMEOUT ? -ETIME : -EIO;

	f->step = NULL;
	if (outcome->end == STEP_OK)
		r = procscan_read(outcome->output, outcome->n_output, &who);
	if (r >= 0)
		r = who.n_items > 0 ? imagine(f, who.items[0]) : -ESRCH;
	dg_usage_list_done(&who);
	if (r < 0)
		answer(f, r, NULL);
	else
		look(f);
}

/* All rows have come. */
static int find_who(struct manager_forecast *f)
{
	const char *argv[] = {"who", NULL, NULL};
	char pid[16];

	for (size_t i = 0; i < f->rows.n_items && !f->holds; i++) {
		if (f->question.pid <= 0 || f->rows.items[i].pid != f->question.pid)
			continue;
		f->holds = true;
		if (f->question.uses != 0)
			return imagine(f, f->rows.items[i]);
	}
	if (f->question.pid <= 0 || f->holds)
		return 0;
	snprintf(pid, sizeof(pid), "%d", f->question.pid);
	argv[1] = pid;
	return step_start(f->m->steps, argv, WHO_US, on_who, f, &f->step);
}

static void go_on(struct manager_forecast *f)
{
	int r = find_who(f);

	if (r < 0)
		answer(f, r, NULL);
	else if (!f->step)
		look(f);
}

static int copy_rows(struct manager_forecast *f, const struct dg_usage_list *rows,
		     const struct dg_fs_list *fs)
{
	f->rows.items = calloc(rows->n_items + 1, sizeof(*f->rows.items));
	f->fs.items = calloc(fs->n_items + 1, sizeof(*f->fs.items));
	if (!f->rows.items || !f->fs.items)
		return -ENOMEM;
	if (rows->n_items > 0)
		memcpy(f->rows.items, rows->items, rows->n_items * sizeof(*rows->items));
	if (fs->n_items > 0)
		memcpy(f->fs.items, fs->items, fs->n_items * sizeof(*fs->items));
	f->rows.n_items = rows->n_items;
	f->rows.truncated = rows->truncated;
	f->fs.n_items = fs->n_items;
	f->fs.truncated = fs->truncated;
	f->has_fs = true;
	return 0;
}

static void on_scan(void *userdata, int error, const struct dg_usage_list *rows,
		    const struct dg_fs_list *fs)
{
	struct manager_forecast *f = userdata;

	f->scan = NULL;
	if (error >= 0)
		error = copy_rows(f, rows, fs);
	if (error < 0)
		answer(f, error, NULL);
	else
		go_on(f);
}

static void on_procscan(void *userdata, const struct step_outcome *outcome)
{
	struct manager_forecast *f = userdata;
	int r = outcome->end == STEP_TIMEOUT ? -ETIME : -EIO;

	f->step = NULL;
	if (outcome->end == STEP_OK)
		r = procscan_read(outcome->output, outcome->n_output, &f->rows);
	if (r < 0)
		answer(f, r, NULL);
	else
		go_on(f);
}

static void scan(struct manager_forecast *f)
{
	dg_dev_t dev = f->request.targets[0].dev;
	int r;

	if (klink_module_present(f->m->link))
		r = scan_start(f->m, &(struct scan_what){SCAN_DEVICE, .dev = dev}, STEP_US, on_scan,
			       f, &f->scan);
	else
		r = query_start_procscan(f->m, dev, STEP_US, on_procscan, f, &f->step);
	if (r < 0)
		answer(f, r, NULL);
}

static void on_protected(void *userdata, const struct step_outcome *outcome)
{
	struct manager_forecast *f = userdata;

	f->step = NULL;
	f->knows_protected = outcome->end == STEP_OK &&
			     devices_set_protected(f->m, outcome->output, outcome->n_output) >= 0;
	scan(f);
}

static int ask_protected(struct manager_forecast *f)
{
	static const char *const argv[] = {"protected", NULL};

	return step_start(f->m->steps, argv, STEP_US, on_protected, f, &f->step);
}

static int keep_mounts(struct manager_forecast *f, const struct step_outcome *outcome)
{
	int r;

	f->mounts_text = malloc(outcome->n_output + 1);
	if (!f->mounts_text)
		return -ENOMEM;
	memcpy(f->mounts_text, outcome->output, outcome->n_output);
	f->mounts_text[outcome->n_output] = '\0';
	r = dg_mount_list_read(f->mounts_text, outcome->n_output, &f->mounts);
	f->knows_mounts = r >= 0;
	return r == -ENOMEM ? r : 0;
}

static void on_mounts(void *userdata, const struct step_outcome *outcome)
{
	struct manager_forecast *f = userdata;
	int r = 0;

	f->step = NULL;
	/* A removal would not know them either. */
	if (outcome->end == STEP_OK)
		r = keep_mounts(f, outcome);
	if (r >= 0)
		r = ask_protected(f);
	if (r < 0)
		answer(f, r, NULL);
}

static int ask_mounts(struct manager_forecast *f)
{
	const char **argv;
	int r;

	if (!has_block(f))
		return ask_protected(f);
	argv = block_devices(&f->request, "mounts");
	if (!argv)
		return -ENOMEM;
	r = step_start(f->m->steps, argv, STEP_US, on_mounts, f, &f->step);
	free(argv);
	return r;
}

/* It, or what is built on it. */
static const struct manager_device *find_device(const struct manager *m, dg_dev_t dev)
{
	for (size_t i = 0; i < m->n_devices; i++) {
		const struct manager_device *device = &m->devices[i];

		if (device->dev == dev)
			return device;
		for (size_t k = 0; k < device->n_layers; k++)
			if (device->layers[k].dev == dev)
				return device;
	}
	return NULL;
}

/* As the kernel would announce it; of a device that was not seen at rest, without its names. */
static int make_kernel_request(struct manager_forecast *f)
{
	const struct manager_device *device = find_device(f->m, f->question.dev);
	struct dg_target target = {.dev = f->question.dev, .in_use = true};
	struct dg_request request = {
		.state = DG_KSTATE_ANNOUNCED,
		.deadline_ms = f->m->registered ? f->m->info.hold_ms : HOLD_MSEC,
		.cap_ms = f->m->registered ? f->m->info.cap_ms : CAP_MSEC,
		.targets = &target,
		.n_targets = 1,
	};

	if (!device && !klink_module_present(f->m->link))
		return -ENODEV;
	if (device) {
		memcpy(target.name, device->name, sizeof(target.name));
		memcpy(target.ns_device, device->ns_device, sizeof(target.ns_device));
		memcpy(request.device, device->ns_device, sizeof(request.device));
		memcpy(request.bus, device->bus, sizeof(request.bus));
		memcpy(request.driver, device->driver, sizeof(request.driver));
		target.dev = device->dev;
		target.mode = device->mode;
		target.layers = device->layers;
		target.n_layers = device->n_layers;
	}
	return dg_request_copy(&request, &f->request);
}

static int make_request(struct manager_forecast *f)
{
	const struct manager_device *device = find_device(f->m, f->question.dev);
	struct dg_target target;
	struct dg_request request;

	if (!f->question.by_user)
		return make_kernel_request(f);
	if (!device)
		return -ENODEV;
	removal_request(device, f->question.forced, &target, &request);
	return dg_request_copy(&request, &f->request);
}

int manager_forecast(struct manager *m, const struct manager_question *question,
		     manager_forecast_func func, void *userdata, struct manager_forecast **ret)
{
	struct manager_forecast *f;
	int r;

	if (manager_is_holding(m))
		return -EBUSY;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->m = m;
	f->next = m->forecasts;
	m->forecasts = f;
	f->question = *question;
	f->func = func;
	f->userdata = userdata;
	f->policy = dg_policy_ref(m->policy);
	f->looking.m = m;
	f->looking.wanted = dg_policy_asks_for_looks(f->policy);
	r = make_request(f);
	if (r >= 0)
		r = ask_mounts(f);
	if (r < 0) {
		manager_forecast_cancel(f);
		return r;
	}
	*ret = f;
	return 0;
}
