/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/utf8.h"
#include "json.h"
#include "names.h"
#include "text.h"

#define CALL_TIMEOUT_US (30ULL * 1000 * 1000)

enum ctl_exit client_fail(enum ctl_exit code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("daxguardctl: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return code;
}

enum ctl_exit client_name_device(const char *argument, char **ret)
{
	const char *slash = strrchr(argument, '/');
	struct stat st;

	if (!dg_utf8_is_valid(argument, strlen(argument)))
		return client_fail(CTL_NOT_FOUND, "no device has such a name");
	if (slash && stat(argument, &st) == 0 && S_ISBLK(st.st_mode))
		*ret = text_format("%u:%u", major(st.st_rdev), minor(st.st_rdev));
	else
		*ret = strdup(slash ? slash + 1 : argument);
	return *ret ? CTL_OK : client_fail(CTL_FAILURE, "out of memory");
}

static enum ctl_exit explain_connect(const struct ctl *ctl, int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return client_fail(CTL_NOT_RUNNING,
				   "daxguardd is not running (nobody listens on %s); "
				   "start it with: systemctl start daxguardd.service",
				   ctl->socket);
	case -EACCES:
	case -EPERM:
		return client_fail(CTL_FAILURE, "only root may talk to daxguardd");
	case -EAGAIN:
	case -ECONNRESET:
	case -EPIPE:
		return client_fail(CTL_FAILURE, "daxguardd hung up: too many ask at once");
	default:
		return client_fail(CTL_FAILURE, "cannot connect to %s: %s", ctl->socket,
				   strerror(-error));
	}
}

/* D-Bus addresses take few characters as they are. */
static char *make_address(const char *path)
{
	static const char plain[] = "-_/.*";
	size_t n = strlen(path);
	char *address = malloc(sizeof("unix:path=") + n * 3), *out;

	if (!address)
		return NULL;
	out = stpcpy(address, "unix:path=");
	for (const char *p = path; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		    strchr(plain, c))
			*out++ = *p;
		else
			out += sprintf(out, "%%%02x", c);
	}
	*out = '\0';
	return address;
}

enum ctl_exit client_open(const struct ctl *ctl, sd_bus **ret)
{
	char *address = make_address(ctl->socket);
	sd_bus *bus = NULL;
	int r = -ENOMEM;

	if (address)
		r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_start(bus);
	free(address);
	if (r < 0) {
		sd_bus_unref(bus);
		return explain_connect(ctl, r);
	}
	*ret = bus;
	return CTL_OK;
}

static void fail_line(enum ctl_exit code, const char *line, size_t n)
{
	char *text = text_escape(line, n);

	client_fail(code, "%s", text ? text : strerror(ENOMEM));
	free(text);
}

static void print_place(const char *line, size_t n)
{
	char *text = text_escape(line, n);

	fprintf(stderr, "%s\n", text ? text : strerror(ENOMEM));
	free(text);
}

static enum ctl_exit explain_call(const sd_bus_error *error, int r)
{
	static const struct {
		const char *name;
		enum ctl_exit code;
	} known[] = {
		{DG_BUS_ERROR_NO_SUCH_DEVICE, CTL_NOT_FOUND},
		{DG_BUS_ERROR_NO_SUCH_INCIDENT, CTL_NOT_FOUND},
		{DG_BUS_ERROR_NO_SUCH_PROCESS, CTL_NOT_FOUND},
		{DG_BUS_ERROR_NO_SUCH_CHECKPOINT, CTL_NOT_FOUND},
		{DG_BUS_ERROR_NOT_RESTORED, CTL_NOT_RESTORED},
		{DG_BUS_ERROR_NO_MODULE, CTL_NOT_HELD},
		{DG_BUS_ERROR_CONFIG, CTL_INVALID},
		{DG_BUS_ERROR_UNDER_WAY, CTL_NOT_REMOVED},
		{DG_BUS_ERROR_SYSTEM_DEVICE, CTL_NOT_REMOVED},
	};
	const char *message = error->message ? error->message : error->name;
	enum ctl_exit code = CTL_FAILURE;

	if (!sd_bus_error_is_set(error) || sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY)) {
		/* The server hangs up on who may not talk to it, and when it ends. */
		if (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE)
			return client_fail(CTL_NOT_RUNNING, "daxguardd closed the connection");
		return client_fail(CTL_FAILURE, "no answer from daxguardd: %s", strerror(-r));
	}

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (sd_bus_error_has_name(error, known[i].name))
			code = known[i].code;

	if (code != CTL_INVALID)
		fail_line(code, message, strlen(message));
	/* A line for each error, as a compiler has them. */
	for (size_t n; code == CTL_INVALID && *message; message += n + (message[n] == '\n')) {
		n = strcspn(message, "\n");
		print_place(message, n);
	}
	return code;
}

/* Of what takes its time, longer than the daemon gives it. */
static uint64_t timeout_us(const char *method)
{
	static const char *const slow[] = {"Restore", "DeleteCheckpoint", "PruneCheckpoints"};

	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
		if (strcmp(method, slow[i]) == 0)
			return CALL_TIMEOUT_US + DG_STORE_PRUNE_MSEC * UINT64_C(1000);
	return CALL_TIMEOUT_US;
}

static enum ctl_exit call_valist(sd_bus *bus, json_object **ret, const char *method,
				 const char *types, va_list ap)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	enum ctl_exit code = CTL_OK;
	int r;

	r = sd_bus_message_new_method_call(bus, &call, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					   method);
	if (r >= 0)
		r = sd_bus_message_appendv(call, types, ap);
	if (r >= 0)
		r = sd_bus_call(bus, call, timeout_us(method), &error, &reply);
	if (r < 0)
		code = explain_call(&error, r);
	else if (sd_bus_message_is_empty(reply) > 0)
		*ret = NULL;
	else if ((r = json_read(reply, ret)) < 0)
		code = client_fail(CTL_FAILURE, "cannot read the answer of daxguardd: %s",
				   strerror(-r));

	sd_bus_error_free(&error);
	sd_bus_message_unref(call);
	sd_bus_message_unref(reply);
	return code;
}

enum ctl_exit client_call(sd_bus *bus, json_object **ret, const char *method, const char *types,
			  ...)
{
	enum ctl_exit code;
	va_list ap;

	va_start(ap, types);
	code = call_valist(bus, ret, method, types, ap);
	va_end(ap);
	return code;
}

enum ctl_exit client_ask(const struct ctl *ctl, json_object **ret, const char *method,
			 const char *types, ...)
{
	sd_bus *bus = NULL;
	enum ctl_exit code;
	va_list ap;

	code = client_open(ctl, &bus);
	if (code != CTL_OK)
		return code;
	va_start(ap, types);
	code = call_valist(bus, ret, method, types, ap);
	va_end(ap);
	sd_bus_close_unref(bus);
	return code;
}
