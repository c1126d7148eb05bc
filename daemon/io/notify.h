/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager is told: READY=1, STATUS=…, WATCHDOG=1; and what it keeps
 * for the next daemon.
 *
 * As sd_notify(3), but it never waits: pid 1 may be the one that waits for a
 * held device, and it is asked for its patience in the middle of a hold.
 */
#pragma once

/* 0 also when nobody wants to know. -EAGAIN: the queue is full. Other errors of sendto(2). */
int notify_send(const char *state);

/* It keeps a copy of fd, if there is room for it. -ENOENT: there is nobody who would; as above. */
int notify_store(const char *name, int fd);
int notify_forget(const char *name); /* as notify_send() */
/* Once, at the start: what it has kept, func's to close. Errors of sd_listen_fds(3). */
int notify_stored(void (*func)(void *userdata, const char *name, int fd), void *userdata);
