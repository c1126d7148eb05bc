/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the cases of test-keeper.c stand on: a small disk of its own, and a keeper of it. */
#pragma once

#include "../unit/test.h"
#include "keeper.h"

#define PATIENCE_US (20 * SEC)

extern const char *step_path;
extern char disk[64], dir[80], file[96], filler[96];
extern sd_event *event;
extern struct keeper *keeper;
extern char said[2048];            /* to the log */
extern int n_answers, last_answer; /* of on_answer() */

/* A mount namespace of our own; false: there is none to be had. */
bool leave(void);
int setup(void **state);
int teardown(void **state);

void open_keeper(void);
void close_keeper(void);
void load(void);
void reopen(void);

uint64_t now_us(void);
/* How long the longest turn of the loop took, in microseconds. */
uint64_t wait_until(bool (*is_so)(void));
bool is_written(void);
bool is_answered(void);
bool has_error(void);
void on_answer(void *userdata, int error);

/* Ranges that do not touch. */
struct dg_failure nth(uint64_t n);
struct keeper_batch *report(uint64_t from, uint64_t n);
size_t n_bad(void);

void append_to_file(const char *path, const char *text, size_t n);
void fill_disk(off_t left); /* all that there is room for, but so much */
