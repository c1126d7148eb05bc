/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration, read again. */
#include <errno.h>
#include <syslog.h>

#include "manager-internal.h"
#include "names.h"

int manager_reload(struct manager *m, char **ret_why)
{
	struct config config;
	int r;

	/* Files may lie on what is held. */
	if (manager_is_holding(m))
		return -EBUSY;
	r = config_load(m->paths->config, &config);
	if (r < 0)
		return r;
	if (config.errors[0]) {
		log_message(m, LOG_ERR, DG_MESSAGE_CONFIG, "%s; what was in force stays so",
			    config.errors[0]);
		*ret_why = config.errors[0];
		config.errors[0] = NULL;
		config_done(&config);
		return -EINVAL;
	}
	config_done(&m->config);
	m->config = config;
	OBSERVE(m, status_changed);
	return 0;
}
