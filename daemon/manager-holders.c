/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes: held by a pidfd whose start time was checked, so that nobody gets
 * a signal that was meant for an earlier one of his pid.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/procstat.h"
#include "manager-acts.h"
#include "manager-registrations.h"

/* Of one thread; takes no lock that a stuck process could keep. */
static int read_stat(struct manager *m, pid_t pid, pid_t tid, struct dg_procstat *ret)
{
	char path[64], text[1024];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/task/%d/stat", m->paths->proc, pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return dg_procstat_parse(text, ret) < 0 ? -EBADMSG : 0;
}

static int read_start(struct manager *m, pid_t pid, uint64_t *ret_start_ns)
{
	struct dg_procstat stat;
	int r;

	r = read_stat(m, pid, pid, &stat);
	if (r >= 0)
		*ret_start_ns = dg_procstat_start_ns(&stat, sysconf(_SC_CLK_TCK));
	return r;
}

int manager_read_process(struct manager *m, pid_t pid, struct dg_process *ret, pid_t *ret_parent)
{
	struct dg_procstat stat = {};
	int r;

	r = read_stat(m, pid, pid, &stat);
	if (r < 0)
		return r;
	*ret = (struct dg_process){pid, dg_procstat_start_ns(&stat, sysconf(_SC_CLK_TCK))};
	*ret_parent = stat.ppid;
	return 0;
}

bool manager_is_alive(struct manager *m, struct dg_process process)
{
	struct dg_procstat stat = {};

	return read_stat(m, process.pid, process.pid, &stat) >= 0 && !stat.exiting &&
	       dg_start_equal(dg_procstat_start_ns(&stat, sysconf(_SC_CLK_TCK)), process.start_ns);
}

void manager_read_comm(struct manager *m, pid_t pid, char ret[static DG_COMM_LEN])
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/comm", m->paths->proc, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret, DG_COMM_LEN - 1);
		close(fd);
	}
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

int manager_read_self(struct manager *m)
{
	m->self.pid = getpid();
	return read_start(m, m->self.pid, &m->self.start_ns);
}

static int on_pidfd(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct watch *watch = userdata;
	struct incident *incident = watch->incident;

	watch->exited = true;
	watch->source = sd_event_source_disable_unref(watch->source);
	dg_incident_exited(&incident->core, watch->process, manager_now(incident->m),
			   &incident->effects);
	incident_carry_out(incident);
	return 0;
}

static void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->source);
	if (watch->fd >= 0)
		close(watch->fd);
	free(watch);
}

/* The order matters: a pid that was checked before it was held proves nothing. */
int manager_open_process(struct manager *m, struct dg_process process)
{
	uint64_t start_ns;
	int fd, r;

	fd = (int)syscall(SYS_pidfd_open, process.pid, 0);
	if (fd < 0)
		return -errno;
	r = read_start(m, process.pid, &start_ns);
	if (r == -ENOENT || (r >= 0 && !dg_start_equal(start_ns, process.start_ns)))
		r = -ESRCH;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* 0: also if it is root who asks, whose processes may have become somebody else's. */
static int check_user(struct manager *m, pid_t pid, uid_t uid)
{
	char path[64], text[4096];
	unsigned real, effective;
	const char *line;
	ssize_t n;
	int fd;

	if (uid == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%d/status", m->paths->proc, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	line = strstr(text, "\nUid:");
	if (!line || sscanf(line, "\nUid: %u %u", &real, &effective) != 2)
		return -EBADMSG;
	return real == uid || effective == uid ? 0 : -EPERM;
}

/* As above, the other way round: what was read was its own if it is alive still. */
int manager_open_applicant(struct manager *m, pid_t pid, uid_t uid, struct dg_process *ret)
{
	struct pollfd pollfd = {.events = POLLIN};
	uint64_t start_ns;
	int r;

	pollfd.fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pollfd.fd < 0)
		return pid > 0 ? -errno : -ESRCH;
	r = read_start(m, pid, &start_ns);
	if (r >= 0)
		r = check_user(m, pid, uid);
	if (r == -ENOENT || (r >= 0 && poll(&pollfd, 1, 0) != 0))
		r = -ESRCH;
	if (r < 0) {
		close(pollfd.fd);
		return r;
	}
	*ret = (struct dg_process){pid, start_ns};
	return pollfd.fd;
}

static int watch_new(struct incident *incident, struct dg_process process, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r = 0;

	if (!watch)
		return -ENOMEM;
	watch->incident = incident;
	watch->process = process;
	watch->fd = manager_open_process(incident->m, process);
	if (watch->fd < 0) {
		watch->error = -watch->fd;
		watch->fd = -1;
	} else {
		r = sd_event_add_io(incident->m->event, &watch->source, watch->fd, EPOLLIN,
				    on_pidfd, watch);
	}
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

static int make_room(struct incident *incident, size_t entry)
{
	struct watch **watches;
	size_t n = incident->n_watches > 0 ? incident->n_watches : 16;

	while (n <= entry)
		n *= 2;
	if (n == incident->n_watches)
		return 0;
	watches = reallocarray(incident->watches, n, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(watches + incident->n_watches, 0, (n - incident->n_watches) * sizeof(*watches));
	incident->watches = watches;
	incident->n_watches = n;
	return 0;
}

void incident_watch(struct incident *incident, size_t entry)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[entry];

	/* Who is to be left alone costs no descriptor. */
	if (dg_rule_leaves(plan->rule) || make_room(incident, entry) < 0)
		return;
	watch_free(incident->watches[entry]);
	incident->watches[entry] = NULL;
	if (watch_new(incident, plan->holder.process, &incident->watches[entry]) < 0)
		return;
	if (incident->watches[entry]->error == ESRCH) {
		incident->watches[entry]->exited = true;
		dg_incident_exited(&incident->core, plan->holder.process, manager_now(incident->m),
				   &incident->effects);
	}
}

void incident_unwatch_all(struct incident *incident)
{
	for (size_t i = 0; i < incident->n_watches; i++)
		watch_free(incident->watches[i]);
	free(incident->watches);
	incident->watches = NULL;
	incident->n_watches = 0;
}

static struct watch *watch_of(struct incident *incident, size_t entry)
{
	return entry < incident->n_watches ? incident->watches[entry] : NULL;
}

/*
 * Also of one that is on its way out: it lets go of its memory some time
 * before its pidfd says that it has ended. What is read of its pid is its own,
 * as long as the pidfd says that it has not. The thread that stood for it is
 * looked at, since the main one may have ended long ago.
 */
bool incident_has_exited(struct incident *incident, size_t entry)
{
	const struct dg_holder *holder = &incident->core.plan.entries[entry].holder;
	struct watch *watch = watch_of(incident, entry);
	struct pollfd pollfd = {.events = POLLIN};
	pid_t pid = holder->process.pid, tid = holder->tid ?: pid;
	struct dg_procstat stat = {};

	if (!watch || watch->exited || watch->fd < 0)
		return watch && watch->exited;
	if (read_stat(incident->m, pid, tid, &stat) < 0 || stat.exiting)
		return true;
	pollfd.fd = watch->fd;
	return poll(&pollfd, 1, 0) > 0;
}

static int send_sigbus(struct incident *incident, const struct dg_plan_entry *plan)
{
	uint8_t lsb = (uint8_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));

	return klink_sigbus(incident->m->link, incident->core.request.id, plan->holder.process.pid,
			    plan->holder.process.start_ns, plan->addr, lsb, BUS_MCEERR_AO);
}

static int send_signal(struct incident *incident, size_t entry, int signo)
{
	const struct watch *watch = watch_of(incident, entry);

	if (!watch)
		return -ENOMEM;
	if (watch->fd < 0)
		return -watch->error;
	return syscall(SYS_pidfd_send_signal, watch->fd, signo, NULL, 0) < 0 ? -errno : 0;
}

static const char *outcome_of(int r)
{
	if (r == -ESRCH)
		return "gone";
	if (r < 0)
		return strerrorname_np(-r) ?: "failed";
	return "sent";
}

/* TERM or KILL. Who has no unit for it, or one that others need, gets it alone. */
static void end_process(struct incident *incident, const struct dg_deed *deed, struct act *ret)
{
	int signo = deed->action == DG_ACTION_KILL ? SIGKILL : SIGTERM;
	enum dg_scope scope = incident->core.plan.entries[deed->entry].rule->scope;

	if (scope == DG_SCOPE_UNIT)
		incident_act_on_unit(incident, deed, ret);
	if (ret->outcome)
		return;
	ret->outcome = outcome_of(send_signal(incident, deed->entry, signo));
	if (ret->refused && strcmp(ret->outcome, "sent") == 0)
		ret->outcome = "sent-alone";
}

/* A word, to who has registered; the signal if that cannot be had, and it catches it. */
static const char *notify(struct incident *incident, const struct dg_deed *deed)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	const char *told = cooperation_tell(incident, deed->entry, deed->grace_ms), *why;
	struct dg_holder alone = plan->holder;

	if (told && strcmp(told, "told") == 0)
		return told;
	alone.cooperates = false;
	why = dg_action_skipped(DG_ACTION_NOTIFY, plan->rule->signo, &alone);
	if (why)
		return told ?: why;
	return outcome_of(send_signal(incident, deed->entry, plan->rule->signo));
}

static const char *act_on_process(struct incident *incident, const struct dg_deed *deed)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	int r;

	if (deed->action == DG_ACTION_NOTIFY)
		return notify(incident, deed);
	r = send_sigbus(incident, plan);
	/* Its mappings are locked for the moment, or this one is gone. */
	if (r == -EBUSY || r == -EFAULT)
		dg_incident_missed(&incident->core, deed, manager_now(incident->m));
	return outcome_of(r);
}

void incident_act(struct incident *incident, const struct dg_deed *deed, struct act *ret)
{
	*ret = (struct act){.outcome = deed->skipped};
	if (deed->skipped)
		return;
	if (dg_action_thaws(deed->action))
		incident_thaw_holder(incident, deed->entry);
	switch (deed->action) {
	case DG_ACTION_NOTIFY:
	case DG_ACTION_SIGBUS:
		ret->outcome = act_on_process(incident, deed);
		break;
	case DG_ACTION_EXEC:
		incident_name_unit(incident, deed->entry, ret->unit);
		ret->outcome = errand_exec(incident, deed, ret->unit);
		break;
	case DG_ACTION_STOP:
	case DG_ACTION_FREEZE:
		incident_act_on_unit(incident, deed, ret);
		ret->outcome = ret->outcome ?: ret->refused;
		break;
	case DG_ACTION_CHECKPOINT:
		dump_begin(incident, deed, ret);
		break;
	case DG_ACTION_TERM:
	case DG_ACTION_KILL:
		end_process(incident, deed, ret);
		break;
	case DG_ACTION_LEAVE:
	case _DG_ACTION_MAX:
		ret->outcome = "left";
		break;
	}
}

static void add_step(void *userdata, pid_t pid, uint64_t start_ns)
{
	/* No memory: the list is short of one, and the merge will most likely fail too. */
	(void)!dg_exemption_add(userdata, (struct dg_process){pid, start_ns}, DG_EXEMPT_STEP);
}

/* What a hook starts is part of it, however far down. */
static bool is_of_hook(struct manager *m, pid_t pid)
{
	for (int i = 0; i < DG_ANCESTORS_MAX && pid > 1; i++) {
		struct dg_procstat stat = {};

		if (errands_own(m, pid) || reactions_own(m, pid))
			return true;
		if (read_stat(m, pid, pid, &stat) < 0)
			return false;
		pid = stat.ppid;
	}
	return false;
}

/* What we have started, though it is no step itself. */
static int add_ours(struct manager *m, const struct dg_usage_list *rows,
		    struct dg_exemption_list *exempt)
{
	bool hooks = errands_any(m) || reactions_hooks(m), dumps = dumps_any(m);
	pid_t last = 0;
	int r = 0;

	if (!hooks && !dumps)
		return 0;
	for (size_t i = 0; i < rows->n_items && r >= 0; i++) {
		const struct dg_usage *row = &rows->items[i];

		/* The rows of a process stand together. */
		if (row->pid > 0 && row->pid != last &&
		    ((hooks && is_of_hook(m, row->pid)) || (dumps && dumps_own(m, row->pid))))
			r = dg_exemption_add(exempt, (struct dg_process){row->pid, row->start_ns},
					     DG_EXEMPT_STEP);
		last = row->pid;
	}
	return r;
}

int manager_merge_holders(struct manager *m, const struct dg_request *request,
			  const struct dg_usage_list *rows, struct dg_holder_list *ret)
{
	struct dg_exemption_list exempt = {};
	int r;

	r = dg_exemption_add(&exempt, m->self, DG_EXEMPT_SELF);
	steps_foreach(m->steps, add_step, &exempt);
	if (r >= 0)
		r = add_ours(m, rows, &exempt);
	if (r >= 0 && request && request->unbinder_pid > 0)
		r = dg_exemption_add(
			&exempt,
			(struct dg_process){request->unbinder_pid, request->unbinder_start_ns},
			DG_EXEMPT_UNBINDER);
	for (size_t i = 0; r >= 0 && i < m->n_protected; i++)
		r = dg_exemption_add(&exempt, m->protected[i].process, m->protected[i].why);
	if (r >= 0)
		r = dg_holders_merge(rows, &exempt, ret);
	if (r >= 0 && request)
		registrations_mark(m, request, ret);
	dg_exemption_list_done(&exempt);
	return r;
}
