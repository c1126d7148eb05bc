/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place: what lies at a place of a disk.
 *
 * First each file system on it is asked, through any mount; then what is left is
 * told of by what is known of the devices. Nothing is read of the places themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fsmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/place.h"
#include "step/files.h"
#include "step/foreign.h"
#include "step/fs-parts.h"
#include "step/fsmap.h"
#include "step/proc.h"
#include "step/ranges.h"
#include "step/stack.h"
#include "step/superblocks.h"

/* More would not fit into what the daemon takes of a step. */
#define PIECES_MAX 16384U

/* A file system that was reached, or why it was not. */
struct seen {
	dg_dev_t fs_dev;
	int error;
};

struct place {
	struct step *step;
	struct ranges ranges;
	struct stack stack;
	struct fs_part *parts;
	size_t n_parts;
	struct seen *seen;
	size_t n_seen;
	unsigned n_pieces;
	bool cut;
};

/* What a piece is told with; what is zero is left out. */
struct piece {
	size_t range;
	uint64_t offset, len;
	struct dg_owner owner;
	dg_dev_t fs_dev;
	uint64_t ino, file_offset;
	bool told, unwritten;
};

static int emit(struct place *place, const struct piece *piece)
{
	struct dg_record_writer *writer = &place->step->writer;

	if (place->n_pieces >= PIECES_MAX) {
		place->cut = true;
		return 0;
	}
	place->n_pieces++;
	dg_record_field_u64(writer, "RANGE", piece->range);
	dg_record_field_u64(writer, "OFFSET", piece->offset);
	dg_record_field_u64(writer, "LEN", piece->len);
	dg_record_field(writer, "KIND", dg_place_kind_name(piece->owner.kind));
	if (piece->owner.what[0])
		dg_record_field(writer, "WHAT", piece->owner.what);
	if (piece->fs_dev)
		dg_record_field_dev(writer, "FS_DEV", piece->fs_dev);
	if (piece->ino)
		dg_record_field_u64(writer, "INO", piece->ino);
	if (piece->ino && piece->owner.kind == DG_PLACE_FILE)
		dg_record_field_u64(writer, "FILE_OFFSET", piece->file_offset);
	if (piece->told)
		dg_record_field_u64(writer, "TOLD", 1);
	if (piece->unwritten)
		dg_record_field_u64(writer, "UNWRITTEN", 1);
	return step_emit(place->step);
}

/* One file system that is being asked. */
struct asked {
	struct place *place;
	struct files files;
	struct fsmap_span *spans;
	size_t n_spans, size;
	dg_dev_t dev; /* whose spans are collected */
	size_t range; /* likewise */
};

/* An inode's blocks are not all data of a file. */
static int refine(struct asked *asked, uint64_t ino, struct dg_owner *owner)
{
	const struct file *file = NULL;
	int r;

	r = files_get(&asked->files, ino, NULL, &file);
	if (r < 0)
		return r == -E2BIG ? 0 : r;
	if (owner->kind != DG_PLACE_FILE)
		return 0;
	if (S_ISDIR(file->mode))
		*owner = (struct dg_owner){DG_PLACE_METADATA, "directory", true};
	else if (S_ISLNK(file->mode))
		*owner = (struct dg_owner){DG_PLACE_METADATA, "symlink", true};
	else if (file->error == -ESTALE)
		/* One of its own that it does not show, or a file that is gone by now. */
		*owner = (struct dg_owner){DG_PLACE_UNKNOWN, "no-inode", true};
	return 0;
}

static int each_piece(void *userdata, const struct fsmap_piece *found)
{
	struct asked *asked = userdata;
	const struct range *range = &asked->place->ranges.items[found->span->range];
	struct piece piece = {
		.range = found->span->range,
		.offset = found->span->disk_offset + (found->offset - found->span->offset),
		.len = found->len,
		.owner = dg_owner_of(found->owner, found->flags),
		.fs_dev = asked->files.mount->dev,
		.file_offset = found->file_offset,
		.unwritten = found->flags & FMR_OF_PREALLOC,
	};
	int r;

	/* The module's word stands; only other files are added to it. */
	if (range->told && (piece.owner.kind != DG_PLACE_FILE ||
			    (found->owner == range->ino && piece.fs_dev == range->fs_dev)))
		return 0;
	if (piece.owner.is_inode) {
		piece.ino = found->owner;
		r = refine(asked, piece.ino, &piece.owner);
		if (r < 0)
			return r;
	}
	return emit(asked->place, &piece);
}

static int each_hole(void *userdata, const struct fsmap_span *span, uint64_t offset, uint64_t len,
		     int error)
{
	struct asked *asked = userdata;
	const struct piece piece = {
		.range = span->range,
		.offset = span->disk_offset + (offset - span->offset),
		.len = len,
		.owner = {.what = error < 0 ? step_result(error) : "not-told"},
		.fs_dev = asked->files.mount->dev,
	};

	return asked->place->ranges.items[span->range].told ? 0 : emit(asked->place, &piece);
}

static int collect(void *userdata, const struct stack_node *node, enum stack_where where,
		   uint64_t disk_offset, uint64_t offset, uint64_t len)
{
	struct asked *asked = userdata;
	struct fsmap_span *grown;
	size_t size;

	if (where != STACK_ON || node->dev != asked->dev)
		return 0;
	if (asked->n_spans == asked->size) {
		size = asked->size ? asked->size * 2 : 64;
		grown = reallocarray(asked->spans, size, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		asked->spans = grown;
		asked->size = size;
	}
	asked->spans[asked->n_spans++] = (struct fsmap_span){
		.offset = offset, .len = len, .disk_offset = disk_offset, .range = asked->range};
	return 1;
}

static int compare_spans(const void *a, const void *b)
{
	const struct fsmap_span *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return left->range < right->range ? -1 : left->range > right->range;
}

/* All ranges that lie on one of its devices. */
static int ask_device(struct asked *asked, int fd, dg_dev_t dev)
{
	const struct fsmap_funcs funcs = {each_piece, each_hole, asked};
	struct place *place = asked->place;
	int r = 0;

	asked->dev = dev;
	asked->n_spans = 0;
	for (size_t i = 0; i < place->ranges.n_items && r >= 0; i++) {
		asked->range = i;
		r = stack_walk(&place->stack, place->ranges.items[i].offset,
			       place->ranges.items[i].len, collect, asked);
	}
	if (r < 0 || asked->n_spans == 0)
		return r;
	qsort(asked->spans, asked->n_spans, sizeof(*asked->spans), compare_spans);
	return fsmap_ask(fd, dev, asked->spans, asked->n_spans, place->ranges.until_us, &funcs);
}

static int emit_told(struct place *place, size_t i)
{
	const struct range *range = &place->ranges.items[i];
	const struct piece piece = {
		.range = i,
		.offset = range->offset,
		.len = range->len,
		.owner = {DG_PLACE_FILE, "", true},
		.fs_dev = range->fs_dev,
		.ino = range->ino,
		.file_offset = range->file_offset,
		.told = true,
	};

	return emit(place, &piece);
}

/* The files that the module named. */
static int ask_told(struct asked *asked)
{
	struct place *place = asked->place;
	const struct file *file;
	int r = 0;

	for (size_t i = 0; i < place->ranges.n_items && r >= 0; i++) {
		const struct range *range = &place->ranges.items[i];

		if (!range->told || range->fs_dev != asked->files.mount->dev)
			continue;
		r = files_get(&asked->files, range->ino, &range->generation, &file);
		if (r >= 0 || r == -E2BIG)
			r = emit_told(place, i);
	}
	return r;
}

/* Whether names are those of pid 1's mount namespace. */
static bool is_host(const struct step *step)
{
	uint64_t here, host;

	return proc_namespace(step->proc_fd, "thread-self", "mnt", &here) < 0 ||
	       proc_namespace(step->proc_fd, "1", "mnt", &host) < 0 || here == host;
}

static int ask_all(struct asked *asked, const struct mount *mount, int fd)
{
	struct place *place = asked->place;
	uint64_t now_us, until_us = place->ranges.until_us;
	int r;

	r = ask_told(asked);
	if (r >= 0)
		r = ask_device(asked, fd, mount->dev);
	for (size_t i = 0; i < place->n_parts && r >= 0; i++)
		if (place->parts[i].fs_dev == mount->dev)
			r = ask_device(asked, fd, place->parts[i].dev);
	/* Half of the time that is left; the other half is for another file system. */
	now_us = foreign_now_us();
	if (r >= 0)
		r = files_search(&asked->files,
				 now_us < until_us ? now_us + (until_us - now_us) / 2 : now_us);
	if (r >= 0)
		r = files_report(&asked->files, place->step, is_host(place->step));
	return r;
}

static int each_superblock(struct step *step, const struct mount *mount, int fd, void *userdata)
{
	struct place *place = userdata;
	struct asked asked = {.place = place};
	struct seen *grown;
	int r;

	grown = reallocarray(place->seen, place->n_seen + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	place->seen = grown;
	grown[place->n_seen++] = (struct seen){mount->dev, fd < 0 ? fd : 0};
	if (fd < 0)
		return 0;
	files_init(&asked.files, step->proc_fd, mount, fd);
	r = ask_all(&asked, mount, fd);
	files_done(&asked.files);
	free(asked.spans);
	return r;
}

static const struct seen *find_seen(const struct place *place, dg_dev_t fs_dev)
{
	for (size_t i = 0; i < place->n_seen; i++)
		if (place->seen[i].fs_dev == fs_dev)
			return &place->seen[i];
	return NULL;
}

/* The file system on a device that may be a part of it. */
static const struct seen *find_seen_on(const struct place *place, dg_dev_t dev)
{
	const struct seen *seen = find_seen(place, dev);

	for (size_t i = 0; i < place->n_parts && !seen; i++)
		if (place->parts[i].dev == dev)
			seen = find_seen(place, place->parts[i].fs_dev);
	return seen;
}

/*
 * Nobody has it mounted, as far as we see. What udev has found on it when it last
 * looked is in its database, so that nobody needs to read the device again.
 */
static struct dg_owner owner_of_unmounted(const struct place *place, const struct stack_node *node)
{
	struct dg_owner owner = {.what = "not-mounted"};
	char path[64], line[512];
	FILE *file;

	if (fs_part_is_journal(place->step, node->name))
		return (struct dg_owner){DG_PLACE_METADATA, "log", false};
	snprintf(path, sizeof(path), "/run/udev/data/b%u:%u", DG_DEV_MAJOR(node->dev),
		 DG_DEV_MINOR(node->dev));
	file = fopen(path, "re");
	if (!file)
		return owner;
	owner = (struct dg_owner){DG_PLACE_OUTSIDE, "raw", false};
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "E:ID_FS_TYPE=", 13) == 0)
			owner = (struct dg_owner){.what = "not-mounted"};
	fclose(file);
	return owner;
}

struct rest {
	struct place *place;
	size_t range;
};

static int each_rest(void *userdata, const struct stack_node *node, enum stack_where where,
		     uint64_t disk_offset, uint64_t offset, uint64_t len)
{
	const struct rest *rest = userdata;
	const struct seen *seen = find_seen_on(rest->place, node->dev);
	struct piece piece = {.range = rest->range, .offset = disk_offset, .len = len};
	int r;

	if (where == STACK_GAP) {
		piece.owner = (struct dg_owner){DG_PLACE_OUTSIDE, "gap", false};
	} else if (where == STACK_HIDDEN) {
		piece.owner.what = "stacked";
	} else if (seen && seen->error == 0) {
		return 1;
	} else if (seen) {
		piece.owner.what = step_result(seen->error);
		piece.fs_dev = seen->fs_dev;
	} else if (node->bears) {
		return 0;
	} else {
		piece.owner = owner_of_unmounted(rest->place, node);
	}
	r = emit(rest->place, &piece);
	return r < 0 ? r : 1;
}

/* A file of a file system that was not reached. */
static int emit_unreached(struct place *place, size_t i, const struct seen *seen)
{
	struct dg_record_writer *writer = &place->step->writer;
	const struct range *range = &place->ranges.items[i];
	int r;

	r = emit_told(place, i);
	for (size_t k = 0; k < i && r >= 0; k++)
		if (place->ranges.items[k].told && place->ranges.items[k].ino == range->ino &&
		    place->ranges.items[k].fs_dev == range->fs_dev)
			return 0;
	if (r < 0)
		return r;
	dg_record_field_u64(writer, "FILE", range->ino);
	dg_record_field_dev(writer, "FS_DEV", range->fs_dev);
	dg_record_field_u64(writer, "GENERATION", range->generation);
	dg_record_field(writer, "NO_PATH", seen ? step_result(seen->error) : "not-mounted");
	return step_emit(place->step);
}

static int tell_rest(struct place *place)
{
	int r = 0;

	for (size_t i = 0; i < place->ranges.n_items && r >= 0; i++) {
		const struct range *range = &place->ranges.items[i];
		const struct seen *seen = range->told ? find_seen(place, range->fs_dev) : NULL;
		struct rest rest = {place, i};

		if (!range->told)
			r = stack_walk(&place->stack, range->offset, range->len, each_rest, &rest);
		else if (!seen || seen->error < 0)
			r = emit_unreached(place, i, seen);
	}
	return r;
}

static void add_dev(struct step *step, dg_dev_t dev)
{
	if (!step_has_dev(step, dev))
		step->devs[step->n_devs++] = dev;
}

/* Whatever may be mounted from it. */
static int set_devs(struct place *place)
{
	struct step *step = place->step;
	int r;

	step->devs = calloc(place->stack.n_nodes + place->ranges.n_items, sizeof(*step->devs));
	if (!step->devs)
		return -ENOMEM;
	for (size_t i = 0; i < place->stack.n_nodes; i++)
		add_dev(step, place->stack.nodes[i].dev);
	r = fs_parts_read(step, &place->parts, &place->n_parts);
	if (r < 0)
		return r;
	for (size_t i = 0; i < place->ranges.n_items; i++)
		if (place->ranges.items[i].told)
			add_dev(step, place->ranges.items[i].fs_dev);
	return 0;
}

static int add_part_devs(struct place *place)
{
	struct step *step = place->step;
	dg_dev_t *grown;

	grown = reallocarray(step->devs, step->n_devs + place->n_parts + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	step->devs = grown;
	for (size_t i = 0; i < place->n_parts; i++)
		add_dev(step, place->parts[i].fs_dev);
	return 0;
}

static int run(struct place *place)
{
	int r;

	r = stack_read(place->ranges.dev, &place->stack);
	if (r < 0)
		return r;
	r = set_devs(place);
	if (r >= 0)
		r = add_part_devs(place);
	if (r >= 0)
		r = superblocks_visit_own(place->step, each_superblock, place);
	step_go_home(place->step);
	if (r >= 0)
		r = tell_rest(place);
	if (r < 0)
		return r;
	dg_record_field(&place->step->writer, "END", place->cut ? "cut" : "ok");
	return step_emit(place->step);
}

int verb_place(struct step *step)
{
	struct place place = {.step = step};
	int r;

	r = ranges_read(&place.ranges);
	if (r < 0)
		return r;
	r = run(&place);
	stack_done(&place.stack);
	ranges_done(&place.ranges);
	free(place.parts);
	free(place.seen);
	return r < 0 ? r : place.cut ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}
