/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ledger-private.h"

static void drop_path(struct dg_ledger *ledger, struct ledger_range *range)
{
	if (range->f.path)
		ledger->n_path_bytes -= strlen(range->f.path) + 1;
	free((char *)range->f.path);
	range->f.path = NULL;
}

/* Of its own, or none: the rest of what is known is worth more than no range at all. */
static void keep_path(struct dg_ledger *ledger, struct ledger_range *range)
{
	const char *path = range->f.path;
	size_t size = path ? strlen(path) + 1 : 0;

	range->f.path = NULL;
	if (size > 0 && size <= ledger->paths_max - ledger->n_path_bytes)
		range->f.path = strdup(path);
	if (range->f.path)
		ledger->n_path_bytes += size;
	else if (path)
		ledger->counts.n_pathless++;
}

void ledger_range_free(struct dg_ledger *ledger, struct ledger_range *range)
{
	if (!range)
		return;
	drop_path(ledger, range);
	free(range);
}

static bool is_word(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return n < size;
}

bool ledger_has_place(const struct dg_failure *f)
{
	return f->ns[0] && is_word(f->ns, sizeof(f->ns)) && f->length > 0 &&
	       f->length <= INT64_MAX && f->offset <= INT64_MAX - f->length;
}

bool ledger_has_content(const struct dg_failure *f)
{
	return f->content < _DG_CONTENT_MAX &&
	       (!f->path || strnlen(f->path, DG_LEDGER_PATH_MAX) < DG_LEDGER_PATH_MAX);
}

bool ledger_is_valid(const struct dg_failure *f)
{
	return ledger_has_place(f) && f->sources && !(f->sources & ~(uint32_t)_DG_SOURCE_ALL) &&
	       is_word(f->type, sizeof(f->type)) && is_word(f->result, sizeof(f->result)) &&
	       ledger_has_content(f);
}

struct ledger_range *ledger_range_new(struct dg_ledger *ledger, const struct dg_failure *f,
				      uint64_t offset, uint64_t length)
{
	struct ledger_range *range = calloc(1, sizeof(*range));

	if (!range)
		return NULL;
	range->f = *f;
	range->f.file_offset += offset - f->offset;
	range->f.offset = offset;
	range->f.length = length;
	keep_path(ledger, range);
	return range;
}

void ledger_insert(struct dg_ledger *ledger, struct ledger_range *range)
{
	range->f.repaired = false;
	range->f.repaired_ns = 0;
	ledger_tree_insert(&ledger->bad, range);
	ledger->counts.n_bad++;
}

void ledger_take_out(struct dg_ledger *ledger, struct ledger_range *range)
{
	ledger_tree_remove(&ledger->bad, range);
	ledger->counts.n_bad--;
}

void ledger_absorb(struct dg_failure *f, const struct dg_failure *other)
{
	if (other->first_ns < f->first_ns)
		f->first_ns = other->first_ns;
	if (other->last_ns > f->last_ns)
		f->last_ns = other->last_ns;
	if (other->seq > f->seq)
		f->seq = other->seq;
	f->times = ledger_sum(f->times, other->times);
	f->told = ledger_sum(f->told, other->told);
	f->sources |= other->sources;
	if (!f->type[0])
		memcpy(f->type, other->type, sizeof(f->type));
	if (!f->result[0])
		memcpy(f->result, other->result, sizeof(f->result));
}

static bool same_path(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool ledger_is_same(const struct dg_failure *a, const struct dg_failure *b)
{
	return a->content == b->content && a->coarse == b->coarse && a->fs_dev == b->fs_dev &&
	       a->ino == b->ino && dg_failure_is_listed(a) == dg_failure_is_listed(b) &&
	       (a->content != DG_CONTENT_FILE ||
		a->file_offset - a->offset == b->file_offset - b->offset) &&
	       strcmp(a->type, b->type) == 0 && strcmp(a->result, b->result) == 0 &&
	       same_path(a->path, b->path);
}

void ledger_unite(struct dg_failure *f, const struct dg_failure *other)
{
	uint64_t end = f->offset + f->length, other_end = other->offset + other->length;

	if (other->offset < f->offset) {
		f->file_offset -= f->offset - other->offset;
		f->offset = other->offset;
	}
	f->length = (end > other_end ? end : other_end) - f->offset;
	ledger_absorb(f, other);
}

void ledger_resize(struct dg_ledger *ledger, struct ledger_range *range, uint64_t end)
{
	range->f.length = end - range->f.offset;
	ledger_tree_resized(&ledger->bad, range);
}

void ledger_begin_at(struct dg_ledger *ledger, struct ledger_range *range, uint64_t offset)
{
	uint64_t by = offset - range->f.offset;

	ledger_take_out(ledger, range);
	range->f.offset += by;
	range->f.file_offset += by;
	range->f.length -= by;
	ledger_insert(ledger, range);
}

bool ledger_is_of(const struct ledger_range *range, const char *ns)
{
	return range && strcmp(range->f.ns, ns) == 0;
}

struct ledger_range *ledger_following(const struct dg_ledger *ledger,
				      const struct ledger_range *range)
{
	return ledger_tree_above(&ledger->bad, range->f.ns, range->f.offset);
}

static void forget_oldest(struct dg_ledger *ledger)
{
	struct ledger_range *range = ledger->oldest;

	ledger->oldest = range->newer;
	if (ledger->oldest)
		ledger->oldest->older = NULL;
	else
		ledger->newest = NULL;
	ledger->counts.n_repaired--;
	ledger->counts.n_forgotten++;
	ledger_range_free(ledger, range);
}

/* What is known of both is known of the wide one. */
static void widen(struct dg_ledger *ledger, struct ledger_range *range)
{
	struct ledger_range *next = ledger_tree_above(&ledger->bad, range->f.ns, range->f.offset);
	struct dg_failure *f = &range->f;

	ledger_take_out(ledger, next);
	if (f->content != next->f.content)
		f->content = DG_CONTENT_UNKNOWN;
	if (f->fs_dev != next->f.fs_dev || f->ino != next->f.ino ||
	    !same_path(f->path, next->f.path)) {
		drop_path(ledger, range);
		f->fs_dev = f->ino = f->file_offset = 0;
	}
	if (strcmp(f->type, next->f.type) != 0)
		f->type[0] = next->f.type[0] = '\0';
	if (strcmp(f->result, next->f.result) != 0)
		f->result[0] = next->f.result[0] = '\0';
	ledger_absorb(f, &next->f);
	f->coarse = true;
	ledger_resize(ledger, range, ledger_end(next));
	ledger_range_free(ledger, next);
	ledger->counts.n_widened++;
}

int ledger_trim(struct dg_ledger *ledger)
{
	while (ledger->counts.n_bad + ledger->counts.n_repaired > ledger->ranges_max) {
		struct ledger_range *nearest = ledger_tree_nearest(&ledger->bad);

		if (ledger->oldest)
			forget_oldest(ledger);
		else if (nearest)
			widen(ledger, nearest);
		else
			return -ENOSPC;
	}
	return 0;
}

int ledger_insert_new(struct dg_ledger *ledger, struct ledger_range *new)
{
	int r;

	ledger_insert(ledger, new);
	r = ledger_trim(ledger);
	if (r < 0) {
		ledger_take_out(ledger, new);
		ledger_range_free(ledger, new);
		ledger->counts.n_refused++;
	}
	return r;
}
