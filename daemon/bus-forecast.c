/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-forecast.h"

#include <errno.h>
#include <string.h>

#include "bus-device.h"
#include "bus-dict.h"
#include "bus-incident.h"
#include "bus-remove.h"
#include "core/why.h"
#include "names.h"

static void put_why(struct dict *d, const char *key, const char *key_more, const struct dg_why *why)
{
	dict_list_begin(d, key);
	for (size_t i = 0; i < why->n_rules; i++) {
		const struct dg_why_rule *rule = &why->rules[i];

		dict_begin(d);
		dict_bytes(d, "Rule", rule->name);
		dict_bytes(d, "Path", rule->path);
		dict_u32(d, "Line", rule->reason.line);
		dict_word(d, "Key",
			  rule->reason.key < _DG_KEY_MAX ? dg_key_name(rule->reason.key) : "");
		dict_word(d, "Verdict", dg_verdict_name(rule->reason.verdict));
		dict_end(d);
	}
	dict_list_end(d);
	dict_u64(d, key_more, why->n_more);
}

static void put_actions(struct dict *d, const struct dg_forecast_ladder *ladder)
{
	dict_list_begin(d, "Actions");
	for (size_t i = 0; ladder && i < ladder->n_rungs; i++) {
		const struct dg_forecast_rung *rung = &ladder->rungs[i];

		dict_begin(d);
		dict_word(d, "Action", dg_action_name(rung->action));
		dict_word(d, "Outcome", rung->skipped ?: "");
		dict_u64(d, "AtUsec", rung->at_us);
		dict_u32(d, "GraceMsec", rung->grace_ms);
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_rule(struct dict *d, const struct dg_rule *rule)
{
	dict_bytes(d, "Rule", rule->name);
	dict_bytes(d, "RulePath", rule->path);
	dict_u32(d, "RuleLine", rule->line);
	dict_word(d, "Scope", dg_scope_name(rule->scope));
	dict_bool(d, "DryRun", rule->dry_run);
}

/* Returns its rule; NULL: it is no process. */
static const struct dg_rule *put_holder(struct dict *d, const struct manager_answer *answer,
					const struct dg_holder *holder)
{
	const struct dg_forecast_ladder *ladder = NULL;
	const struct dg_plan_entry *entry =
		dg_forecast_find(answer->forecast, holder->process, &ladder);
	const struct dg_rule *rule = entry ? entry->rule : NULL;
	struct dg_process_facts facts;

	dict_u32(d, "Pid", (uint32_t)holder->process.pid);
	dict_u64(d, "StartNsec", holder->process.start_ns);
	dict_bytes(d, "Comm", holder->comm);
	dict_u32(d, "Uid", holder->uid);
	dict_word(d, "Exempt", dg_exempt_name(holder->exempt));
	bus_put_uses(d, holder->counts, holder->mapped_bytes);
	bus_put_shared(d, holder->shared_with);
	if (holder->process.pid <= 0)
		return NULL;
	dg_facts_of_holder(holder, &facts);
	/* With whom there is nothing to be done. */
	if (!rule)
		rule = dg_selection_match(&answer->forecast->incident.plan.selection, &facts);
	put_rule(d, rule);
	if (facts.unit && *facts.unit)
		dict_bytes(d, "Unit", facts.unit);
	dict_u32(d, "GracePermille", entry ? entry->permille : 1000);
	put_actions(d, ladder);
	dict_word(d, "End", ladder ? ladder->end : "");
	return rule;
}

static void put_holders(struct dict *d, struct viewer viewer, const struct manager_answer *answer)
{
	struct others others = {};

	dict_list_begin(d, "Holders");
	for (size_t i = 0; i < answer->holders->n_items; i++) {
		const struct dg_holder *holder = &answer->holders->items[i];

		if (!viewer_sees(viewer, holder->uid)) {
			others_add(&others, holder->counts, holder->mapped_bytes);
			continue;
		}
		dict_begin(d);
		put_holder(d, answer, holder);
		dict_end(d);
	}
	dict_list_end(d);
	bus_put_others(d, viewer, &others);
}

static void put_device_rule(struct dict *d, const struct manager_answer *answer)
{
	const struct dg_incident *incident = &answer->forecast->incident;
	const struct dg_device_rule *rule = incident->device_rule;
	struct dg_why why = {};

	if (rule)
		dg_why_device_rules(answer->policy, answer->facts, rule, &why);
	dict_bytes(d, "DeviceRule", rule ? rule->name : "");
	dict_bytes(d, "DeviceRulePath", rule ? rule->path : "");
	dict_u32(d, "DeviceRuleLine", rule ? rule->line : 0);
	dict_word(d, "OnBusy", rule ? dg_on_busy_name(rule->on_busy) : "");
	dict_u32(d, "BudgetMsec", rule ? rule->budget_ms : 0);
	put_why(d, "DeviceRulesPassed", "DeviceRulesMore", &why);
}

static bool mount_at(const void *mounts, size_t i, struct dg_mount *ret)
{
	const struct dg_mount_list *list = mounts;

	if (!list || i >= list->n_items)
		return false;
	*ret = list->items[i];
	return true;
}

static void put_frame(struct dict *d, const char *device, const struct manager_answer *answer)
{
	const struct dg_incident *incident = &answer->forecast->incident;

	dict_word(d, "Device", device);
	dict_word(d, "Source", incident->request.by_user ? "user" : "kernel");
	dict_bool(d, "Held", answer->held);
	dict_bool(d, "Truncated", answer->truncated || answer->forecast->cut);
	dict_u32(d, "HoldMsec", incident->request.deadline_ms);
	dict_u32(d, "CapMsec", incident->request.cap_ms);
	dict_u64(d, "DeadlineUsec", incident->deadline_us - incident->began_us);
	dict_u64(d, "ReserveUsec", incident->reserve_us);
	dict_u64(d, "NotLookedAt", answer->n_unknown);
}

static void put_simulation(struct dict *d, struct call *call, const char *device,
			   const struct manager_answer *answer)
{
	const struct dg_incident *incident = &answer->forecast->incident;
	struct viewer viewer = call_viewer(call);
	struct manager_status status;

	put_frame(d, device, answer);
	dict_word(d, "State", dg_state_name(incident->state));
	dict_word(d, "Outcome", incident->outcome);
	dict_word(d, "Result",
		  dg_result_name(dg_result(incident->state, incident->marks, &incident->done)));
	bus_put_marks(d, incident->marks);
	dict_texts(d, "System", answer->mounts ? answer->mounts->system : NULL,
		   answer->mounts ? answer->mounts->n_system : 0);
	put_device_rule(d, answer);
	bus_put_mounts(d, viewer, mount_at, answer->mounts);
	put_holders(d, viewer, answer);
	if (!viewer.all)
		return;
	manager_get_status(call_manager(call), &status);
	dict_texts(d, "PolicyWarnings", status.policy_warnings, SIZE_MAX);
}

static void put_process(struct dict *d, const char *device, const struct manager_answer *answer)
{
	struct dg_process_facts facts;
	const struct dg_rule *rule;
	struct dg_why why = {};

	put_frame(d, device, answer);
	dict_word(d, "Outcome", answer->forecast->incident.outcome);
	dict_bool(d, "Holds", answer->holds);
	rule = put_holder(d, answer, answer->process);
	dg_facts_of_holder(answer->process, &facts);
	if (rule)
		dg_why_rules(answer->policy, answer->facts, &facts, rule, &why);
	put_why(d, "Passed", "PassedMore", &why);
}

static int explain(struct call *call, sd_bus_error *error, int r, const char *device, uint32_t pid)
{
	if (r == -ESRCH)
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_PROCESS,
					 "there is no process %u", pid);
	if (r == -EBUSY && manager_is_holding(call_manager(call)))
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"a removal is under way; try again when it is over");
	return bus_explain_device(error, r, device);
}

/* The arguments again, of a call that has waited. */
static int read_arguments(struct call *call, const char **ret_device, uint32_t *ret_pid)
{
	sd_bus_message *m = call_message(call);
	int r = sd_bus_message_rewind(m, true);

	*ret_pid = 0;
	if (r >= 0)
		r = sd_bus_message_read_basic(m, 's', ret_device);
	if (r >= 0 && sd_bus_message_has_signature(m, "sua{sv}"))
		r = sd_bus_message_read_basic(m, 'u', ret_pid);
	return r;
}

static int send_answer(struct call *call, int result, const struct manager_answer *answer,
		       sd_bus_error *error)
{
	struct dict d = {0};
	const char *device;
	uint32_t pid;
	int r = read_arguments(call, &device, &pid);

	if (r < 0)
		return r;
	if (result >= 0 && pid > 0 && !answer->process)
		result = -ESRCH;
	if (result < 0)
		return explain(call, error, result, device, pid);
	if (pid > 0 && !viewer_sees(call_viewer(call), answer->process->uid))
		return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED,
					 "process %u is somebody else's", pid);
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	dict_begin(&d);
	if (pid > 0)
		put_process(&d, device, answer);
	else
		put_simulation(&d, call, device, answer);
	dict_end(&d);
	return dict_reply(&d);
}

static void on_answer(void *userdata, int result, const struct manager_answer *answer)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = send_answer(userdata, result, answer, &error);

	call_finish(userdata, r, &error);
	sd_bus_error_free(&error);
}

static void cancel(void *pending)
{
	manager_forecast_cancel(pending);
}

/*
 * What Remove would refuse is refused; but what carries the system has a forecast, which
 * says by what.
 */
static int may_remove(struct call *call, const char *name, bool force, sd_bus_error *error)
{
	const struct manager_device *device = bus_find_guarded(call_manager(call), name);
	int r = device ? manager_may_remove(call_manager(call), device, force) : -ENODEV;

	if (r == -ENODEV)
		return bus_explain_device(error, r, name);
	return r < 0 && r != -EPERM ? bus_refuse_removal(error, r, device) : 0;
}

/* question: all but its device. */
static int ask(struct call *call, const char *device, struct manager_question question,
	       sd_bus_error *error)
{
	struct manager_forecast *forecast;
	int r = bus_find_device(call_manager(call), device, &question.dev);

	if (r >= 0)
		r = call_may_wait(call);
	if (r >= 0)
		r = manager_forecast(call_manager(call), &question, on_answer, call, &forecast);
	if (r < 0)
		return explain(call, error, r, device, (uint32_t)question.pid);
	return call_wait(call, cancel, forecast);
}

/* What only the kernel itself does is no matter of a process. */
static int add_use(uint32_t *uses, const char *word, sd_bus_error *error)
{
	for (unsigned use = 0; use < DG_USE_KERNEL; use++)
		if (strcmp(word, dg_use_name(use)) == 0) {
			*uses |= 1U << use;
			return 0;
		}
	return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
				"Access is mapped, open, cwd, root or exe");
}

/* "as", or "s" for a single one. */
static int read_access(sd_bus_message *m, uint32_t *ret_uses, sd_bus_error *error)
{
	const char *contents, *word;
	int r = sd_bus_message_peek_type(m, NULL, &contents);
	bool list = r > 0 && strcmp(contents, "as") == 0;
	int more = 1;

	if (r <= 0 || (!list && strcmp(contents, "s") != 0))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "Access is of type as");
	r = sd_bus_message_enter_container(m, 'v', contents);
	if (r >= 0 && list)
		r = sd_bus_message_enter_container(m, 'a', "s");
	while (r >= 0 && more > 0) {
		r = more = sd_bus_message_read_basic(m, 's', &word);
		if (r > 0)
			r = add_use(ret_uses, word, error);
		if (!list)
			break;
	}
	if (r >= 0 && list)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_source(sd_bus_message *m, bool *ret_by_user, sd_bus_error *error)
{
	const char *source;
	int r = sd_bus_message_read(m, "v", "s", &source);

	if (r < 0 || (strcmp(source, "user") != 0 && strcmp(source, "kernel") != 0))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"Source is kernel or user");
	*ret_by_user = strcmp(source, "user") == 0;
	return 0;
}

static int unknown_option(sd_bus_error *error)
{
	return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
				"there is an option that is not known");
}

static int read_process_option(sd_bus_message *m, const char *key, void *userdata,
			       sd_bus_error *error)
{
	struct manager_question *question = userdata;

	if (strcmp(key, "Access") == 0)
		return read_access(m, &question->uses, error);
	return unknown_option(error);
}

static int read_removal_option(sd_bus_message *m, const char *key, void *userdata,
			       sd_bus_error *error)
{
	struct manager_question *question = userdata;

	if (strcmp(key, "Source") == 0)
		return read_source(m, &question->by_user, error);
	if (strcmp(key, "Force") == 0)
		return bus_read_force(m, &question->forced, error);
	return unknown_option(error);
}

int bus_simulate(struct call *call, sd_bus_error *error)
{
	struct manager_question question = {};
	const char *device;
	int r = sd_bus_message_read_basic(call_message(call), 's', &device);

	if (r >= 0)
		r = bus_read_options(call_message(call), read_removal_option, &question, error);
	if (r >= 0 && question.forced && !question.by_user)
		r = sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
				     "only a removal by a user can be forced");
	if (r >= 0 && question.by_user)
		r = may_remove(call, device, question.forced, error);
	return r < 0 ? r : ask(call, device, question, error);
}

int bus_query_policy(struct call *call, sd_bus_error *error)
{
	sd_bus_message *m = call_message(call);
	struct manager_question question = {};
	const char *device;
	uint32_t pid;
	int r = sd_bus_message_read(m, "su", &device, &pid);

	if (r >= 0)
		r = bus_read_options(m, read_process_option, &question, error);
	if (r < 0)
		return r;
	if (pid == 0 || pid > INT32_MAX)
		return explain(call, error, -ESRCH, device, pid);
	question.pid = (pid_t)pid;
	return ask(call, device, question, error);
}
