/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Incidents that are over, from this daemon's time and from before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-acts.h"
#include "names.h"

#define NOBODY_ASKED                                                                               \
	"its daemon ended in this state, and nobody went on with it: it may be asked for again"
#define NOBODY                                                                                     \
	"its daemon ended in this state, and none took over in time: the kernel went on alone"

struct dg_story *story_free(struct dg_story *story)
{
	if (!story)
		return NULL;
	dg_story_done(story);
	free(story);
	return NULL;
}

static void forget_at(struct manager *m, size_t at)
{
	uint64_t id = m->kept[at]->id;

	story_free(m->kept[at]);
	m->n_kept--;
	memmove(m->kept + at, m->kept + at + 1, (m->n_kept - at) * sizeof(*m->kept));
	OBSERVE(m, incident_forgotten, id);
}

void history_forget(struct manager *m, uint64_t id)
{
	for (size_t i = m->n_kept; i > 0; i--)
		if (m->kept[i - 1]->id == id)
			forget_at(m, i - 1);
}

/*
 * The oldest of those that are too many: by number, each kind for itself, so that a
 * module that fails page by page leaves the removals; and by what takes most of the
 * memory, which is locked. What a user asked for has ids of its own: time tells.
 * SIZE_MAX: none.
 */
static size_t too_much(const struct manager *m)
{
	size_t n[_DG_STORY_KIND_MAX] = {}, oldest[_DG_STORY_KIND_MAX] = {};
	size_t n_parts = 0, n_parts_of[_DG_STORY_KIND_MAX] = {};

	for (size_t i = 0; i < m->n_kept; i++) {
		const struct dg_story *story = m->kept[i];

		if (n[story->kind]++ == 0 ||
		    story->began_us < m->kept[oldest[story->kind]]->began_us)
			oldest[story->kind] = i;
		n_parts += story->n_holders + story->n_failures;
		n_parts_of[story->kind] += story->n_holders + story->n_failures;
	}
	for (unsigned kind = 0; kind < _DG_STORY_KIND_MAX; kind++)
		if (n[kind] > m->config.settings.incidents_max)
			return oldest[kind];
	if (n_parts <= DG_HOLDERS_KEPT_MAX)
		return SIZE_MAX;
	return n_parts_of[DG_STORY_FAILURE] > n_parts / 2 ? oldest[DG_STORY_FAILURE]
							  : oldest[DG_STORY_REMOVAL];
}

int history_keep(struct manager *m, struct dg_story *story)
{
	struct dg_story **kept;
	size_t at;

	kept = reallocarray(m->kept, m->n_kept + 1, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	m->kept = kept;
	for (at = m->n_kept; at > 0 && kept[at - 1]->id > story->id; at--)
		;
	memmove(kept + at + 1, kept + at, (m->n_kept - at) * sizeof(*kept));
	kept[at] = story;
	m->n_kept++;
	return 0;
}

void history_trim(struct manager *m)
{
	size_t at;

	while ((at = too_much(m)) != SIZE_MAX) {
		if (m->store)
			store_remove(m->store, m->kept[at]->id);
		forget_at(m, at);
	}
}

static int read_story(struct manager *m, uint64_t id, struct dg_story **ret)
{
	struct dg_story *story;
	char *text;
	size_t n;
	int r;

	r = store_read(m->store, id, DG_RECORD_MAX, &text, &n);
	if (r < 0)
		return r;
	story = calloc(1, sizeof(*story));
	r = story ? dg_story_read(text, n, story) : -ENOMEM;
	free(text);
	if (r >= 0 && story->id != id)
		r = -EBADMSG; /* not one line of it could be read */
	if (r < 0) {
		story_free(story);
		return r;
	}
	*ret = story;
	return 0;
}

/* Without an end, and not open: its daemon died, and nobody will ever know more. */
static int close_story(struct manager *m, struct dg_story *story)
{
	const struct dg_done *done = story->has_done ? &story->done : NULL;
	struct store_record *record;
	struct entry entry;
	enum dg_state state;
	int r;

	if (dg_state_is_final(story->state)) {
		units_thaw(m, NULL, story);
		return 0;
	}
	state = dg_state_when_gone(story->state, story->marks);
	r = store_record_open(m->store, story->id, DG_RECORD_MAX, &record);
	if (r < 0)
		record = NULL;
	units_thaw(m, record, story);
	entry_begin(&entry, "note");
	entry_text(&entry, "text", story->by_user ? NOBODY_ASKED : NOBODY);
	if (state == DG_STATE_ABANDONED)
		(void)!entry_write(m, &entry, record, story);
	entry_begin(&entry, "end");
	entry_text(&entry, "state", dg_state_name(state));
	entry_text(&entry, "outcome", dg_outcome(state, story->marks, done));
	r = entry_write(m, &entry, record, story);
	store_record_close(record);
	log_incident(m, story, false);
	return r == -ENOMEM ? r : 0;
}

/* A memory failure that no daemon has gone on with: the kernel does not have it any more. */
static int close_failure(struct manager *m, struct dg_story *story)
{
	struct store_record *record;
	struct entry entry;
	int r;

	if (dg_state_is_final(story->state))
		return 0;
	r = store_record_open(m->store, story->id, DG_RECORD_MAX, &record);
	if (r < 0)
		record = NULL;
	entry_begin(&entry, "end");
	entry_text(&entry, "state", dg_state_name(DG_STATE_ABANDONED));
	entry_text(&entry, "outcome", "interrupted");
	r = entry_write(m, &entry, record, story);
	store_record_close(record);
	/* Whether the ledger has it nobody knows, if the module was unloaded: it is not said. */
	log_failure(m, story, true);
	return r == -ENOMEM ? r : 0;
}

static int load_story(struct manager *m, struct dg_story *story)
{
	int r = story->kind == DG_STORY_FAILURE ? close_failure(m, story) : close_story(m, story);
	int kept = history_keep(m, story);

	if (kept < 0)
		story_free(story);
	else
		history_trim(m);
	return r < 0 ? r : kept;
}

static bool is_open(struct manager *m, uint64_t id)
{
	const struct dg_story *story;

	for (size_t i = 0; (story = failures_story(m, i)); i++)
		if (story->id == id)
			return true;
	return incident_find(m, id) != NULL;
}

int history_load(struct manager *m)
{
	uint64_t *ids;
	size_t n;
	int r;

	r = store_list(m->store, &ids, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct dg_story *story;

		if (is_open(m, ids[i]))
			continue;
		r = read_story(m, ids[i], &story);
		if (r == -EBADMSG || r == -ENOENT) {
			store_remove(m->store, ids[i]);
			continue;
		}
		if (r >= 0)
			r = load_story(m, story);
		if (r < 0)
			break;
	}
	free(ids);
	return r == -ENOMEM ? r : 0;
}

struct dg_story *history_read(struct manager *m, uint64_t id)
{
	struct dg_story *story;

	return read_story(m, id, &story) < 0 ? NULL : story;
}

static int recall(struct manager *m, uint64_t id, struct dg_told_list *told,
		  struct dg_counted_list *counted,
		  void (*func)(void *userdata, const struct dg_story *story), void *userdata)
{
	struct dg_story *story;
	char *text;
	size_t n;
	int r;

	/* Not of this boot, or nothing of it can be read: nobody was told. */
	if (read_story(m, id, &story) < 0)
		return 0;
	if (story->kind != DG_STORY_FAILURE || strcmp(story->boot_id, m->info.boot_id) != 0) {
		story_free(story);
		return 0;
	}
	func(userdata, story);
	story_free(story);
	r = store_read(m->store, id, DG_RECORD_MAX, &text, &n);
	if (r < 0)
		return r;
	r = dg_told_read(told, text, n);
	if (r >= 0)
		r = dg_counted_read(counted, text, n);
	free(text);
	return r;
}

int history_recall(struct manager *m, struct dg_told_list *told, struct dg_counted_list *counted,
		   void (*func)(void *userdata, const struct dg_story *story), void *userdata)
{
	uint64_t *ids;
	size_t n;
	int r;

	r = store_list(m->store, &ids, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r >= 0; i++)
		if (ids[i] >= DG_FAILURE_ID)
			r = recall(m, ids[i], told, counted, func, userdata);
	free(ids);
	return r;
}

void history_done(struct manager *m)
{
	for (size_t i = 0; i < m->n_kept; i++)
		story_free(m->kept[i]);
	free(m->kept);
	m->kept = NULL;
	m->n_kept = 0;
}

/* How many of those that are over have a lower id. */
static size_t kept_below(const struct manager *m, uint64_t id)
{
	size_t low = 0, high = m->n_kept;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->kept[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Open ones by ascending id: failures come after all removals. */
static const struct dg_story *open_at(const struct manager *m, size_t n)
{
	return n < m->n_open ? m->open[n]->story : failures_story(m, n - m->n_open);
}

const struct dg_story *manager_incident_find(struct manager *m, uint64_t id)
{
	const struct dg_story *story;
	size_t at = kept_below(m, id);

	for (size_t i = 0; (story = open_at(m, i)); i++)
		if (story->id == id)
			return story;
	return at < m->n_kept && m->kept[at]->id == id ? m->kept[at] : NULL;
}

/* Two ascending lists, read as one. */
const struct dg_story *manager_incident_at(struct manager *m, size_t n)
{
	const struct dg_story *story;
	size_t open;

	for (open = 0; (story = open_at(m, open)); open++) {
		size_t at = open + kept_below(m, story->id);

		if (at == n)
			return story;
		if (at > n)
			break;
	}
	return n - open < m->n_kept ? m->kept[n - open] : NULL;
}
