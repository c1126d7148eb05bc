/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl reload */
#include "client.h"

enum ctl_exit verb_reload(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *nothing;

	return client_ask(ctl, &nothing, "Reload", "");
}
