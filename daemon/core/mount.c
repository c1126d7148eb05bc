/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"

struct record {
	const char *text;
	size_t n;
};

static const char *get(struct record record, const char *key)
{
	return dg_record_get(record.text, record.n, key);
}

static bool is_set(struct record record, const char *key)
{
	return dg_record_is_set(record.text, record.n, key);
}

static int add_word(const char ***words, size_t *n_words, const char *word)
{
	const char **grown = reallocarray(*words, *n_words + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[(*n_words)++] = word;
	*words = grown;
	return 0;
}

static int add_mount(struct dg_mount_list *list, struct record record, const char *path)
{
	struct dg_mount *grown = reallocarray(list->items, list->n_items + 1, sizeof(*grown));
	struct dg_mount mount = {
		.path = path,
		.type = get(record, "TYPE") ?: "",
		.result = get(record, "RESULT") ?: "",
		.host = is_set(record, "HOST"),
		.locked = is_set(record, "LOCKED"),
	};

	uint64_t pid;

	if (!grown)
		return -ENOMEM;
	dg_record_get_u64(record.text, record.n, "NS", &mount.ns);
	(void)!dg_record_get_dev(record.text, record.n, "DEV", &mount.dev);
	if (dg_record_get_u64(record.text, record.n, "PID", &pid) >= 0 && pid <= INT32_MAX)
		mount.pid = (pid_t)pid;
	if (mount.locked || strcmp(mount.result, "locked") == 0)
		list->n_locked++;
	if (strcmp(mount.result, "overmounted") == 0)
		list->n_covered++;
	if (mount.result[0] && strcmp(mount.result, "ok") != 0 &&
	    strcmp(mount.result, "detached") != 0)
		list->n_failed++;
	grown[list->n_items++] = mount;
	list->items = grown;
	return 0;
}

static int add_kernel_user(struct dg_mount_list *list, struct record record, const char *kind)
{
	struct dg_kernel_user *grown;

	grown = reallocarray(list->kernel, list->n_kernel + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	grown[list->n_kernel++] = (struct dg_kernel_user){
		.kind = kind,
		.name = get(record, "NAME") ?: "",
		.path = get(record, "PATH") ?: "",
	};
	list->kernel = grown;
	return 0;
}

static int add_record(struct dg_mount_list *list, struct record record)
{
	const char *value;

	value = get(record, "SYSTEM");
	if (value)
		return add_word(&list->system, &list->n_system, value);
	value = get(record, "KERNEL");
	if (value)
		return add_kernel_user(list, record, value);
	value = get(record, "PATH");
	return value ? add_mount(list, record, value) : 0;
}

int dg_mount_list_read(const char *output, size_t n_output, struct dg_mount_list *ret)
{
	const char *cursor = output, *end = output + n_output;
	struct dg_mount_list list = {};
	struct record record;
	int r = 0;

	while (r >= 0 && (record.text = dg_record_next(&cursor, end, &record.n)))
		r = add_record(&list, record);
	/* Half a record: whoever wrote it died, and what it would have said is not known. */
	if (r >= 0 && cursor != end)
		r = -EBADMSG;
	if (r < 0) {
		dg_mount_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

void dg_mount_list_done(struct dg_mount_list *list)
{
	free(list->items);
	free(list->system);
	free(list->kernel);
	*list = (struct dg_mount_list){};
}
