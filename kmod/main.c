// SPDX-License-Identifier: GPL-2.0-only
/*
 * daxguard: holds the removal of a pmem or DAX device for a bounded time, so
 * that a daemon can save the data and deal with the processes that use it, and
 * makes sure that no mapping of it is left before the removal goes on.
 *
 * The contract is in uapi/daxguard.h.
 */
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/uuid.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

#include "failure.h"

#define DG_CAP_MAX_MS	60000	/* below the hung task detector's 120 s */

/* requests, their states, the registration and the snapshots; see daxguard.h */
DEFINE_MUTEX(dg_lock);

/* A time that is read at each use, and cannot be set to hang a machine. */
static int dg_set_ms(const char *value, const struct kernel_param *kp)
{
	return param_set_uint_minmax(value, kp, 1, DG_CAP_MAX_MS);
}

static const struct kernel_param_ops dg_ms_ops = { .set = dg_set_ms, .get = param_get_uint };

unsigned int dg_hold_ms = 20000;
module_param_cb(hold_ms, &dg_ms_ops, &dg_hold_ms, 0644);
MODULE_PARM_DESC(hold_ms, "time a daemon has once it has taken a hold (20000)");

unsigned int dg_cap_ms = DG_CAP_MAX_MS;
module_param_cb(cap_ms, &dg_ms_ops, &dg_cap_ms, 0644);
MODULE_PARM_DESC(cap_ms, "hard cap of a hold, from its begin (60000, the maximum)");

unsigned int dg_activation_ms = 3000;
module_param_cb(activation_ms, &dg_ms_ops, &dg_activation_ms, 0644);
MODULE_PARM_DESC(activation_ms, "time to wait for a daemon to take a hold (3000)");

unsigned int dg_takeover_ms = DAXGUARD_TAKEOVER_MS;
module_param_cb(takeover_ms, &dg_ms_ops, &dg_takeover_ms, 0644);
MODULE_PARM_DESC(takeover_ms, "time to wait for another daemon once one has died (2000)");

unsigned int dg_umount_ms = 10000;
module_param_cb(umount_ms, &dg_ms_ops, &dg_umount_ms, 0644);
MODULE_PARM_DESC(umount_ms, "time to wait for an umount in flight before revoking (10000)");

unsigned int dg_lock_ms = 2000;
module_param_cb(lock_ms, &dg_ms_ops, &dg_lock_ms, 0644);
MODULE_PARM_DESC(lock_ms, "time to try for a lock of a file system or block device (2000)");

bool dg_pinned_wait;

static int dg_set_pinned(const char *value, const struct kernel_param *kp)
{
	if (sysfs_streq(value, "wait"))
		dg_pinned_wait = true;
	else if (sysfs_streq(value, "go"))
		dg_pinned_wait = false;
	else
		return -EINVAL;
	return 0;
}

static int dg_get_pinned(char *buf, const struct kernel_param *kp)
{
	return sprintf(buf, "%s\n", dg_pinned_wait ? "wait" : "go");
}

static const struct kernel_param_ops dg_pinned_ops = { .set = dg_set_pinned,
						       .get = dg_get_pinned };
module_param_cb(pinned, &dg_pinned_ops, NULL, 0644);
MODULE_PARM_DESC(pinned, "pages that stay pinned: go on at once (go) or wait up to cap_ms (wait)");

char dg_boot_id[37];

/* The boot id has no exported name; user space's file has it. */
static void dg_read_boot_id(void)
{
	struct file *file = filp_open("/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
	loff_t pos = 0;

	if (IS_ERR(file))
		return;
	if (kernel_read(file, dg_boot_id, UUID_STRING_LEN, &pos) != UUID_STRING_LEN)
		dg_boot_id[0] = '\0';
	filp_close(file, NULL);
}

static int dg_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	dg_stop_all();
	return NOTIFY_DONE;
}

static struct notifier_block dg_reboot_notifier = { .notifier_call = dg_reboot };

/* User space would be frozen while the removing task waits for it. */
static int dg_suspend(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
		if (dg_suspend_begin())
			return NOTIFY_OK;
		pr_info("suspend refused: the removal of a device is being held\n");
		return notifier_from_errno(-EBUSY);
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
		dg_suspend_end();
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

static struct notifier_block dg_pm_notifier = { .notifier_call = dg_suspend };

static int __init dg_init(void)
{
	int ret;

	dg_read_boot_id();
	dg_hold_init();
	dg_failures_init();
	ret = dg_chardev_init();
	if (ret)
		return ret;
	ret = dg_worker_init();
	if (ret)
		return ret;
	ret = dg_uevent_init();
	if (ret)
		goto worker;
	ret = dg_genl_init();
	if (ret)
		goto uevent;
	ret = register_reboot_notifier(&dg_reboot_notifier);
	if (ret)
		goto genl;
	ret = register_pm_notifier(&dg_pm_notifier);
	if (ret)
		goto reboot;
	dg_status_init();
	ret = dg_source_remove_init();
	if (ret)
		goto status;
	ret = dg_source_failure_init();
	if (ret)
		goto remove;
	return 0;
remove:
	dg_source_remove_exit();
status:
	dg_status_exit();
	unregister_pm_notifier(&dg_pm_notifier);
reboot:
	unregister_reboot_notifier(&dg_reboot_notifier);
genl:
	dg_genl_exit();
	dg_failures_exit();
uevent:
	dg_uevent_exit();
worker:
	dg_worker_exit();
	return ret;
}

static void __exit dg_exit(void)
{
	dg_source_failure_exit();
	dg_source_remove_exit();
	dg_status_exit();
	unregister_pm_notifier(&dg_pm_notifier);
	unregister_reboot_notifier(&dg_reboot_notifier);
	dg_genl_exit();
	dg_failures_exit();
	dg_worker_exit();
	dg_uevent_exit();
}

module_init(dg_init);
module_exit(dg_exit);

MODULE_AUTHOR("The daxguard developers");
MODULE_DESCRIPTION("Holds the removal of pmem and DAX devices until it is safe");
MODULE_LICENSE("GPL");
MODULE_VERSION(DG_VERSION);
