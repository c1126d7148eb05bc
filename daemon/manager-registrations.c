/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that have asked to be told: who they are, and their sockets. The service manager
 * keeps these while there is no daemon, see core/registration.h. One ends when its program
 * closes the socket, or ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "io/notify.h"
#include "manager-registrations.h"

/*
 * So long one that has ended takes its place: each is a message to the service manager,
 * which nobody is to have more of by coming and going.
 */
#define OVER_US 1000000ULL

struct registration {
	struct manager *m;
	struct registration *next; /* by descending id */
	struct dg_registration what;
	struct channel *channel; /* NULL: it is over */
	int pidfd;
	sd_event_source *source; /* of that */
	bool kept;               /* the service manager has it */
	uint64_t over_us;
};

static void registration_free(struct registration *registration)
{
	struct registration **at = &registration->m->registrations;

	while (*at != registration)
		at = &(*at)->next;
	*at = registration->next;
	channel_free(registration->channel);
	sd_event_source_disable_unref(registration->source);
	if (registration->pidfd >= 0)
		close(registration->pidfd);
	free(registration);
}

static void forget(const char *name)
{
	/* If it cannot be told: it sees by itself that nobody is at the other end. */
	(void)!notify_forget(name);
}

static void over(struct registration *registration)
{
	char name[DG_REGISTRATION_TEXT_MAX];

	registration->channel = channel_hang_up(registration->channel);
	registration->source = sd_event_source_disable_unref(registration->source);
	if (registration->pidfd >= 0)
		close(registration->pidfd);
	registration->pidfd = -1;
	registration->over_us = manager_now(registration->m);
	if (registration->kept && dg_registration_write(&registration->what, name) >= 0)
		forget(name);
	registration->kept = false;
}

static void on_closed(void *userdata)
{
	over(userdata);
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	over(userdata);
	return 0;
}

static void on_message(void *userdata, const char *text, size_t n)
{
	struct registration *registration = userdata;

	cooperation_said(registration->m, registration, text, n);
}

static const struct channel_ops ops = {.message = on_message, .closed = on_closed};

const struct dg_registration *registration_what(const struct registration *registration)
{
	return &registration->what;
}

int registration_say(struct registration *registration, const char *text)
{
	return registration->channel ? channel_send(registration->channel, text) : -EPIPE;
}

struct registration *registrations_next(const struct manager *m, const struct dg_request *request,
					struct dg_process process, struct registration *after)
{
	struct registration *next = after ? after->next : m->registrations;

	while (next && (!next->channel || !dg_process_equal(next->what.process, process) ||
			!dg_registration_concerns(&next->what, request)))
		next = next->next;
	return next;
}

void registrations_mark(const struct manager *m, const struct dg_request *request,
			struct dg_holder_list *holders)
{
	for (const struct registration *r = m->registrations; r; r = r->next) {
		const struct dg_holder *holder =
			r->channel ? dg_holders_find(holders, r->what.process) : NULL;

		if (holder && dg_registration_concerns(&r->what, request))
			holders->items[holder - holders->items].cooperates = true;
	}
}

/* Watched from now on. Takes pidfd. */
static int begin(struct manager *m, const struct dg_registration *what, int pidfd,
		 struct registration **ret)
{
	struct registration *registration = calloc(1, sizeof(*registration));
	int r;

	if (!registration) {
		close(pidfd);
		return -ENOMEM;
	}
	registration->m = m;
	registration->what = *what;
	registration->pidfd = pidfd;
	registration->next = m->registrations;
	m->registrations = registration;
	r = sd_event_add_io(m->event, &registration->source, pidfd, EPOLLIN, on_exit_of,
			    registration);
	if (r >= 0)
		r = sd_event_source_set_priority(registration->source,
						 SD_EVENT_PRIORITY_NORMAL + 10);
	if (r < 0) {
		registration_free(registration);
		return r;
	}
	*ret = registration;
	return 0;
}

static void keep(struct registration *registration)
{
	char name[DG_REGISTRATION_TEXT_MAX];
	int r = dg_registration_write(&registration->what, name);

	if (r >= 0)
		r = notify_store(name, channel_fd(registration->channel));
	registration->kept = r >= 0;
	if (r < 0 && r != -ENOENT)
		log_message(registration->m, LOG_WARNING, DG_MESSAGE_DAEMON,
			    "Registration %llu is not kept over a restart of the daemon: %s",
			    (unsigned long long)registration->what.id, strerror(-r));
}

/* Who has ended just now counts still, unless it is of root's. */
static int check_room(struct manager *m, uid_t uid)
{
	uint64_t now_us = manager_now(m);
	size_t n = 0, n_users = 0, n_his = 0;

	for (struct registration *r = m->registrations, *next; r; r = next) {
		next = r->next;
		if (!r->channel && (r->what.uid == 0 || r->over_us + OVER_US <= now_us)) {
			registration_free(r);
			continue;
		}
		n++;
		n_users += r->what.uid != 0;
		n_his += r->what.uid == uid;
	}
	if (n >= DG_REGISTRATIONS_MAX)
		return -ENOSPC;
	if (uid == 0)
		return 0;
	if (n_his >= m->config.settings.registrations_user_max)
		return -EDQUOT;
	return n_users < DG_REGISTRATIONS_USERS_MAX ? 0 : -ENOSPC;
}

static void describe(struct manager *m, const struct manager_device *device,
		     const struct manager_applicant *who, struct dg_registration *ret)
{
	*ret = (struct dg_registration){
		.id = m->registration_id + 1,
		.process = {.pid = who->pid},
		.uid = who->uid,
		.since_us = manager_clock_ns(CLOCK_REALTIME) / 1000,
	};
	memcpy(ret->device, device->name, sizeof(ret->device));
	memcpy(ret->uuid, device->uuid, sizeof(ret->uuid));
	memcpy(ret->name, who->name, strlen(who->name) + 1);
}

int manager_register(struct manager *m, const struct manager_device *device,
		     const struct manager_applicant *who, int *ret_fd, uint64_t *ret_id)
{
	struct registration *registration;
	struct dg_registration what;
	int r, pidfd;

	if (!dg_registration_name_is_valid(who->name))
		return -EINVAL;
	r = check_room(m, who->uid);
	if (r < 0)
		return r;
	describe(m, device, who, &what);
	pidfd = manager_open_applicant(m, who->pid, who->uid, &what.process);
	if (pidfd < 0)
		return pidfd;
	r = begin(m, &what, pidfd, &registration);
	if (r < 0)
		return r;
	r = channel_new(m->event, &ops, registration, &registration->channel, ret_fd);
	if (r < 0) {
		registration_free(registration);
		return r;
	}
	keep(registration);
	*ret_id = m->registration_id = what.id;
	cooperation_joined(m, registration);
	return 0;
}

bool manager_registration_at(struct manager *m, size_t n, struct manager_registration *ret)
{
	for (const struct registration *r = m->registrations; r; r = r->next) {
		if (!r->channel || n-- > 0)
			continue;
		*ret = (struct manager_registration){.what = &r->what, .kept = r->kept};
		cooperation_state(m, r, &ret->incident, &ret->state);
		return true;
	}
	return false;
}

static bool is_known(const struct manager *m, uint64_t id)
{
	for (const struct registration *r = m->registrations; r; r = r->next)
		if (r->what.id == id)
			return true;
	return false;
}

/* Takes fd if that went well. -ESRCH: the process has ended meanwhile. */
static int take_over(struct manager *m, const char *name, int fd)
{
	struct registration *registration;
	struct dg_registration what;
	int r, pidfd;

	r = dg_registration_read(name, &what);
	if (r >= 0 && is_known(m, what.id))
		r = -EEXIST;
	if (r < 0)
		return r;
	pidfd = manager_open_process(m, what.process);
	if (pidfd < 0)
		return pidfd;
	r = begin(m, &what, pidfd, &registration);
	if (r < 0)
		return r;
	r = channel_adopt(m->event, fd, &ops, registration, &registration->channel);
	if (r < 0) {
		registration_free(registration);
		return r;
	}
	registration->kept = true;
	if (m->registration_id < what.id)
		m->registration_id = what.id;
	return 0;
}

static void on_stored(void *userdata, const char *name, int fd)
{
	struct manager *m = userdata;
	int r = take_over(m, name, fd);

	if (r >= 0)
		return;
	close(fd);
	forget(name);
	if (r != -ESRCH)
		log_message(m, LOG_WARNING, DG_MESSAGE_DAEMON,
			    "A registration of before is lost: %s", strerror(-r));
}

void registrations_begin(struct manager *m)
{
	int r = notify_stored(on_stored, m);

	if (r < 0)
		log_message(m, LOG_WARNING, DG_MESSAGE_DAEMON,
			    "Registrations of before are lost: %s", strerror(-r));
}

void registrations_done(struct manager *m)
{
	for (struct registration *r = m->registrations, *next; r; r = next) {
		next = r->next;
		registration_free(r);
	}
}
