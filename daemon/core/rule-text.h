/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rule in the words of its language again: for people, and for who is to go on
 * with it when its file may have changed. What is read from it is the same rule.
 *
 * Lines, each with a newline; the caller's to free. NULL: no memory.
 */
#pragma once

#include "core/rule.h"

char *dg_match_text(const struct dg_match *match); /* "Unit=a.service\nUnit=!b*\n" */
char *dg_policy_section_text(const struct dg_rule *rule);
char *dg_device_section_text(const struct dg_device_rule *rule);

/*
 * All of a file but its comments; whom it is for, is said of none, only that it names
 * somebody, for dg_rule_trusts(). It fits into a line of a record whatever is in it, four
 * bytes for each: that is what DG_RULE_EXEC_BYTES_MAX is for, nothing else is long.
 */
char *dg_rule_ladder_file(const struct dg_rule *rule);

/* Of such a file: it names somebody. */
bool dg_ladder_file_trusts(const char *file);
