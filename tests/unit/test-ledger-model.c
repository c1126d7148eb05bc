/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger against what a list of single bytes would say: thousands of random
 * reports and repairs, with room for all and with little, and written and read back.
 */
#include "test.h"

#include "core/ledger-record.h"

#define N_NAMESPACES 3
#define N_CELLS 96
#define N_ROUNDS 40
#define N_STEPS 400

struct cell {
	bool bad;
	enum dg_content content;
	uint64_t ino, delta;
	uint64_t first, last, told;
	uint32_t sources;
};

struct text {
	char *data;
	size_t n;
};

static struct cell cells[N_NAMESPACES][N_CELLS];
static uint64_t state = 0x9e3779b97f4a7c15;

static unsigned chance(unsigned below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 0x2545f4914f6cdd1d) >> 33) % below;
}

static const char *const names[N_NAMESPACES] = {"0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001",
						"0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0002", "pmem0"};
static const char *const paths[] = {"/a", "/b b\n\\", "/\xff"};

static struct dg_failure random_report(uint64_t now, unsigned *ret_ns)
{
	struct dg_failure f = {
		.offset = chance(N_CELLS), .first_ns = now, .last_ns = now, .times = 1, .seq = now};

	*ret_ns = chance(N_NAMESPACES);
	strcpy(f.ns, names[*ret_ns]);
	f.length = 1 + chance(chance(4) == 0 ? N_CELLS : 6);
	if (f.offset + f.length > N_CELLS)
		f.length = N_CELLS - f.offset;
	f.sources = 1 + chance(3);
	if (chance(2))
		strcpy(f.type, "dax page");
	if (chance(2)) {
		f.content = 1 + chance(_DG_CONTENT_MAX - 1);
		f.result[0] = 'x';
	}
	if (f.content == DG_CONTENT_FILE) {
		f.ino = 1 + chance(3);
		f.path = paths[f.ino - 1];
		f.fs_dev = DG_DEV(259, 1);
		f.file_offset = f.offset + chance(2) * 4096;
	}
	return f;
}

static void model_place(struct cell *cell, const struct dg_failure *f)
{
	if (f->content == DG_CONTENT_UNKNOWN)
		return;
	cell->content = f->content;
	cell->ino = f->ino;
	cell->delta = f->file_offset - f->offset;
}

static void model_add(struct cell *cell, const struct dg_failure *f)
{
	if (!cell->bad)
		*cell = (struct cell){.bad = true, .first = f->first_ns};
	cell->last = f->last_ns;
	cell->sources |= f->sources;
	model_place(cell, f);
}

static void append(struct text *log, enum dg_ledger_kind kind, const struct dg_failure *f)
{
	struct dg_ledger_record record = {.kind = kind, .failure = *f};
	char line[DG_LEDGER_LINE_MAX + 1];
	int n = dg_ledger_record_format(&record, line, sizeof(line));

	assert_true(n > 0);
	log->data = realloc(log->data, log->n + (size_t)n);
	memcpy(log->data + log->n, line, (size_t)n);
	log->n += (size_t)n;
}

static void step(struct dg_ledger *ledger, struct text *log, uint64_t now)
{
	unsigned ns, what = chance(12);
	struct dg_failure f = random_report(now, &ns);

	if (what < 6) {
		assert_int_equal(dg_ledger_add(ledger, &f), 0);
		append(log, DG_LEDGER_BAD, &f);
	} else if (what < 9) {
		f.repaired_ns = now;
		assert_int_equal(dg_ledger_repair(ledger, &f), 0);
		append(log, DG_LEDGER_REPAIRED, &f);
	} else if (what < 10) {
		f.told = chance(5);
		assert_int_equal(dg_ledger_tell(ledger, &f), 0);
		append(log, DG_LEDGER_TOLD, &f);
	} else {
		f.content = f.content ?: DG_CONTENT_FREE;
		assert_int_equal(dg_ledger_place(ledger, &f), 0);
		append(log, DG_LEDGER_PLACE, &f);
	}
	for (uint64_t i = f.offset; i < f.offset + f.length; i++)
		if (what < 6)
			model_add(&cells[ns][i], &f);
		else if (what < 9)
			cells[ns][i].bad = false;
		else if (what < 10)
			cells[ns][i].told += f.told;
		else
			model_place(&cells[ns][i], &f);
}

static bool is_same(const struct dg_failure *a, const struct dg_failure *b)
{
	return a->content == b->content && a->ino == b->ino && a->coarse == b->coarse &&
	       (a->content != DG_CONTENT_FILE ||
		a->file_offset - a->offset == b->file_offset - b->offset) &&
	       strcmp(a->type, b->type) == 0 && strcmp(a->result, b->result) == 0;
}

static void check_order(const struct dg_ledger *ledger, size_t max)
{
	const struct dg_failure *f, *next;
	size_t n = 0;

	for (f = NULL; (f = dg_ledger_next(ledger, f)); n++) {
		assert_true(f->length > 0 && f->offset + f->length <= N_CELLS);
		assert_false(f->repaired);
		assert_true(f->first_ns <= f->last_ns);
		next = dg_ledger_next(ledger, f);
		if (next && strcmp(f->ns, next->ns) == 0)
			assert_true(f->offset + f->length <= next->offset);
		else if (next)
			assert_true(strcmp(f->ns, next->ns) < 0);
	}
	assert_int_equal(n, dg_ledger_counts(ledger).n_bad);
	for (f = NULL; (f = dg_ledger_next_repaired(ledger, f)); n++)
		assert_true(f->repaired);
	assert_int_equal(n - dg_ledger_counts(ledger).n_bad, dg_ledger_counts(ledger).n_repaired);
	assert_true(n <= max);
}

/* exact: nothing was widened. Otherwise what is bad must be said to be, and no more is asked. */
static void check_cells(const struct dg_ledger *ledger, bool exact)
{
	for (unsigned ns = 0; ns < N_NAMESPACES; ns++)
		for (uint64_t i = 0; i < N_CELLS; i++) {
			const struct dg_failure *f = dg_ledger_find(ledger, names[ns], i);
			const struct cell *cell = &cells[ns][i];
			bool bad = f && f->offset <= i;

			if (exact)
				assert_int_equal(bad, cell->bad);
			if (!cell->bad)
				continue;
			assert_true(bad);
			assert_true(f->first_ns <= cell->first && f->last_ns >= cell->last);
			assert_int_equal(f->sources & cell->sources, cell->sources);
			assert_true(f->told >= cell->told);
			if (!exact)
				continue;
			assert_int_equal(f->content, cell->content);
			assert_int_equal(f->ino, cell->ino);
			if (f->content == DG_CONTENT_FILE)
				assert_int_equal(f->file_offset - f->offset, cell->delta);
		}
}

static void assert_same(const struct dg_failure *a, const struct dg_failure *b)
{
	assert_int_equal(!a, !b);
	if (!a)
		return;
	assert_string_equal(a->ns, b->ns);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->length, b->length);
	assert_int_equal(a->sources, b->sources);
	assert_true(is_same(a, b));
	assert_string_equal(a->path ?: "", b->path ?: "");
	assert_int_equal(a->fs_dev, b->fs_dev);
	assert_int_equal(a->file_offset, b->file_offset);
	assert_int_equal(a->first_ns, b->first_ns);
	assert_int_equal(a->last_ns, b->last_ns);
	assert_int_equal(a->times, b->times);
	assert_int_equal(a->told, b->told);
	assert_int_equal(a->repaired, b->repaired);
	assert_int_equal(a->repaired_ns, b->repaired_ns);
}

static void assert_equal(const struct dg_ledger *a, const struct dg_ledger *b)
{
	const struct dg_failure *x = NULL, *y = NULL;

	do {
		x = dg_ledger_next(a, x);
		y = dg_ledger_next(b, y);
		assert_same(x, y);
	} while (x);
	do {
		x = dg_ledger_next_repaired(a, x);
		y = dg_ledger_next_repaired(b, y);
		assert_same(x, y);
	} while (x);
}

/* In pieces of any size. */
static struct dg_ledger *read_back(const struct text *log, size_t max, uint64_t *ret_seq)
{
	struct dg_ledger *ledger = dg_ledger_new(max, 0);
	struct dg_ledger_reader reader;

	assert_int_equal(dg_ledger_reader_init(&reader, ledger), 0);
	for (size_t at = 0, n; at < log->n; at += n) {
		n = 1 + chance(700);
		n = n < log->n - at ? n : log->n - at;
		assert_int_equal(dg_ledger_read(&reader, log->data + at, n), 0);
	}
	assert_int_equal(dg_ledger_read_end(&reader), 0);
	assert_int_equal(reader.n_skipped, 0);
	*ret_seq = reader.seq;
	dg_ledger_reader_done(&reader);
	return ledger;
}

static int keep(void *userdata, const char *line, size_t n)
{
	struct text *text = userdata;

	text->data = realloc(text->data, text->n + n);
	memcpy(text->data + text->n, line, n);
	text->n += n;
	return 0;
}

static void check_files(const struct dg_ledger *ledger, const struct text *log, size_t max,
			uint64_t now)
{
	struct text snapshot = {};
	struct dg_ledger *back;
	uint64_t seq;

	back = read_back(log, max, &seq);
	assert_int_equal(seq, now);
	assert_equal(ledger, back);
	dg_ledger_free(back);
	assert_int_equal(dg_ledger_write(ledger, now, keep, &snapshot), 0);
	/* What was in the old file as well is not said twice. */
	keep(&snapshot, log->data, log->n);
	back = read_back(&snapshot, max, &seq);
	assert_int_equal(seq, now);
	assert_equal(ledger, back);
	dg_ledger_free(back);
	free(snapshot.data);
}

static void run(size_t max, bool exact)
{
	for (unsigned round = 0; round < N_ROUNDS; round++) {
		struct dg_ledger *ledger = dg_ledger_new(max, 0);
		struct text log = {};

		memset(cells, 0, sizeof(cells));
		for (uint64_t now = 1; now <= N_STEPS; now++) {
			step(ledger, &log, now);
			check_order(ledger, max > 0 ? max : DG_LEDGER_RANGES_MAX);
			check_cells(ledger, exact);
			if (now % 100 == 0)
				check_files(ledger, &log, max, now);
		}
		free(log.data);
		dg_ledger_free(ledger);
	}
}

static void with_room(void **unused)
{
	run(0, true);
}

static void with_little(void **unused)
{
	static const size_t rooms[] = {N_NAMESPACES, 7, 12, 40};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		run(rooms[i], false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_room),
		cmocka_unit_test(with_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
