/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a memory failure has ended, for people. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "print.h"
#include "text.h"

static int print_limit(FILE *f, const struct table_style *style, json_object *incident,
		       uint64_t limit)
{
	uint64_t within_us = json_num(incident, "FailureLimitUsec");
	char *text = text_format("%" PRIu64 " of %" PRIu64 " pages",
				 json_num(incident, "LimitCount"), limit);

	if (within_us > 0)
		text = text_append(text, " in ", text_duration(within_us));
	return print_line(f, style, "Limit",
			  json_flag(incident, "LimitReached") ? TABLE_BAD : TABLE_PLAIN, text);
}

/* What the device's rule wants done about it, and what came of that. */
static int print_reactions(FILE *f, const struct table_style *style, json_object *incident)
{
	uint64_t limit = json_num(incident, "FailureLimit");
	int r = 0;

	if (limit > 0)
		r = print_limit(f, style, incident, limit);
	for (size_t i = 0; r >= 0 && i < json_count(incident, "Reactions"); i++) {
		json_object *reaction = json_item(incident, "Reactions", i);
		const char *outcome = json_str(reaction, "Outcome");
		uint64_t removal = json_num(reaction, "Removal");
		char *text = text_append(json_text(reaction, "Action"), " for ",
					 json_text(reaction, "Cause"));

		text = text_append(text_append(text, " by ", json_text(reaction, "Rule")), ": ",
				   json_text(reaction, "Outcome"));
		if (removal > 0)
			text = text_append(text, ", incident ", text_format("%" PRIu64, removal));
		if (json_get(reaction, "Output"))
			text = text_append(text, ": ", json_text(reaction, "Output"));
		r = print_line(f, style, "Reaction", print_colour(outcome), text);
	}
	return r;
}

int print_failed(FILE *f, const struct table_style *style, json_object *incident)
{
	const char *outcome = json_str(incident, "Outcome");
	int r = print_line(f, style, *outcome ? "Outcome" : "State", print_colour(outcome),
			   json_text(incident, *outcome ? "Outcome" : "State"));

	if (r >= 0)
		r = print_line(f, style, "Failed", TABLE_PLAIN,
			       text_format("%" PRIu64 " ranges, %" PRIu64 " bytes",
					   json_num(incident, "FailedRanges"),
					   json_num(incident, "FailedBytes")));
	return r < 0 ? r : print_reactions(f, style, incident);
}
