/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A burst, its clock, and who is told of what; for test-burst*.c. */
#pragma once

#include "core/burst.h"
#include "test.h"

#define PAGE 4096ULL
#define BASE (1ULL << 32)

extern struct dg_told_list told;
extern struct dg_burst burst;
extern uint64_t now;

/* Before and after each test: a burst that unmaps nothing. */
int setup(void **state);
int teardown(void **state);
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

void begin(bool unmap);
int add(uint64_t page, uint64_t n);
struct dg_burst_order next(void);
void assert_scan(uint64_t page, uint64_t n);
/* n processes from pid on, each with one mapping of so many pages at pid * 16 MiB. */
void found(pid_t pid, size_t n, uint64_t pages);
void assert_tell(pid_t pid, uint64_t page, enum dg_burst_answer answer);
/* A scan of this page finds one process that maps it; 0: none. */
void scan_finds(uint64_t page, pid_t pid);
/* It is to be told then, and this is what becomes of it. */
void told_of(uint64_t page, pid_t pid, enum dg_burst_answer answer);
void assert_over(const char *outcome);
/* The next scan, after a wait if it was put off; false: the round is over. */
bool scans(struct dg_burst_order *ret);
