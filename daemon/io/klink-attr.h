/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attributes into members: tables that say which attribute of a netlink
 * message fills which member of a structure, and the one walk that reads them.
 * See klink-decode.h for what is refused.
 */
#pragma once

#include <netlink/attr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum klink_kind {
	KLINK_U8_ENUM, /* into an int-sized enum, below limit */
	KLINK_U8_MODE, /* as that; what is not known is "unknown" */
	KLINK_U32,
	KLINK_U64,
	KLINK_STRING, /* into an array of limit bytes */
	KLINK_BYTES,  /* exactly limit bytes */
	KLINK_FLAG,   /* into a bool */
};

/* One attribute of a message and the member that it fills. */
struct klink_field {
	uint16_t type;
	enum klink_kind kind;
	bool required;
	size_t offset;
	size_t limit;
};

#define KLINK_FIELD(_type, _kind, _required, _struct, _member, _limit)                             \
	{                                                                                          \
		.type = DAXGUARD_A_##_type, .kind = KLINK_##_kind, .required = _required,          \
		.offset = offsetof(struct _struct, _member), .limit = _limit                       \
	}

struct klink_layout {
	const struct klink_field *fields;
	size_t n_fields;
};
#define KLINK_LAYOUT(_fields)                                                                      \
	{                                                                                          \
		.fields = _fields, .n_fields = sizeof(_fields) / sizeof(_fields[0])                \
	}

/*
 * Walk attributes: fill what layout lists into base; hand what it does not
 * list to other(), if there is one (nests, and what is to be skipped). 0,
 * -EBADMSG, or an error of other(). base may be half filled then.
 */
int klink_attr_decode(const void *attrs, size_t len, const struct klink_layout *layout, void *base,
		      int (*other)(void *base, const struct nlattr *attr));
int klink_attr_decode_nest(const struct nlattr *nest, const struct klink_layout *layout, void *base,
			   int (*other)(void *base, const struct nlattr *attr));
