/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-register.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bus-device.h"
#include "names.h"

static int read_name(sd_bus_message *m, const char *key, void *name, sd_bus_error *error)
{
	if (strcmp(key, "Name") != 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "no option \"%s\"", key);
	if (sd_bus_message_read(m, "v", "s", name) < 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "Name is a string");
	return 0;
}

static int refuse(sd_bus_error *error, int r)
{
	switch (r) {
	case -EINVAL:
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
					 "Name is letters, digits and . _ @ + -, %d at most",
					 DG_REGISTRATION_NAME_MAX - 1);
	case -ESRCH:
		return sd_bus_error_set(error, DG_BUS_ERROR_NO_SUCH_PROCESS,
					"who asks is no process that is there");
	case -EPERM:
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
					"who asks is another user's process by now");
	case -EDQUOT:
		return sd_bus_error_set(error, DG_BUS_ERROR_LIMIT_EXCEEDED,
					"the user has as many registrations as he may, see "
					"RegistrationsPerUser= in daxguardd.conf(5)");
	case -ENOSPC:
		return sd_bus_error_set(error, DG_BUS_ERROR_LIMIT_EXCEEDED,
					"there are as many registrations as there may be");
	default:
		return r;
	}
}

/* If it cannot be sent, fd is closed with the message, and the registration over by that. */
static int answer(sd_bus_message *m, int fd, uint64_t id, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(m, &reply);

	if (r >= 0)
		r = sd_bus_message_append(reply, "ht", fd, id);
	if (r == -EOPNOTSUPP)
		r = sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED,
				     "no descriptor can be passed over this connection");
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	sd_bus_message_unref(reply);
	return r;
}

int bus_register(struct call *call, sd_bus_error *error)
{
	struct manager_applicant who = {
		.pid = call_pid(call), .uid = call_viewer(call).uid, .name = ""};
	sd_bus_message *m = call_message(call);
	const struct manager_device *device;
	const char *name;
	uint64_t id;
	int fd, r = sd_bus_message_read(m, "s", &name);

	if (r >= 0)
		r = bus_read_options(m, read_name, &who.name, error);
	if (r < 0)
		return r;
	device = bus_find_guarded(call_manager(call), name);
	if (!device)
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_DEVICE,
					 "\"%s\" is no device that is guarded", name);
	r = manager_register(call_manager(call), device, &who, &fd, &id);
	if (r < 0)
		return refuse(error, r);
	r = answer(m, fd, id, error);
	close(fd);
	return r;
}

static void put_registration(struct dict *d, const struct manager_registration *registration)
{
	const struct dg_registration *what = registration->what;

	dict_begin(d);
	dict_u64(d, "Id", what->id);
	dict_word(d, "Device", what->device);
	dict_word(d, "Name", what->name);
	dict_u32(d, "Pid", (uint32_t)what->process.pid);
	dict_u64(d, "StartNsec", what->process.start_ns);
	dict_u32(d, "Uid", what->uid);
	dict_u64(d, "SinceUsec", what->since_us);
	dict_bool(d, "Kept", registration->kept);
	dict_u64(d, "Incident", registration->incident);
	dict_word(d, "State", registration->state);
	dict_end(d);
}

static void put_all(struct dict *d, struct viewer viewer, struct manager *m)
{
	struct manager_registration registration;

	for (size_t i = 0; manager_registration_at(m, i, &registration); i++)
		if (viewer_sees(viewer, registration.what->uid))
			put_registration(d, &registration);
}

void bus_put_registrations(struct dict *d, struct manager *m)
{
	dict_list_begin(d, "Registrations");
	put_all(d, (struct viewer){.all = true}, m);
	dict_list_end(d);
}

/* For an option to come. */
static int read_no_option(sd_bus_message *m, const char *key, void *userdata, sd_bus_error *error)
{
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "no option \"%s\"", key);
}

int bus_list_registrations(struct call *call, sd_bus_error *error)
{
	struct dict d = {0};
	int r = bus_read_options(call_message(call), read_no_option, NULL, error);

	if (r < 0)
		return r;
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	dict_array_begin(&d);
	put_all(&d, call_viewer(call), call_manager(call));
	dict_array_end(&d);
	return dict_reply(&d);
}
