/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl poison [DEVICE] [--history] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

#define MINUTES 16 /* characters of a time that go as far as its minutes */

static bool is_repaired(json_object *failure)
{
	return strcmp(json_str(failure, "State"), "repaired") == 0;
}

/* The device that has it now, or what the ledger calls it. */
static const char *device_of(json_object *failure)
{
	const char *device = json_str(failure, "Device");

	return *device ? device : json_str(failure, "Namespace");
}

/* "/mnt/a+0x2000", "inode 12 on 259:0+0x2000", "metadata of /mnt/a". */
static char *place_text(json_object *failure)
{
	static const struct {
		const char *word, *text;
	} contents[] = {{"metadata", "metadata"},
			{"free", "free space"},
			{"outside", "outside of a file system"},
			{"file", "a file"}};
	const char *content = json_str(failure, "Content");
	char *path = json_text(failure, "Path"), *at;

	at = text_format("+0x%" PRIx64, json_num(failure, "FileOffset"));
	if (strcmp(content, "file") == 0 && path && *path)
		return text_append(path, "", at);
	if (strcmp(content, "metadata") == 0 && path && *path) {
		free(at);
		return text_append(strdup("metadata of"), " ", path);
	}
	free(path);
	if (strcmp(content, "file") == 0 && json_num(failure, "Inode") > 0)
		return text_append(text_format("inode %" PRIu64 " on %s",
					       json_num(failure, "Inode"),
					       json_str(failure, "FileDevNum")),
				   "", at);
	free(at);
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
		if (strcmp(content, contents[i].word) == 0)
			return strdup(contents[i].text);
	return strdup("unknown");
}

static char *size_text(json_object *failure)
{
	return text_append(strdup(json_flag(failure, "Coarse") ? "~" : ""), "",
			   text_size(json_num(failure, "Length")));
}

static void add_row(struct table *table, json_object *failure)
{
	bool repaired = is_repaired(failure);
	char *when = text_time(json_num(failure, repaired ? "RepairedUsec" : "LastSeenUsec"));

	table_take(table, TABLE_PLAIN, strdup(device_of(failure)));
	table_printf(table, TABLE_PLAIN, "0x%" PRIx64, json_num(failure, "Offset"));
	table_take(table, TABLE_PLAIN, size_text(failure));
	table_take(table, TABLE_PLAIN, when ? text_format("%.*s", MINUTES, when) : NULL);
	table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(failure, "Told"));
	table_take(table, repaired ? TABLE_PLAIN : TABLE_BAD, place_text(failure));
	free(when);
}

/* Those that are bad, or those that were. */
static int print_some(FILE *f, const struct table_style *style, json_object *failures,
		      bool repaired, size_t *ret_n)
{
	const struct table_column columns[] = {
		{"DEVICE", TABLE_ELASTIC}, {"OFFSET", TABLE_RIGHT},
		{"SIZE", TABLE_RIGHT},     {repaired ? "REPAIRED" : "LAST SEEN"},
		{"TOLD", TABLE_RIGHT},     {repaired ? "WHERE IT WAS" : "WHERE", TABLE_ELASTIC},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_length(failures); i++)
		if (is_repaired(json_at(failures, i)) == repaired)
			add_row(table, json_at(failures, i));
	*ret_n = table_rows(table);
	if (*ret_n > 0)
		r = table_print(table, f, style);
	table_free(table);
	return r;
}

static size_t count_unwritten(json_object *failures)
{
	size_t n = 0;

	for (size_t i = 0; i < json_length(failures); i++)
		n += json_get(json_at(failures, i), "Written") &&
		     !json_flag(json_at(failures, i), "Written");
	return n;
}

static void print_total(FILE *f, json_object *failures, size_t n_bad, size_t n_repaired)
{
	size_t n_unwritten = count_unwritten(failures);

	fprintf(f, "%s%zu bad range%s", n_bad + n_repaired > 0 ? "\n" : "", n_bad,
		n_bad == 1 ? "" : "s");
	if (n_repaired > 0)
		fprintf(f, ", %zu repaired", n_repaired);
	if (n_unwritten > 0)
		fprintf(f, ", %zu not on the disk as yet", n_unwritten);
	fputs(".\n", f);
}

int print_failures(FILE *f, const struct table_style *style, json_object *failures)
{
	size_t n_bad = 0, n_repaired = 0;
	int r = print_some(f, style, failures, false, &n_bad);

	if (r >= 0 && n_bad > 0 && n_bad < json_length(failures) && style->legend)
		fputc('\n', f);
	if (r >= 0)
		r = print_some(f, style, failures, true, &n_repaired);
	if (r >= 0 && style->legend)
		print_total(f, failures, n_bad, n_repaired);
	return r;
}

/* "dax page, Recovered"; the kernel's own words. */
static char *kernel_text(json_object *failure)
{
	char *text = json_text(failure, "Type");

	return *json_str(failure, "Result") ? text_append(text, ", ", json_text(failure, "Result"))
					    : text;
}

static int print_state(FILE *f, const struct table_style *style, json_object *failure)
{
	int r = 0;

	if (json_flag(failure, "Coarse"))
		r = print_line(f, style, "Coarse", TABLE_WARN,
			       strdup("bad somewhere in there; there were too many ranges"));
	if (r >= 0 && is_repaired(failure))
		r = print_line(f, style, "Repaired", TABLE_GOOD,
			       text_time(json_num(failure, "RepairedUsec")));
	if (r >= 0 && json_get(failure, "Written") && !json_flag(failure, "Written"))
		r = print_line(f, style, "Ledger", TABLE_WARN,
			       strdup("not on the disk as yet, see daxguardctl status"));
	return r;
}

/* "0b1cf8cc-… (pmem0)" */
static char *namespace_text(json_object *failure)
{
	char *text = json_text(failure, "Namespace");

	if (!*json_str(failure, "Device"))
		return text;
	return text_append(text, "", text_format(" (%s)", json_str(failure, "Device")));
}

static char *range_text(json_object *failure)
{
	uint64_t offset = json_num(failure, "Offset"), length = json_num(failure, "Length");

	return text_append(
		text_format("0x%" PRIx64 " to 0x%" PRIx64, offset, offset + length - (length > 0)),
		", ", text_size(length));
}

static int print_seen(FILE *f, const struct table_style *style, json_object *failure)
{
	uint64_t times = json_num(failure, "Times"), told = json_num(failure, "Told");
	int r = print_line(f, style, "Found by", TABLE_PLAIN, print_words(failure, "Sources"));

	if (r >= 0)
		r = print_line(f, style, "First seen", TABLE_PLAIN,
			       text_time(json_num(failure, "FirstSeenUsec")));
	if (r >= 0 && times > 1)
		r = print_line(f, style, "Last seen", TABLE_PLAIN,
			       text_append(text_time(json_num(failure, "LastSeenUsec")), ", ",
					   text_format("%" PRIu64 " times in all", times)));
	return r < 0 ? r
		     : print_line(
			       f, style, "Told", TABLE_PLAIN,
			       text_format("%" PRIu64 " process%s", told, told == 1 ? "" : "es"));
}

static int print_failure(FILE *f, const struct table_style *style, json_object *failure)
{
	int r;

	r = print_line(f, style, "Range", is_repaired(failure) ? TABLE_PLAIN : TABLE_BAD,
		       range_text(failure));
	if (r >= 0)
		r = print_line(f, style, "Namespace", TABLE_PLAIN, namespace_text(failure));
	if (r >= 0)
		r = print_line(f, style, "Where", TABLE_PLAIN, place_text(failure));
	if (r >= 0 && *json_str(failure, "Type"))
		r = print_line(f, style, "Kernel", TABLE_PLAIN, kernel_text(failure));
	if (r >= 0)
		r = print_seen(f, style, failure);
	return r < 0 ? r : print_state(f, style, failure);
}

int print_failures_each(FILE *f, const struct table_style *style, json_object *failures)
{
	size_t n = json_length(failures), n_repaired = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (i > 0)
			fputc('\n', f);
		r = print_failure(f, style, json_at(failures, i));
		n_repaired += is_repaired(json_at(failures, i));
	}
	if (r >= 0 && style->legend)
		print_total(f, failures, n - n_repaired, n_repaired);
	return r;
}

/* They come a thousand at a time. */
static enum ctl_exit ask_all(sd_bus *bus, const char *device, bool history, json_object *all)
{
	json_object *some = NULL;
	enum ctl_exit code;
	size_t n;

	do {
		uint32_t skip = (uint32_t)json_length(all);

		if (device)
			code = client_call(bus, &some, "ListFailures", "a{sv}", 3, "Device", "s",
					   device, "History", "b", (int)history, "Skip", "u", skip);
		else
			code = client_call(bus, &some, "ListFailures", "a{sv}", 2, "History", "b",
					   (int)history, "Skip", "u", skip);
		if (code != CTL_OK)
			return code;
		n = json_length(some);
		for (size_t i = 0; i < n; i++)
			json_object_array_add(all, json_object_get(json_at(some, i)));
		json_object_put(some);
	} while (n > 0);
	return CTL_OK;
}

enum ctl_exit verb_poison(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *all = json_object_new_array();
	enum ctl_exit code = all ? CTL_OK : client_fail(CTL_FAILURE, "out of memory");
	sd_bus *bus = NULL;
	char *name = NULL;

	if (code == CTL_OK && argc > 0)
		code = client_name_device(argv[0], &name);
	if (code == CTL_OK)
		code = client_open(ctl, &bus);
	if (code == CTL_OK)
		code = ask_all(bus, name, ctl->history, all);
	sd_bus_close_unref(bus);
	free(name);
	if (code != CTL_OK) {
		json_object_put(all);
		return code;
	}
	return print_answer(ctl, "Failures", all, argc > 0 ? print_failures_each : print_failures);
}
