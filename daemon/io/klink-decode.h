/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The module's messages as plain values.
 *
 * Pure: bytes in, values out, no socket. data is the payload of one netlink
 * message: a genlmsghdr, then attributes; it must be aligned to 4 bytes, as
 * the kernel's messages are. All or nothing: on an error *ret is untouched.
 *
 * Attributes that this daemon does not know are skipped, so that a newer
 * module may say more. What it does know must have the right type and length
 * and a value this daemon understands; what a message cannot do without must
 * be there. Anything else is -EBADMSG. -ENOMEM is the other error.
 */
#pragma once

#include <stddef.h>

#include "core/event.h"
#include "io/klink.h"

struct klink_completed {
	uint32_t token;
	int error; /* positive errno or 0 */
	bool truncated;
};

/* Free with dg_request_done(). */
int klink_decode_request(const void *data, size_t len, struct dg_request *ret);
int klink_decode_done(const void *data, size_t len, struct dg_done *ret);
int klink_decode_completed(const void *data, size_t len, struct klink_completed *ret);
int klink_decode_usage(const void *data, size_t len, struct dg_usage *ret);
int klink_decode_fs(const void *data, size_t len, struct dg_fs *ret);
int klink_decode_info(const void *data, size_t len, struct klink_info *ret);
/* Free with dg_failure_record_done(). */
int klink_decode_failure(const void *data, size_t len, struct dg_failure_record *ret);

/* The reply to SCAN, SYNC, SHUTDOWN, UNMAP and CHECK. */
int klink_decode_token(const void *data, size_t len, uint32_t *ret);

/*
 * For fuzzers: whatever kind of message data says it is (any alignment),
 * decoded and released again. 0 or an error of the above; -EOPNOTSUPP: a
 * command that only goes the other way.
 */
int klink_decode(const void *data, size_t len);
