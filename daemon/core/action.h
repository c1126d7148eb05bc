/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What may be done to a holder, and ladders of it.
 *
 * A ladder is for a process. Each rung is an action and the time that the
 * process has afterwards; it climbs on only while it still holds on to the
 * device.
 */
#pragma once

#include "core/holder.h"

enum dg_action {
	DG_ACTION_LEAVE,      /* nothing; it keeps what it has, and meets the revoke */
	DG_ACTION_NOTIFY,     /* the rule's Signal=, or a word to who has registered */
	DG_ACTION_SIGBUS,     /* BUS_MCEERR_AO with the address of its first mapping */
	DG_ACTION_EXEC,       /* the rule's Exec= */
	DG_ACTION_STOP,       /* its unit, by the service manager */
	DG_ACTION_FREEZE,     /* its unit, by the kernel */
	DG_ACTION_CHECKPOINT, /* its tree or unit is written to a disk, and ended */
	DG_ACTION_TERM,
	DG_ACTION_KILL,
	_DG_ACTION_MAX,
};
const char *dg_action_name(enum dg_action action);
int dg_action_from_name(const char *name, enum dg_action *ret); /* -EINVAL */

/* The grace of a rung that names none. */
uint32_t dg_action_grace_ms(enum dg_action action);

#define DG_LADDER_MAX 8

struct dg_rung {
	enum dg_action action;
	uint32_t grace_ms;
};

/*
 * Why an action would be of no use to this holder: the outcome's name, or
 * NULL when it is to be done. SIGBUS is for those who can answer it:
 * "no-handler" for who does not catch it (it would die without the TERM it
 * may handle), "blocked" for who catches it but blocks it in every thread
 * (it would stay pending, and strike later with an address of no meaning).
 * So is the signal of notify, signo; but that is sent to who blocks it, as TERM
 * is: sigwait(3) and signalfd(2) need that. Who has registered is told in its place.
 */
const char *dg_action_skipped(enum dg_action action, int signo, const struct dg_holder *holder);

/*
 * A frozen process can neither answer nor let go: what asks it to, or ends it,
 * thaws it first. It stays frozen under what does not need it to run.
 */
bool dg_action_thaws(enum dg_action action);
