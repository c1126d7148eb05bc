/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every name that somebody outside may rely on, and every limit.
 *
 * Only definitions; whoever needs a number or a name takes it from here, so
 * that the tool, the daemon and the documentation cannot drift apart.
 */
#pragma once

#include "build-config.h"

/* The bus, and the same objects over the control socket. */
#define DG_BUS_NAME "org.daxguard1"
#define DG_BUS_PATH "/org/daxguard1"
#define DG_BUS_MANAGER_INTERFACE "org.daxguard1.Manager"
#define DG_BUS_DEVICE_INTERFACE "org.daxguard1.Device"
#define DG_BUS_INCIDENT_INTERFACE "org.daxguard1.Incident"
#define DG_BUS_DEVICE_PATH "/org/daxguard1/device"
#define DG_BUS_INCIDENT_PATH "/org/daxguard1/incident"

#define DG_SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

/* What polkit is asked for, see dbus/org.daxguard1.policy. */
#define DG_ACTION_RELOAD "org.daxguard1.reload"
#define DG_ACTION_REMOVE "org.daxguard1.remove"
#define DG_ACTION_FORCE_REMOVE "org.daxguard1.force-remove"
#define DG_ACTION_RESTORE "org.daxguard1.restore"
#define DG_ACTION_DELETE_CHECKPOINT "org.daxguard1.delete-checkpoint"

/* Errors of its methods. */
#define DG_BUS_ERROR_NO_SUCH_DEVICE "org.daxguard1.Error.NoSuchDevice"
#define DG_BUS_ERROR_NO_SUCH_INCIDENT "org.daxguard1.Error.NoSuchIncident"
#define DG_BUS_ERROR_NO_SUCH_PROCESS "org.daxguard1.Error.NoSuchProcess"
#define DG_BUS_ERROR_NO_SUCH_CHECKPOINT "org.daxguard1.Error.NoSuchCheckpoint"
#define DG_BUS_ERROR_NOT_RESTORED "org.daxguard1.Error.NotRestored" /* its text begins with the word why */
#define DG_BUS_ERROR_NO_MODULE "org.daxguard1.Error.NoModule"	/* or not registered with it */
#define DG_BUS_ERROR_BUSY "org.daxguard1.Error.Busy"		/* too many ask at once */
#define DG_BUS_ERROR_UNDER_WAY "org.daxguard1.Error.UnderWay"	/* it is being removed already */
#define DG_BUS_ERROR_SYSTEM_DEVICE "org.daxguard1.Error.SystemDevice"
#define DG_BUS_ERROR_TIMED_OUT "org.daxguard1.Error.TimedOut"
#define DG_BUS_ERROR_CONFIG "org.daxguard1.Error.Config"	/* refused: all is as it was */
#define DG_BUS_ERROR_LIMIT_EXCEEDED "org.daxguard1.Error.LimitExceeded"	/* of registrations */
#define DG_BUS_ERROR_FAILED "org.daxguard1.Error.Failed"

/* Paths. */
#define DG_RUN_DIR "/run/daxguard"
#define DG_CONTROL_SOCKET DG_RUN_DIR "/control"
#define DG_INCIDENTS_DIR DG_RUN_DIR "/incidents"
#define DG_STATE_DIR "/var/lib/daxguard"
#define DG_CHECKPOINTS_NAME "checkpoints" /* in the state directory */
#define DG_CHECKPOINTS_DIR DG_STATE_DIR "/" DG_CHECKPOINTS_NAME
#define DG_CHECKPOINTS_RUN_DIR DG_RUN_DIR "/checkpoints" /* requests and their results */
#define DG_CRIU "/usr/sbin/criu"
#define DG_CONFIG_NAME "daxguard/daxguardd.conf"
#define DG_POLICY_DIR_NAME "daxguard/policy.d"
#define DG_JOURNAL_SOCKET "/run/systemd/journal/socket"
#define DG_KMSG "/dev/kmsg"
#define DG_SYS_BLOCK_DIR "/sys/dev/block"
#define DG_CGROUP_DIR "/sys/fs/cgroup"
#define DG_SYSTEMD_SOCKET "unix:path=/run/systemd/private"
#define DG_JOURNAL_STREAMS "/run/systemd/journal/stdout"
#define DG_MODULE_HINT "modprobe daxguard"

/* Journal: MESSAGE_IDs, explained in catalog/daxguard.catalog. */
#define DG_MESSAGE_INCIDENT "562a92a312f64beebd4a500286a80452"	/* an incident is over */
#define DG_MESSAGE_REMOVAL "7b43f397492e49ed8e7d657bb0efd046"	/* likewise, of one by a user */
#define DG_MESSAGE_HOLDER "20b985d3b20846459973cb8c73b5e78c"	/* what one process got */
#define DG_MESSAGE_MODULE "cee204e6b22945edbb330db13f924a07"	/* module came or went */
#define DG_MESSAGE_CONFIG "0d6a14472a704913ae7591b9f3d7d1f8"	/* configuration refused */
#define DG_MESSAGE_DROPPED "8f4f1c0529ab4e64b53348eeeb09bfaa"	/* messages were dropped */
#define DG_MESSAGE_LEDGER "3a90e2e4f4a443c8a9edb19e95a88472"	/* the ledger of failures */
#define DG_MESSAGE_DAEMON "259eb5c5d7ad4e7cbae4afd2c036d7bc"	/* the daemon itself */
#define DG_MESSAGE_FAILURE "b1c3b6a0a4c84d2d9a4cb07b5b1c9f63"	/* memory has failed */
#define DG_MESSAGE_RESTORE "c8f6f0e2a1b94d64a3cf0d3c0f6a7be5"	/* of a checkpoint: done, or why not */

/* Journal fields. */
#define DG_FIELD_DEVICE "DAXGUARD_DEVICE"
#define DG_FIELD_INCIDENT "DAXGUARD_INCIDENT"
#define DG_FIELD_PID "DAXGUARD_PID"
#define DG_FIELD_ACTION "DAXGUARD_ACTION"
#define DG_FIELD_RULE "DAXGUARD_RULE"
#define DG_FIELD_RESULT "DAXGUARD_RESULT"
#define DG_FIELD_CHECKPOINT "DAXGUARD_CHECKPOINT"
#define DG_FIELD_RANGES "DAXGUARD_RANGES"
#define DG_FIELD_BYTES "DAXGUARD_BYTES"

/* Exit statuses of daxguardd. */
#define DG_EXIT_OK 0
#define DG_EXIT_FAILURE 1	/* also: not root */
#define DG_EXIT_USAGE 2
#define DG_EXIT_CONFIG 3	/* --check-config found an error */
#define DG_EXIT_SECOND 4	/* another daemon is registered */

/* Limits. What an administrator may change is in daxguardd.conf(5); these he may not. */
#define DG_INCIDENTS_OPEN_MAX 64U		/* worked on at the same time */
#define DG_HOLDERS_KEPT_MAX 16384U		/* of all incidents that are over */
#define DG_REMOVE_MSEC 3600000U			/* for a removal by a user: the longest grace of a rung */
#define DG_REMOVE_IDS 1000000000U		/* his begin above all that the module has, see manager-removal.c */
#define DG_ERRANDS_MAX 8U			/* hooks, and requests to stop, of an incident at a time */
#define DG_DUMPS_MAX 8U				/* processes that are checkpointed of an incident at a time, at most */
#define DG_OUTPUTS_MAX 256U			/* of hooks that are kept of an incident, a KiB each */
#define DG_STEPS_READY 6U			/* wait for a verb while nothing is held: a removal's */
#define DG_STORE_LOOK_MSEC 10000U		/* for a list of the checkpoints … */
#define DG_STORE_PRUNE_MSEC 120000U		/* … and to remove some, of many GiB */
#define DG_RESTORE_MSEC 60000U			/* for a checkpoint's processes to go on, … */
#define DG_RESTORE_SLACK_MSEC 20000U		/* … and for what has not ended by then to be ended */
#define DG_RECORD_MAX (8U * 1024U * 1024U)	/* bytes of one record: 4,096 holders at their longest */
#define DG_LEDGER_UNWRITTEN_MAX (8U * 1024U * 1024U)	/* bytes of it that wait for the disk */
#define DG_REGISTRATIONS_MAX 256U		/* programs that are told; FileDescriptorStoreMax= of the unit */
#define DG_REGISTRATIONS_USERS_MAX 192U		/* … of these of users */
#define DG_CONFIG_MAX (64U * 1024U)		/* bytes of daxguardd.conf */
#define DG_POLICY_ERRORS_MAX 256U		/* reported at a time */
#define DG_LOG_RING_MAX 1024U			/* messages kept while nothing may be written */
#define DG_LOG_LINE_MAX 1024U			/* bytes of one message */
#define DG_CONTROL_CLIENTS_MAX 16U		/* connections to the control socket */
#define DG_CONTROL_QUEUE_MAX 256U		/* messages a client may leave unread */
#define DG_CONTROL_REPLIES_MAX 8U		/* … and still ask for more */
#define DG_CONTROL_CALLS_MAX 16U		/* calls of root's under way, wherever they come from */
#define DG_BUS_QUEUE_MAX 256U			/* messages the system bus may leave unread */
#define DG_BUS_REPLIES_MAX 8U			/* … and still deliver calls */
#define DG_BUS_CALLS_MAX 16U			/* calls of users under way, … */
#define DG_BUS_CALLS_USER_MAX 4U		/* … and of each of them */
#define DG_BUS_STRANGERS_MAX 64U		/* calls of whom the bus has not yet named */
#define DG_BUS_FAILURES_MAX 1024U		/* ranges in one answer of ListFailures */
#define DG_BUS_ARGUMENTS_MAX 8192U		/* values and characters of one call's arguments */
#define DG_BUS_CONNECT_MSEC 20000U		/* for the bus to take us, name and all */
#define DG_BUS_AGAIN_MIN_MSEC 1000U		/* to the next attempt; doubles … */
#define DG_BUS_AGAIN_MAX_MSEC 8000U		/* … up to this */
#define DG_BUS_ANSWER_MSEC 5000U		/* for the bus to say who somebody is */
#define DG_POLKIT_MSEC 60000U			/* for polkit, and the person it may ask */
#define DG_KMSG_BURST 30U			/* in-hold lines per 5 s to /dev/kmsg */
