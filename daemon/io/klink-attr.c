/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/event.h"
#include "io/klink-attr.h"

static int fill_enum(const struct nlattr *attr, const struct klink_field *field, void *to)
{
	int value;

	if (nla_len(attr) != sizeof(uint8_t))
		return -EBADMSG;
	value = *(uint8_t *)nla_data(attr);
	if (value >= (int)field->limit) {
		if (field->kind != KLINK_U8_MODE)
			return -EBADMSG;
		value = DG_MODE_UNKNOWN;
	}
	memcpy(to, &value, sizeof(value));
	return 0;
}

static int fill_string(const struct nlattr *attr, const struct klink_field *field, void *to)
{
	size_t len = (size_t)nla_len(attr);

	/* One NUL, at the end; short enough. */
	if (len == 0 || len > field->limit || strnlen(nla_data(attr), len) != len - 1)
		return -EBADMSG;
	memcpy(to, nla_data(attr), len);
	return 0;
}

static int fill(const struct nlattr *attr, const struct klink_field *field, void *to)
{
	size_t size;

	switch (field->kind) {
	case KLINK_U8_ENUM:
	case KLINK_U8_MODE:
		return fill_enum(attr, field, to);
	case KLINK_STRING:
		return fill_string(attr, field, to);
	case KLINK_FLAG:
		*(bool *)to = true;
		return nla_len(attr) == 0 ? 0 : -EBADMSG;
	case KLINK_U32:
		size = sizeof(uint32_t);
		break;
	case KLINK_U64:
		size = sizeof(uint64_t);
		break;
	case KLINK_BYTES:
	default:
		size = field->limit;
		break;
	}
	if ((size_t)nla_len(attr) != size)
		return -EBADMSG;
	memcpy(to, nla_data(attr), size);
	return 0;
}

int klink_attr_decode(const void *attrs, size_t len, const struct klink_layout *layout, void *base,
		      int (*other)(void *base, const struct nlattr *attr))
{
	struct nlattr *attr;
	uint64_t seen = 0;
	int rem, r;

	assert(layout->n_fields <= 64);
	if (len > INT_MAX)
		return -EBADMSG;
	/*
	 * libnl's walkers want it writable; nothing here writes. The padding of
	 * the last attribute may be missing: then rem ends below 0.
	 */
	for (attr = (struct nlattr *)attrs, rem = (int)len; rem > 0 && nla_ok(attr, rem);
	     attr = nla_next(attr, &rem)) {
		size_t i;

		for (i = 0; i < layout->n_fields; i++)
			if (layout->fields[i].type == nla_type(attr))
				break;
		if (i < layout->n_fields) {
			r = fill(attr, &layout->fields[i], (char *)base + layout->fields[i].offset);
			seen |= UINT64_C(1) << i;
		} else {
			r = other ? other(base, attr) : 0;
		}
		if (r < 0)
			return r;
	}
	if (rem > 0)
		return -EBADMSG;
	for (size_t i = 0; i < layout->n_fields; i++)
		if (layout->fields[i].required && !(seen & UINT64_C(1) << i))
			return -EBADMSG;
	return 0;
}

int klink_attr_decode_nest(const struct nlattr *nest, const struct klink_layout *layout, void *base,
			   int (*other)(void *base, const struct nlattr *attr))
{
	return klink_attr_decode(nla_data(nest), (size_t)nla_len(nest), layout, base, other);
}
