/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every unit test begins with: cmocka wants these before itself. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIG(signo) (1ULL << ((signo)-1))
#define SEC 1000000ULL
#define MSEC 1000ULL
