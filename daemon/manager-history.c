/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Incidents that are over, from this daemon's time and from before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-internal.h"
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

/* By number, and by what takes most of the memory, which is locked. */
static bool is_too_much(const struct manager *m)
{
	size_t n_holders = 0;

	for (size_t i = 0; i < m->n_kept; i++)
		n_holders += m->kept[i]->n_holders;
	return m->n_kept > m->config.settings.incidents_max || n_holders > DG_HOLDERS_KEPT_MAX;
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

/* What a user asked for has ids of its own: time tells. */
static size_t oldest(const struct manager *m)
{
	size_t at = 0;

	for (size_t i = 1; i < m->n_kept; i++)
		if (m->kept[i]->began_us < m->kept[at]->began_us)
			at = i;
	return at;
}

void history_trim(struct manager *m)
{
	while (is_too_much(m)) {
		size_t at = oldest(m);

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

static int load_story(struct manager *m, struct dg_story *story)
{
	int r = close_story(m, story), kept = history_keep(m, story);

	if (kept < 0)
		story_free(story);
	else
		history_trim(m);
	return r < 0 ? r : kept;
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

		if (incident_find(m, ids[i]))
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

const struct dg_story *manager_incident_find(struct manager *m, uint64_t id)
{
	struct incident *incident = incident_find(m, id);
	size_t at = kept_below(m, id);

	if (incident)
		return incident->story;
	return at < m->n_kept && m->kept[at]->id == id ? m->kept[at] : NULL;
}

/* Two ascending lists, read as one. */
const struct dg_story *manager_incident_at(struct manager *m, size_t n)
{
	size_t open;

	for (open = 0; open < m->n_open; open++) {
		const struct dg_story *story = m->open[open]->story;
		size_t at = open + kept_below(m, m->open[open]->core.request.id);

		if (at == n)
			return story;
		if (at > n)
			break;
	}
	return n - open < m->n_kept ? m->kept[n - open] : NULL;
}
