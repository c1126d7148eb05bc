/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What daxguardctl prints of a message. */
#pragma once

#include "test.h"

#include "ctl/print.h"

typedef int (*print_func)(FILE *f, const struct table_style *style, json_object *value);

/* It prints of this JSON what is expected; without a style, as to a file. */
void check_style(print_func print, const struct table_style *style, const char *json,
		 const char *expected);
void check(print_func print, const char *json, const char *expected);

/* The group's setup: what is printed has times. */
int set_zone(void **state);
