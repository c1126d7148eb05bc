/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket of a manager that is none, see fake-manager.h. It is served
 * by a child, so that clients may block as real ones do.
 */
#pragma once

#include "test.h"

#include <json-c/json.h>

#include "ctl/client.h"

extern char server_dir[];
extern char server_path[]; /* of the socket */
extern pid_t server;

int server_setup(void **state);
int server_teardown(void **state);
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_setup, server_teardown)
void server_start(void);  /* another one, when the first is gone */
int server_connect(void); /* without a word; -1: not there */
const struct ctl *server_ctl(void);

void assert_json(json_object *value, const char *expected);
