/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the manager-dump*.c files, and nobody else. */
#pragma once

#include "manager-acts.h"

/* Who waits for it. */
struct member {
	struct dg_process process;
	size_t rung;
};

/* Whose it is. */
struct whose {
	struct dg_process root;
	enum dg_scope scope;
	uid_t uid;
	bool trusted; /* nobody in it need be root */
	char comm[DG_COMM_LEN];
	char unit[DG_UNIT_NAME_MAX]; /* that may be stopped with it; "" for none */
};

struct dump {
	struct manager *m;
	struct incident *incident; /* NULL: it is over */
	struct dump *next;
	char id[DG_CHECKPOINT_ID_MAX];
	struct whose whose;
	char rule[DG_NAME_MAX];
	uint64_t by_us;
	bool inherited; /* it may have been made by now */
	struct member *members;
	size_t n_members;
	struct step *step; /* NULL: its turn has not come */
};

/* Of a plan entry. Why nothing is begun, or NULL. */
const char *dump_find_whose(struct incident *incident, size_t entry, struct whose *ret);

int dump_write_request(const struct dump *dump, uint64_t timeout_us, struct dg_record_writer *w);
