/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "core/ledger-private.h"

/* What is known of it, but what lies there; and nobody has reported it once more. */
static struct dg_failure part_of(const struct dg_failure *bad, const struct dg_failure *place)
{
	uint64_t end = bad->offset + bad->length, place_end = place->offset + place->length;
	struct dg_failure f = *bad;

	f.offset = bad->offset > place->offset ? bad->offset : place->offset;
	f.length = (end < place_end ? end : place_end) - f.offset;
	f.content = place->content;
	f.path = place->path;
	f.fs_dev = place->fs_dev;
	f.ino = place->ino;
	f.file_offset = place->content == DG_CONTENT_FILE
				? place->file_offset + (f.offset - place->offset)
				: 0;
	f.times = f.told = 0;
	if (place->seq > f.seq)
		f.seq = place->seq;
	return f;
}

int dg_ledger_place(struct dg_ledger *ledger, const struct dg_failure *place)
{
	uint64_t at = place->offset, end;
	int r = 0;

	if (!ledger_has_place(place) || !ledger_has_content(place) ||
	    place->content == DG_CONTENT_UNKNOWN)
		return -EINVAL;
	for (end = at + place->length; r >= 0 && at < end;) {
		const struct dg_failure *bad = dg_ledger_find(ledger, place->ns, at);
		struct dg_failure part;

		if (!bad || bad->offset >= end)
			break;
		part = part_of(bad, place);
		/* Any range may be another after it. */
		r = dg_ledger_add(ledger, &part);
		at = part.offset + part.length;
	}
	return r;
}
