/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl remove DEVICE: asks for it, and tells how it goes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"
#include "watch.h"

struct removal {
	const struct ctl *ctl;
	uint64_t id;
	json_object *end; /* what was said when it was over */
};

static bool on_signal(void *userdata, json_object *signal)
{
	struct removal *removal = userdata;
	const struct ctl *ctl = removal->ctl;
	bool is_end = strcmp(json_str(signal, "Signal"), "IncidentEnded") == 0;

	if (json_num(signal, "Id") != removal->id) {
		json_object_put(signal);
		return true;
	}
	if (is_end)
		removal->end = json_object_get(signal);
	/* Its end is told in words of its own, but to programs. */
	if (ctl->no_progress && !(is_end && ctl->json != CTL_JSON_OFF))
		json_object_put(signal);
	else
		print_answer(ctl, "Event", signal, print_signal);
	return !is_end;
}

static enum ctl_exit tell_end(const struct removal *removal, const char *name)
{
	bool removed = strcmp(json_str(removal->end, "State"), "done") == 0;
	enum ctl_exit code = removed ? CTL_OK : CTL_NOT_REMOVED;
	char *outcome = json_text(removal->end, "Outcome");

	if (!removed)
		client_fail(code, "%s was not removed: %s (daxguardctl show %" PRIu64 ")", name,
			    outcome ?: "", removal->id);
	else if (removal->ctl->json == CTL_JSON_OFF)
		printf("%s is removed: %s\n", name, outcome ?: "");
	free(outcome);
	return code;
}

static enum ctl_exit follow(const struct ctl *ctl, sd_bus *bus, uint64_t id, const char *name)
{
	struct removal removal = {.ctl = ctl, .id = id};
	enum ctl_exit code = watch_signals(bus, on_signal, &removal, CTL_GOES_ON);

	if (removal.end) {
		code = tell_end(&removal, name);
		json_object_put(removal.end);
		return code;
	}
	/* Also when nobody reads on: what was asked for is not taken back. */
	if (code == CTL_OK)
		code = CTL_GOES_ON;
	if (code == CTL_GOES_ON)
		client_fail(code,
			    "the removal of %s goes on; to follow it: daxguardctl monitor, to see "
			    "how it ended: daxguardctl show %" PRIu64,
			    name, id);
	return code;
}

static enum ctl_exit ask(const struct ctl *ctl, const char *name)
{
	struct ctl lines = *ctl;
	json_object *id = NULL;
	enum ctl_exit code;
	sd_bus *bus = NULL;

	if (lines.json != CTL_JSON_OFF)
		lines.json = CTL_JSON_SHORT;
	code = client_open(ctl, &bus);
	if (code != CTL_OK)
		return code;
	/* Before it is asked for: who interrupts us then is told that it goes on. */
	watch_block_signals();
	code = client_call(bus, &id, "Remove", "sa{sv}", name, 1, "Force", "b", (int)ctl->force);
	if (code == CTL_OK)
		code = follow(&lines, bus, json_object_get_uint64(id), name);
	json_object_put(id);
	sd_bus_close_unref(bus);
	return code;
}

static enum ctl_exit simulate(const struct ctl *ctl, const char *name)
{
	json_object *answer = NULL;
	enum ctl_exit code = client_ask(ctl, &answer, "Simulate", "sa{sv}", name, 2, "Source", "s",
					"user", "Force", "b", (int)ctl->force);

	return code != CTL_OK ? code : print_answer(ctl, "Simulation", answer, print_simulation);
}

enum ctl_exit verb_remove(const struct ctl *ctl, int argc, char *argv[])
{
	char *name = NULL;
	enum ctl_exit code = client_name_device(argv[0], &name);

	if (code == CTL_OK)
		code = ctl->dry_run ? simulate(ctl, name) : ask(ctl, name);
	free(name);
	return code;
}
