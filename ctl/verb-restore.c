/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl restore ID */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

/* "0123abcd-7-42 is restored: 42 43" */
int print_restored(FILE *f, const struct table_style *style, json_object *restored)
{
	char *pids = strdup("");
	int r;

	for (size_t i = 0; i < json_count(restored, "Pids"); i++)
		pids = text_append(pids, " ",
				   text_format("%" PRIu64, json_object_get_uint64(json_item(
								   restored, "Pids", i))));
	r = pids ? 0 : -ENOMEM;
	if (r == 0)
		fprintf(f, "%s is restored%s%s\n", json_str(restored, "Id"), *pids ? ": " : "",
			pids);
	free(pids);
	return r;
}

enum ctl_exit verb_restore(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *pids = NULL, *restored;
	enum ctl_exit code;

	code = client_ask(ctl, &pids, "Restore", "sa{sv}", argv[0], 1, "Force", "b",
			  (int)ctl->force);
	if (code != CTL_OK)
		return code;
	restored = json_object_new_object();
	json_object_object_add(restored, "Id", json_object_new_string(argv[0]));
	json_object_object_add(restored, "Pids", pids);
	return print_answer(ctl, "Restored", restored, print_restored);
}
