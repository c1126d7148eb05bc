/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs of an incident: started, and what they bring given to the core. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager-internal.h"
#include "names.h"

/* "259:4294967295" and its NUL. */
#define DEV_TEXT 24

/* The end of a job whose step has outlived its daemon. */
#define STUCK "stuck"

static void count_devices(const struct dg_request *request, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < request->n_targets; i++)
		if (request->targets[i].mode != DG_MODE_DEVDAX)
			*n += 1 + request->targets[i].n_layers;
}

static void put_device(const char **argv, size_t *n, char *text, dg_dev_t dev)
{
	char *to = text + *n * DEV_TEXT;

	snprintf(to, DEV_TEXT, "%" PRIu32 ":%" PRIu32, DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	argv[++*n] = to;
}

/* One block of memory: the pointers, then what they point to. */
const char **block_devices(const struct dg_request *request, const char *verb)
{
	const char **argv;
	size_t n_devices, n = 0;
	char *text;

	count_devices(request, &n_devices);
	argv = calloc(n_devices + 2, sizeof(*argv) + DEV_TEXT);
	if (!argv)
		return NULL;
	text = (char *)(argv + n_devices + 2);
	argv[0] = verb;
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct dg_target *target = &request->targets[i];

		if (target->mode == DG_MODE_DEVDAX)
			continue;
		put_device(argv, &n, text, target->dev);
		for (size_t k = 0; k < target->n_layers; k++)
			put_device(argv, &n, text, target->layers[k].dev);
	}
	return argv;
}

/* What loses its driver, and by what to tell that it is still that. */
static const char **unbind_words(const struct dg_request *request, const char *verb)
{
	const char **argv = calloc(5, sizeof(*argv) + DEV_TEXT);
	size_t n = 0;

	if (!argv)
		return NULL;
	put_device(argv, &n, (char *)(argv + 5), request->targets[0].dev);
	argv[0] = verb;
	argv[2] = request->targets[0].mode == DG_MODE_DEVDAX ? "char" : "block";
	argv[3] = request->device;
	return argv;
}

static void job_clear(struct job *job)
{
	job->active = false;
	job->step = NULL;
	job->scan = NULL;
	job->looks = NULL;
	job->token = 0;
	job->timer = sd_event_source_disable_unref(job->timer);
}

static void write_end(struct job *job, const char *end, int status, const char *error)
{
	struct entry entry;

	entry_begin(&entry, "job-end");
	entry_text(&entry, "name", dg_job_name(job->job));
	entry_text(&entry, "end", end);
	entry_number(&entry, "status", status > 0 ? (uint64_t)status : 0);
	entry_number(&entry, "took_us", manager_now(job->incident->m) - job->started_us);
	entry_text(&entry, "error", error);
	incident_write(job->incident, &entry);
}

static void end_job(struct job *job, enum dg_job_end end, int status, const char *error)
{
	struct incident *incident = job->incident;

	write_end(job, dg_job_end_name(end), status, error);
	job_clear(job);
	if (job->job == DG_JOB_MOUNTS && end == DG_JOB_OK)
		incident_choose_rules(incident);
	dg_incident_job_ended(&incident->core, job->job, end, manager_now(incident->m),
			      &incident->effects);
	incident_carry_out(incident);
}

static void write_kernel_uses(struct incident *incident, const struct dg_holder_list *holders)
{
	for (size_t i = 0; i < holders->n_items; i++)
		if (holders->items[i].process.pid <= 0)
			incident_write_text(incident, "kernel", "name", holders->items[i].comm);
}

/* Once. */
static void note_unknown(struct incident *incident)
{
	char text[128];

	if (incident->looking.n_unknown == 0 || incident->noted_looks)
		return;
	incident->noted_looks = true;
	snprintf(text, sizeof(text),
		 "%zu of the processes could not be looked at in time: rules that ask for "
		 "more than a scan says passed them over",
		 incident->looking.n_unknown);
	incident_write_text(incident, "note", "text", text);
}

static void take_holders(struct job *job, struct dg_holder_list *holders,
			 const struct dg_fs_list *fs)
{
	struct incident *incident = job->incident;

	note_unknown(incident);
	dg_look_attach(&incident->looking.list, holders);
	write_end(job, dg_job_end_name(DG_JOB_OK), 0, holders->truncated ? "truncated" : "");
	job_clear(job);
	dg_incident_scanned(&incident->core, job->job, holders, fs, manager_now(incident->m),
			    &incident->effects);
}

static void on_looked(void *userdata, struct dg_holder_list *holders, const struct dg_fs_list *fs)
{
	struct job *job = userdata;
	struct incident *incident = job->incident;
	struct looks *looks = job->looks;

	take_holders(job, holders, fs);
	looks_free(looks);
	incident_carry_out(incident);
}

/* Rows have come, from the module or from /proc. */
static void on_rows(struct job *job, const struct dg_usage_list *rows, const struct dg_fs_list *fs)
{
	struct incident *incident = job->incident;
	struct dg_holder_list holders;
	int r;

	r = manager_merge_holders(incident->m, &incident->core.request, rows, &holders);
	if (r < 0) {
		end_job(job, DG_JOB_FAILED, -r, strerror(-r));
		return;
	}
	if (incident->core.state == DG_STATE_SCANNING)
		write_kernel_uses(incident, &holders);
	/* What cannot be begun is not waited for. */
	if (looks_start(&incident->looking, incident->core.deadline_us, &holders, fs, on_looked,
			job, &job->looks) > 0)
		return;
	take_holders(job, &holders, fs);
	dg_holder_list_done(&holders);
	incident_carry_out(incident);
}

static void on_scan(void *userdata, int error, const struct dg_usage_list *rows,
		    const struct dg_fs_list *fs)
{
	struct job *job = userdata;

	job->scan = NULL;
	if (error < 0)
		end_job(job, error == -ETIME ? DG_JOB_TIMEOUT : DG_JOB_FAILED, -error,
			strerror(-error));
	else
		on_rows(job, rows, fs);
}

static void write_mount(struct incident *incident, const struct dg_mount *mount)
{
	struct entry entry;

	entry_begin(&entry, "mount");
	entry_text(&entry, "path", mount->path);
	entry_text(&entry, "type", mount->type);
	entry_dev(&entry, "dev", mount->dev);
	entry_number(&entry, "ns", mount->ns);
	entry_number(&entry, "host", mount->host);
	entry_number(&entry, "locked", mount->locked);
	entry_number(&entry, "pid", (uint64_t)mount->pid);
	entry_text(&entry, "result", mount->result);
	incident_write(incident, &entry);
}

static void write_kernel_user(struct incident *incident, const struct dg_kernel_user *user)
{
	struct entry entry;

	entry_begin(&entry, "kernel");
	entry_text(&entry, "name", user->kind);
	entry_text(&entry, "device", user->name);
	entry_text(&entry, "path", user->path);
	incident_write(incident, &entry);
}

/* A failed step's records count as well: they say what is in the way. */
static int read_mounts(struct job *job, const struct step_outcome *outcome)
{
	struct incident *incident = job->incident;
	struct dg_mount_list mounts;
	int r;

	r = dg_mount_list_read(outcome->output, outcome->n_output, &mounts);
	if (r < 0)
		return r;
	for (size_t i = 0; i < mounts.n_items; i++)
		write_mount(incident, &mounts.items[i]);
	for (size_t i = 0; i < mounts.n_system; i++)
		incident_write_text(incident, "system", "why", mounts.system[i]);
	for (size_t i = 0; i < mounts.n_kernel; i++)
		write_kernel_user(incident, &mounts.kernel[i]);
	/* What could not look has not found out that nothing is there. */
	if (job->job != DG_JOB_MOUNTS || outcome->end == STEP_OK)
		dg_incident_mounts(&incident->core, job->job, &mounts, &incident->effects);
	dg_mount_list_done(&mounts);
	return 0;
}

static int read_output(struct job *job, const struct step_outcome *outcome)
{
	switch (job->job) {
	case DG_JOB_MOUNTS:
	case DG_JOB_UNMOUNT:
	case DG_JOB_DETACH:
		return read_mounts(job, outcome);
	case DG_JOB_PROTECTED:
		if (outcome->end != STEP_OK)
			return 0;
		return devices_set_protected(job->incident->m, outcome->output, outcome->n_output);
	case DG_JOB_SYNC:
	case DG_JOB_CLAIM:
	case DG_JOB_SHUTDOWN:
	case DG_JOB_PROCSCAN:
	case DG_JOB_UNBIND:
	case DG_JOB_SCAN:
	case DG_JOB_KERNEL_SYNC:
	case DG_JOB_KERNEL_SHUTDOWN:
	case _DG_JOB_MAX:
		break;
	}
	return 0;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct job *job = userdata;
	enum dg_job_end end = DG_JOB_FAILED;
	struct dg_usage_list rows;
	int r;

	job->step = NULL;
	if (outcome->end == STEP_OK)
		end = DG_JOB_OK;
	else if (outcome->end == STEP_TIMEOUT)
		end = DG_JOB_TIMEOUT;
	/* A claim has nothing else to do than to last until it is not wanted any more. */
	if ((end == DG_JOB_TIMEOUT && job->job != DG_JOB_CLAIM) || outcome->end == STEP_SIGNALED)
		job->incident->m->n_lost_steps++;
	if (job->job == DG_JOB_PROCSCAN && end == DG_JOB_OK) {
		r = procscan_read(outcome->output, outcome->n_output, &rows);
		if (r >= 0) {
			on_rows(job, &rows, NULL);
			dg_usage_list_done(&rows);
			return;
		}
		end = DG_JOB_FAILED;
	}
	r = read_output(job, outcome);
	/* One that was killed may have left half a record: it is told by its own end. */
	if (r < 0 && end == DG_JOB_OK)
		end_job(job, DG_JOB_FAILED, -r, strerror(-r));
	else
		end_job(job, end, outcome->status, outcome->error);
}

static int on_module_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	end_job(userdata, DG_JOB_TIMEOUT, 0, "");
	return 0;
}

static void write_step(const struct job *job)
{
	struct entry entry;

	entry_begin(&entry, "step");
	entry_text(&entry, "name", dg_job_name(job->job));
	entry_process(&entry, (struct dg_process){step_pid(job->step), step_start_ns(job->step)});
	incident_write(job->incident, &entry);
}

static int start_step(struct job *job, uint64_t timeout_us)
{
	struct incident *incident = job->incident;
	const char **argv;
	int r;

	argv = job->job == DG_JOB_UNBIND
		       ? unbind_words(&incident->core.request, dg_job_name(job->job))
		       : block_devices(&incident->core.request, dg_job_name(job->job));
	if (!argv)
		return -ENOMEM;
	if (job->job == DG_JOB_PROTECTED)
		argv[1] = NULL;
	r = step_start(incident->m->steps, argv, timeout_us, on_step, job, &job->step);
	free(argv);
	if (r < 0)
		incident->m->n_lost_steps++;
	else
		write_step(job);
	return r;
}

static int start_module_work(struct job *job, uint64_t timeout_us)
{
	struct manager *m = job->incident->m;
	uint64_t id = job->incident->core.request.id;
	int r;

	r = sd_event_add_time_relative(m->event, &job->timer, CLOCK_MONOTONIC, timeout_us, 0,
				       on_module_timeout, job);
	if (r < 0)
		return r;
	if (job->job == DG_JOB_KERNEL_SYNC)
		return klink_sync(m->link, id, &job->token);
	return klink_shutdown(m->link, id, &job->token);
}

/* The module knows a hold by its id, and what it does not hold by its number. */
static int start_scan(struct job *job, uint64_t timeout_us)
{
	const struct dg_request *request = &job->incident->core.request;
	struct scan_what what = {SCAN_REQUEST, .id = request->id};

	if (request->by_user)
		what = (struct scan_what){SCAN_DEVICE, .dev = request->targets[0].dev};
	return scan_start(job->incident->m, &what, timeout_us, on_scan, job, &job->scan);
}

static int start(struct job *job, uint64_t timeout_us)
{
	switch (job->job) {
	case DG_JOB_SYNC:
	case DG_JOB_MOUNTS:
	case DG_JOB_PROTECTED:
	case DG_JOB_CLAIM:
	case DG_JOB_UNMOUNT:
	case DG_JOB_SHUTDOWN:
	case DG_JOB_DETACH:
	case DG_JOB_PROCSCAN:
	case DG_JOB_UNBIND:
		return start_step(job, timeout_us);
	case DG_JOB_SCAN:
		return start_scan(job, timeout_us);
	case DG_JOB_KERNEL_SYNC:
	case DG_JOB_KERNEL_SHUTDOWN:
		return start_module_work(job, timeout_us);
	case _DG_JOB_MAX:
		break;
	}
	return -EINVAL;
}

void incident_start_job(struct incident *incident, enum dg_job what, uint64_t timeout_us)
{
	struct job *job = &incident->jobs[what];
	struct entry entry;
	int r;

	*job = (struct job){.incident = incident, .job = what, .active = true};
	job->started_us = manager_now(incident->m);
	entry_begin(&entry, "job");
	entry_text(&entry, "name", dg_job_name(what));
	entry_number(&entry, "timeout_us", timeout_us);
	incident_write(incident, &entry);
	r = start(job, timeout_us);
	if (r < 0)
		end_job(job, DG_JOB_FAILED, -r, strerror(-r));
}

void incident_cancel_jobs(struct incident *incident)
{
	for (unsigned i = 0; i < _DG_JOB_MAX; i++) {
		struct job *job = &incident->jobs[i];

		if (!job->active)
			continue;
		if (job->step)
			step_cancel(job->step);
		scan_cancel(job->scan);
		looks_free(job->looks);
		write_end(job, "canceled", 0, "");
		job_clear(job);
	}
}

bool incident_completed(struct manager *m, uint32_t token, int error)
{
	for (size_t i = 0; i < m->n_open; i++)
		for (unsigned k = DG_JOB_KERNEL_SYNC; k < _DG_JOB_MAX; k++) {
			struct job *job = &m->open[i]->jobs[k];

			if (!job->active || job->token != token)
				continue;
			end_job(job, error ? DG_JOB_FAILED : DG_JOB_OK, error,
				error ? strerror(error) : "");
			return true;
		}
	return false;
}

/* Nobody hears of its end any more; what hangs in the kernel is no stranger to us. */
static const char *inherit(struct manager *m, const struct dg_story_job *job)
{
	if (job->process.pid <= 0)
		return "lost";
	m->n_lost_steps++;
	return step_adopt(m->steps, job->process.pid, job->process.start_ns) < 0 ? "lost" : STUCK;
}

void jobs_inherit(struct manager *m, struct store_record *record, struct dg_story *story)
{
	for (size_t i = 0; i < story->n_jobs; i++) {
		const struct dg_story_job *job = &story->jobs[i];
		struct entry entry;

		/* The daemon that adopted it first is dead as well, and has told its end. */
		if (job->over && strcmp(job->end, STUCK) == 0)
			(void)!step_adopt(m->steps, job->process.pid, job->process.start_ns);
		if (job->over)
			continue;
		entry_begin(&entry, "job-end");
		entry_text(&entry, "name", job->name);
		entry_text(&entry, "end", inherit(m, job));
		entry_number(&entry, "took_us", manager_now(m) - job->at_us);
		/* What cannot be written shows with the next entry. */
		(void)!entry_write(m, &entry, record, story);
	}
}
