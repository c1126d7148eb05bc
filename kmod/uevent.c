// SPDX-License-Identifier: GPL-2.0-only
/*
 * Uevents on the module's own misc device: a doorbell for udev, which may have
 * to start the daemon. Never on the device that is removed: 6.1's uevent
 * attribute takes its lock, and whoever reads it would wait for the hold.
 */
#include <linux/kobject.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>

#include "daxguard.h"

static const struct file_operations dg_misc_fops = { .owner = THIS_MODULE };

static struct miscdevice dg_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = DAXGUARD_MISC_NAME,
	.mode = 0600,
	.fops = &dg_misc_fops,
};

/* Takes over the strings; one that is NULL: there was no memory. */
static void dg_uevent_send(char **env, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr && env[i]; i++)
		;
	if (i == nr)
		kobject_uevent_env(&dg_misc.this_device->kobj, KOBJ_CHANGE, env);
	for (i = 0; i < nr; i++)
		kfree(env[i]);
}

void dg_uevent(const struct dg_request *req, const char *event)
{
	char *env[7] = {};
	unsigned int nr = 0;

	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_EVENT=%s", event);
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_ID=%llu", req->id);
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_DEVICE=%s", req->device);
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_DRIVER=%s", req->driver);
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_STATE=%s", dg_state_name(req->state));
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_RESULT=%s", dg_result_name(req->result));
	dg_uevent_send(env, nr);
}

/* Of the last one; there may be others since the last uevent. */
void dg_uevent_failure(u64 serial, const char *device)
{
	char *env[4] = {};
	unsigned int nr = 0;

	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_EVENT=memory-failure");
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_FAILURE=%llu", serial);
	env[nr++] = kasprintf(GFP_KERNEL, "DAXGUARD_DEVICE=%s", device);
	dg_uevent_send(env, nr);
}

int dg_uevent_init(void)
{
	return misc_register(&dg_misc);
}

void dg_uevent_exit(void)
{
	misc_deregister(&dg_misc);
}
