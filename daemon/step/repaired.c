/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repaired: which ranges of a disk that failed are so no more.
 *
 * What was found in the disk's list of bad blocks is repaired when it is not
 * listed any more. What the kernel found in memory has a flag in its page, but
 * /proc/kpageflags shows none of a DAX device's: unless it was listed as well,
 * nobody can say.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/badblocks.h"
#include "core/repair.h"
#include "step/ranges.h"
#include "step/step.h"

#define SECTOR_SIZE 512

struct list {
	char text[DG_BADBLOCKS_PAGE];
	size_t n;
	bool is_there;
	bool is_unfinished;
	bool is_scrubbed; /* the firmware fills it */
};

struct answer {
	enum dg_repair repair;
	const char *why;
};

/*
 * The firmware is being asked for what is bad, as for minutes after a boot: it is
 * listed when that is over. ndbus0/nfit/scrub shows the number of times, and a "+".
 */
static void find_scrub(dg_dev_t dev, struct list *ret)
{
	char path[PATH_MAX], text[32];
	char *bus;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	bus = realpath(path, NULL);
	n = bus && strstr(bus, "/ndbus") ? strstr(bus, "/ndbus") - bus + 1 : 0;
	if (n > 0)
		n += (ssize_t)strcspn(bus + n, "/");
	snprintf(path, sizeof(path), "%.*s/nfit/scrub", (int)n, bus ?: "");
	free(bus);
	fd = n > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text));
	close(fd);
	ret->is_scrubbed = n > 0;
	ret->is_unfinished = n > 0 && memchr(text, '+', (size_t)n);
}

static void read_list(dg_dev_t dev, struct list *ret)
{
	char path[64];
	ssize_t n;
	int fd;

	*ret = (struct list){};
	find_scrub(dev, ret);
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/badblocks", DG_DEV_MAJOR(dev),
		 DG_DEV_MINOR(dev));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, ret->text, sizeof(ret->text));
	close(fd);
	if (n < 0)
		return;
	ret->n = (size_t)n;
	ret->is_there = true;
}

/* Why it says nothing that the range is not in the list; NULL: it is good. */
static const char *doubt(const struct list *list, const struct range *range)
{
	if (range->memory_failure && !range->listed)
		return "no-page-flags";
	if (list->is_unfinished)
		return "scrubbing";
	/* A list that nobody has filled is empty. */
	if (!list->is_scrubbed && !range->seen)
		return "never-listed";
	return NULL;
}

static struct answer judge(const struct list *list, const struct range *range)
{
	enum dg_badblocks badblocks;
	const char *why;

	if (!list->is_there)
		return (struct answer){DG_REPAIR_UNKNOWN, "no-list"};
	badblocks = dg_badblocks_find(list->text, list->n, range->offset, range->len);
	if (badblocks == DG_BADBLOCKS_LISTED)
		return (struct answer){DG_REPAIR_STILL, "listed"};
	why = doubt(list, range);
	if (!why && badblocks == DG_BADBLOCKS_UNKNOWN)
		why = "list-too-long";
	if (why)
		return (struct answer){DG_REPAIR_UNKNOWN, why};
	return (struct answer){DG_REPAIR_REPAIRED, "not-listed"};
}

/* Of a range that is listed still: what of it is so no more. */
static int tell_parts(struct step *step, const struct list *list, const struct range *range,
		      size_t number)
{
	uint64_t unit = range->memory_failure ? (uint64_t)sysconf(_SC_PAGESIZE) : SECTOR_SIZE;
	uint64_t at = range->offset, end = range->offset + range->len, len;
	int r = 0;

	if (doubt(list, range))
		return 0;
	while (r >= 0 &&
	       dg_badblocks_next_good(list->text, list->n, at, end - at, unit, &at, &len)) {
		dg_record_field_u64(&step->writer, "RANGE", number);
		dg_record_field_u64(&step->writer, "GOOD_OFFSET", at);
		dg_record_field_u64(&step->writer, "GOOD_LEN", len);
		r = step_emit(step);
		at += len;
	}
	return r;
}

static int tell(struct step *step, const struct list *list, const struct range *range,
		size_t number, const struct answer *answer)
{
	int r;

	dg_record_field_u64(&step->writer, "RANGE", number);
	dg_record_field(&step->writer, "RESULT", dg_repair_name(answer->repair));
	dg_record_field(&step->writer, "WHY", answer->why);
	r = step_emit(step);
	if (r >= 0 && answer->repair == DG_REPAIR_STILL)
		r = tell_parts(step, list, range, number);
	return r;
}

int verb_repaired(struct step *step)
{
	struct ranges ranges;
	struct list list;
	int r;

	r = ranges_read(&ranges);
	if (r < 0)
		return r;
	read_list(ranges.dev, &list);
	for (size_t i = 0; i < ranges.n_items && r >= 0; i++) {
		struct answer answer = judge(&list, &ranges.items[i]);

		r = tell(step, &list, &ranges.items[i], i, &answer);
	}
	ranges_done(&ranges);
	return r < 0 ? r : STEP_EXIT_OK;
}
