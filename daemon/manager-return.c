/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RestoreOnReturn=: when a device has come, also at the start of the daemon, the store is
 * looked at once for what is to go on with it. Each checkpoint then waits until its file
 * systems are mounted where they were, and is restored, the oldest first, one at a time.
 *
 *	arrived -> listed -> awaited -> restored, or why not
 *
 * A store that cannot be listed is asked again, as long as mounts are waited for.
 *
 * What the topology says decides; that there is something new to be seen is told by udev, and
 * of mounts by /proc/self/mountinfo, which is polled and never read: that takes a lock
 * which an unmount may keep.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "core/grow.h"
#include "manager-checkpoints.h"

#define ASK_AGAIN_US 30000000ULL

/* A checkpoint that is to go on when its file systems are there. */
struct awaited {
	char id[DG_CHECKPOINT_ID_MAX];
	struct {
		char *path;
		char uuid[DG_BOOT_ID_LEN];
	} * mounts;
	size_t n_mounts;
	uint64_t until_us;
};

struct returns {
	char (*arrived)[DG_BOOT_ID_LEN]; /* namespaces that the store is to be asked for */
	size_t n_arrived;
	uint64_t ask_at_us, ask_until_us; /* while there are some */
	struct manager_visit *visit;
	struct awaited *awaited; /* the oldest first, of each visit */
	size_t n_awaited;
	struct manager_restore *restore; /* the one at a time */
	sd_event_source *timer;
	sd_event_source *mounts; /* while somebody is awaited; NULL: cannot be polled */
	int mounts_fd;
};

static void awaited_done(struct awaited *awaited)
{
	for (size_t i = 0; i < awaited->n_mounts; i++)
		free(awaited->mounts[i].path);
	free(awaited->mounts);
}

static void drop(struct returns *returns, size_t i)
{
	awaited_done(&returns->awaited[i]);
	memmove(&returns->awaited[i], &returns->awaited[i + 1],
		(--returns->n_awaited - i) * sizeof(*returns->awaited));
}

static const struct manager_device *find_namespace(const struct manager *m, const char *uuid)
{
	for (size_t i = 0; *uuid && i < m->n_devices; i++)
		if (strcasecmp(m->devices[i].uuid, uuid) == 0)
			return &m->devices[i];
	return NULL;
}

static bool is_mounted(const struct manager *m, const char *uuid, const char *path)
{
	const struct manager_device *device = find_namespace(m, uuid);

	for (size_t i = 0; device && i < device->n_mounts; i++)
		if (strcmp(device->mounts[i].path, path) == 0)
			return true;
	return false;
}

static bool is_ready(const struct manager *m, const struct awaited *awaited)
{
	for (size_t i = 0; i < awaited->n_mounts; i++)
		if (!is_mounted(m, awaited->mounts[i].uuid, awaited->mounts[i].path))
			return false;
	return true;
}

/* The first path that is missing. */
static const char *missing(const struct manager *m, const struct awaited *awaited)
{
	for (size_t i = 0; i < awaited->n_mounts; i++)
		if (!is_mounted(m, awaited->mounts[i].uuid, awaited->mounts[i].path))
			return awaited->mounts[i].path;
	return "";
}

static uint64_t wait_until(const struct manager *m)
{
	return manager_now(m) + m->config.settings.restore_wait_us;
}

static void on_restored(void *userdata, const struct manager_restored *restored)
{
	struct manager *m = userdata;

	/* returns_go_on() follows. */
	m->checkpoints->returns->restore = NULL;
}

/* False: nothing more can be begun. */
static bool restore(struct manager *m, size_t i)
{
	struct returns *returns = m->checkpoints->returns;
	struct manager_restored failed = {
		.id = returns->awaited[i].id, .result = "failed", .pids = "", .by_return = true};
	int r = restore_start(m, returns->awaited[i].id, false, true, on_restored, m,
			      &returns->restore);

	if (r == -EBUSY)
		return false;
	/* Somebody has it go on already, or away. */
	if (r < 0 && r != -EALREADY) {
		failed.text = strerror(-r);
		restore_tell(m, &failed);
	}
	drop(returns, i);
	return r < 0;
}

static void begin_ready(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;

	for (size_t i = 0; i < returns->n_awaited && !returns->restore;) {
		size_t n = returns->n_awaited;

		if (is_ready(m, &returns->awaited[i]) && !restore(m, i))
			return;
		i += n == returns->n_awaited;
	}
}

/* Whose time is over; not while one is at work, whom others wait for. */
static void give_up(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;
	uint64_t now_us = manager_now(m);

	for (size_t i = 0; i < returns->n_awaited && !returns->restore;) {
		struct awaited *awaited = &returns->awaited[i];

		if (awaited->until_us > now_us || is_ready(m, awaited)) {
			i++;
			continue;
		}
		restore_tell(m, &(struct manager_restored){.id = awaited->id,
							   .result = "not-mounted",
							   .text = missing(m, awaited),
							   .pids = "",
							   .by_return = true});
		drop(returns, i);
	}
}

static int on_mounts(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	devices_look_again(userdata);
	return 0;
}

/* The descriptor tells what changes after it was opened, so before the last look. */
static int poll_mounts(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s/self/mountinfo", m->paths->proc);
	returns->mounts_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (returns->mounts_fd < 0)
		return -errno;
	r = sd_event_add_io(m->event, &returns->mounts, returns->mounts_fd, EPOLLPRI, on_mounts, m);
	if (r < 0) {
		close(returns->mounts_fd);
		returns->mounts_fd = -1;
		return r;
	}
	devices_look_again(m);
	return 0;
}

static void stop_polling(struct returns *returns)
{
	returns->mounts = sd_event_source_disable_unref(returns->mounts);
	if (returns->mounts_fd >= 0)
		close(returns->mounts_fd);
	returns->mounts_fd = -1;
}

static uint64_t next_us(const struct manager *m)
{
	const struct returns *returns = m->checkpoints->returns;
	uint64_t at_us = UINT64_MAX;

	if (returns->n_arrived > 0 && !returns->visit)
		at_us = returns->ask_at_us;
	/* Else it is asked again when that one has ended, or after the look that is to come. */
	if (returns->restore || !devices_are_fresh(m))
		return at_us;
	for (size_t i = 0; i < returns->n_awaited; i++)
		if (returns->awaited[i].until_us < at_us)
			at_us = returns->awaited[i].until_us;
	return at_us;
}

static void set_timer(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;
	uint64_t at_us = next_us(m);

	sd_event_source_set_enabled(returns->timer, SD_EVENT_OFF);
	if (at_us == UINT64_MAX || manager_is_holding(m))
		return;
	sd_event_source_set_time(returns->timer, at_us);
	sd_event_source_set_enabled(returns->timer, SD_EVENT_ONESHOT);
}

static bool has_arrived(const struct returns *returns, const char *uuid)
{
	for (size_t i = 0; i < returns->n_arrived; i++)
		if (*uuid && strcasecmp(returns->arrived[i], uuid) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct returns *returns, const struct dg_stored *stored)
{
	if (!stored->restore || !dg_stored_is_whole(stored))
		return false;
	for (size_t i = 0; i < stored->n_mounts; i++)
		if (has_arrived(returns, stored->mounts[i].uuid))
			return true;
	return false;
}

static int copy_mounts(const struct dg_stored *stored, struct awaited *awaited)
{
	awaited->mounts = calloc(stored->n_mounts, sizeof(*awaited->mounts));
	if (!awaited->mounts)
		return -ENOMEM;
	for (size_t i = 0; i < stored->n_mounts; i++) {
		awaited->mounts[i].path = strdup(stored->mounts[i].path);
		if (!awaited->mounts[i].path)
			return -ENOMEM;
		snprintf(awaited->mounts[i].uuid, sizeof(awaited->mounts[i].uuid), "%s",
			 stored->mounts[i].uuid);
		awaited->n_mounts++;
	}
	return 0;
}

/* It may be awaited since an earlier return: its time begins anew. */
static int await(struct manager *m, const struct dg_stored *stored)
{
	struct returns *returns = m->checkpoints->returns;
	struct awaited awaited = {.until_us = wait_until(m)};
	int r;

	for (size_t i = 0; i < returns->n_awaited; i++)
		if (strcmp(returns->awaited[i].id, stored->id) == 0) {
			returns->awaited[i].until_us = awaited.until_us;
			return 0;
		}
	memcpy(awaited.id, stored->id, strlen(stored->id) + 1);
	r = copy_mounts(stored, &awaited);
	if (r >= 0)
		r = DG_GROW(returns->awaited, returns->n_awaited);
	if (r < 0)
		awaited_done(&awaited);
	else
		returns->awaited[returns->n_awaited++] = awaited;
	return r;
}

static void take_list(struct manager *m, int error, const struct dg_stored_list *list)
{
	struct returns *returns = m->checkpoints->returns;

	returns->visit = NULL;
	returns->ask_at_us = manager_now(m) + ASK_AGAIN_US;
	if (error < 0 && returns->ask_at_us < returns->ask_until_us)
		return;
	if (error < 0)
		log_message(m, LOG_ERR, DG_MESSAGE_RESTORE,
			    "A device has returned, and nothing is restored: the store of "
			    "checkpoints cannot be listed");
	for (size_t i = 0; error >= 0 && i < list->n_items; i++)
		if (is_wanted(returns, &list->items[i]) && await(m, &list->items[i]) < 0)
			log_message(m, LOG_ERR, DG_MESSAGE_RESTORE,
				    "Checkpoint %s is not restored: no memory", list->items[i].id);
	returns->n_arrived = 0;
}

static void on_list(void *userdata, int error, const struct dg_stored_list *list)
{
	take_list(userdata, error, list);
	returns_go_on(userdata);
}

static void ask(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;
	int r;

	if (returns->n_arrived == 0 || returns->visit || manager_now(m) < returns->ask_at_us)
		return;
	r = manager_list_checkpoints(m, on_list, m, &returns->visit);
	if (r < 0)
		take_list(m, r, NULL);
}

void returns_go_on(struct manager *m)
{
	struct returns *returns = m->checkpoints->returns;
	int r = 0;

	if (manager_is_holding(m))
		return;
	ask(m);
	if (returns->n_awaited > 0 && returns->mounts_fd < 0)
		r = poll_mounts(m);
	if (r < 0)
		log_message(m, LOG_WARNING, NULL, "Mounts are not heard of: %s", strerror(-r));
	/* Else it is asked again after the look that is to come. */
	if (devices_are_fresh(m)) {
		begin_ready(m);
		give_up(m);
	}
	if (returns->n_awaited == 0)
		stop_polling(returns);
	set_timer(m);
}

static bool anybody_is_due(struct manager *m)
{
	const struct returns *returns = m->checkpoints->returns;

	for (size_t i = 0; i < returns->n_awaited; i++)
		if (returns->awaited[i].until_us <= manager_now(m))
			return true;
	return false;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	/* What may have been missed is seen first. */
	if (anybody_is_due(userdata))
		devices_look_again(userdata);
	returns_go_on(userdata);
	return 0;
}

static bool was_there(const struct manager_device *device, const struct manager_device *old,
		      size_t n_old)
{
	for (size_t i = 0; i < n_old; i++)
		if (strcasecmp(device->uuid, old[i].uuid) == 0 && device->diskseq == old[i].diskseq)
			return true;
	return false;
}

void returns_devices(struct manager *m, const struct manager_device *old, size_t n_old)
{
	struct returns *returns = m->checkpoints->returns;

	for (size_t i = 0; i < m->n_devices; i++) {
		const struct manager_device *device = &m->devices[i];

		if (!device->uuid[0] || was_there(device, old, n_old) ||
		    has_arrived(returns, device->uuid) ||
		    DG_GROW(returns->arrived, returns->n_arrived) < 0)
			continue;
		memcpy(returns->arrived[returns->n_arrived++], device->uuid, sizeof(device->uuid));
		returns->ask_at_us = 0;
		returns->ask_until_us = wait_until(m);
	}
	returns_go_on(m);
}

void returns_forget(struct manager *m, const char *id)
{
	struct returns *returns = m->checkpoints->returns;

	for (size_t i = returns->n_awaited; i > 0; i--)
		if (strcmp(returns->awaited[i - 1].id, id) == 0)
			drop(returns, i - 1);
}

/*
 * Time that was held does not count. What the store had before, it may have more of: it is
 * asked anew.
 */
void returns_hold(struct manager *m, bool holding)
{
	struct returns *returns = m->checkpoints->returns;

	if (holding)
		returns->visit = manager_visit_cancel(returns->visit);
	returns->ask_at_us = 0;
	returns->ask_until_us = wait_until(m);
	for (size_t i = 0; !holding && i < returns->n_awaited; i++)
		returns->awaited[i].until_us = wait_until(m);
	if (holding)
		sd_event_source_set_enabled(returns->timer, SD_EVENT_OFF);
	else
		returns_go_on(m);
}

int returns_new(sd_event *event, struct manager *m, struct returns **ret)
{
	struct returns *returns = calloc(1, sizeof(*returns));
	int r;

	if (!returns)
		return -ENOMEM;
	returns->mounts_fd = -1;
	r = sd_event_add_time(event, &returns->timer, CLOCK_MONOTONIC, 0, 0, on_timer, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(returns->timer, SD_EVENT_OFF);
	if (r < 0)
		(void)returns_free(returns);
	else
		*ret = returns;
	return r;
}

struct returns *returns_free(struct returns *returns)
{
	if (!returns)
		return NULL;
	manager_visit_cancel(returns->visit);
	manager_restore_cancel(returns->restore);
	while (returns->n_awaited > 0)
		drop(returns, returns->n_awaited - 1);
	stop_polling(returns);
	sd_event_source_disable_unref(returns->timer);
	free(returns->awaited);
	free(returns->arrived);
	free(returns);
	return NULL;
}
