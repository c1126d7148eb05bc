/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a client may send down the control socket: the daemon's objects with a
 * manager that is none. If the first byte is odd the client has authenticated
 * and the rest are messages; else the rest is all that it says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus-manager.h"
#include "bus-object.h"
#include "fuzz.h"

/* More turns than messages of the least size fit into an input. */
#define TURNS_MAX 8192

struct manager_query {
	manager_holders_func func;
	void *userdata;
	struct manager_query *next;
};

static struct manager_query *queries;
static struct dg_story story = {.id = 3, .device = "pfn0.0", .outcome = "unmounted"};
static char mount_path[] = "/mnt/\xfe";
static struct manager_mount mount = {.path = mount_path, .type = "ext4"};
static const struct manager_device device = {.name = "pmem0",
					     .ns_device = "pfn0.0",
					     .uuid = "ABCD-EF",
					     .dev = DG_DEV(259, 0),
					     .mounts = &mount,
					     .n_mounts = 1};

void manager_get_status(struct manager *m, struct manager_status *ret)
{
	*ret = (struct manager_status){
		.why_not = "no module", .module_version = "", .ledger_error = ""};
}

const struct dg_ledger *manager_ledger(struct manager *m, uint64_t *ret_written)
{
	static struct dg_ledger *ledger;
	static const struct dg_failure bad = {.ns = "abcd-ef",
					      .length = 4096,
					      .sources = DG_SOURCE_BADBLOCKS,
					      .content = DG_CONTENT_FILE,
					      .path = mount_path};

	*ret_written = 0;
	if (!ledger)
		ledger = dg_ledger_new(0, 0);
	if (!ledger || dg_ledger_add(ledger, &bad) < 0)
		abort();
	return ledger;
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
		.incident = 3, .device = "pmem0", .pid = 7, .comm = "a\xfe", .path = mount_path};

	func(userdata, &pinned);
}

const struct manager_device *manager_devices(struct manager *m, size_t *ret_n)
{
	*ret_n = 1;
	return &device;
}

uint64_t manager_device_incident(struct manager *m, const struct manager_device *d)
{
	return 0;
}

const struct dg_story *manager_incident_at(struct manager *m, size_t n)
{
	return n == 0 ? &story : NULL;
}

const struct dg_story *manager_incident_find(struct manager *m, uint64_t id)
{
	return id == story.id ? &story : NULL;
}

bool manager_is_holding(const struct manager *m)
{
	return false;
}

int manager_may_remove(struct manager *m, const struct manager_device *d, bool force)
{
	return force ? -EBUSY : 0;
}

int manager_remove(struct manager *m, const struct manager_device *d, bool force, uint64_t *ret_id)
{
	*ret_id = 1;
	return manager_may_remove(m, d, force);
}

int manager_register(struct manager *m, const struct manager_device *d,
		     const struct manager_applicant *who, int *ret_fd, uint64_t *ret_id)
{
	if (!dg_registration_name_is_valid(who->name))
		return -EINVAL;
	*ret_id = 1;
	*ret_fd = dup(STDERR_FILENO);
	return *ret_fd < 0 ? -errno : 0;
}

bool manager_registration_at(struct manager *m, size_t n, struct manager_registration *ret)
{
	static const struct dg_registration registration = {.id = 1, .device = "pmem0"};

	*ret = (struct manager_registration){.what = &registration, .state = "waiting"};
	return n == 0;
}

int manager_reload(struct manager *m, manager_reload_func func, void *userdata,
		   struct manager_reload **ret)
{
	return -EBUSY;
}

struct manager_reload *manager_reload_cancel(struct manager_reload *reload)
{
	return NULL;
}

const struct dg_policy *manager_policy(const struct manager *m)
{
	return dg_policy_builtin();
}

int manager_query_holders(struct manager *m, dg_dev_t dev, manager_holders_func func,
			  void *userdata, struct manager_query **ret)
{
	struct manager_query *query = malloc(sizeof(*query));

	if (!query)
		abort();
	*query = (struct manager_query){func, userdata, queries};
	queries = query;
	*ret = query;
	return 0;
}

struct manager_query *manager_query_cancel(struct manager_query *query)
{
	struct manager_query **link = &queries;

	if (!query)
		return NULL;
	while (*link != query)
		link = &(*link)->next;
	*link = query->next;
	free(query);
	return NULL;
}

/* The answer comes from the event loop, never from within the call. */
static void answer_first(void)
{
	const struct dg_holder_list holders = {0};
	const struct dg_fs_list fs = {0};
	struct manager_query query = *queries;

	free(queries);
	queries = query.next;
	query.func(query.userdata, 0, &holders, &fs);
}

/* Nothing is held, and nobody can be asked. */
int manager_forecast(struct manager *m, const struct manager_question *question,
		     manager_forecast_func func, void *userdata, struct manager_forecast **ret)
{
	if (question->uses >= 1U << DG_USE_KERNEL)
		abort();
	return -ETIME;
}

struct manager_forecast *manager_forecast_cancel(struct manager_forecast *forecast)
{
	return NULL;
}

static sd_bus *serve(struct bus_link *link, int fd)
{
	sd_bus *conn;

	if (sd_bus_new(&conn) < 0 || sd_bus_set_fd(conn, fd, fd) < 0 ||
	    sd_bus_set_server(conn, true,
			      SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 0)) < 0 ||
	    sd_bus_set_anonymous(conn, true) < 0 || sd_bus_negotiate_fds(conn, false) < 0 ||
	    sd_bus_set_close_on_exit(conn, false) < 0 || sd_bus_start(conn) < 0)
		abort();
	link->conn = conn;
	if (bus_manager_add(link) < 0 || bus_objects_add(link) < 0)
		abort();
	return conn;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char greeting[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	struct bus_api api = {0};
	struct bus_link link = {.api = &api};
	sd_bus *conn;
	int fds[2];

	if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	conn = serve(&link, fds[0]);
	/* What does not fit into the socket's buffer is not sent. */
	if (data[0] & 1)
		(void)!write(fds[1], greeting, sizeof(greeting) - 1);
	(void)!write(fds[1], data + 1, size - 1);
	shutdown(fds[1], SHUT_WR);
	for (unsigned i = 0; i < TURNS_MAX && sd_bus_process(conn, NULL) > 0; i++)
		if (queries && i % 2)
			answer_first();
	while (queries && size % 3)
		answer_first();
	bus_link_drop_calls(&link);
	if (queries)
		abort();
	sd_bus_close_unref(conn);
	close(fds[1]);
	return 0;
}
