/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fuzzer without an engine.
 *
 *	fuzz-NAME DIR	an ordinary test: every file there as it is, cut at each
 *			length, with each byte changed in a few ways, and then
 *			RANDOM_RUNS inputs made of them by chance, always the same
 *	fuzz-NAME FILE	that input alone: a reproducer, or AFL's @@
 *	fuzz-NAME	the input on stdin, as AFL gives it
 *
 * Each input is a block of memory of its own, so that a sanitizer sees its end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_MAX (64 * 1024)
#define FILES_MAX 256
#define RANDOM_RUNS 4000
/* The byte-by-byte changes of a long file would take all the time there is. */
#define EACH_BYTE_MAX 600

struct input {
	uint8_t *data;
	size_t n;
};

static struct input files[FILES_MAX];
static size_t n_files;
static unsigned long n_runs;

static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (!copy)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	n_runs++;
}

static struct input read_stream(FILE *file, const char *name)
{
	struct input input = {.data = malloc(INPUT_MAX)};

	if (!file || !input.data) {
		perror(name);
		exit(1);
	}
	input.n = fread(input.data, 1, INPUT_MAX, file);
	if (file != stdin)
		fclose(file);
	return input;
}

static void run_variants(struct input input)
{
	static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x20};
	size_t step = 1 + input.n / EACH_BYTE_MAX;

	run(input.data, input.n);
	for (size_t i = 0; i < input.n; i += step) {
		run(input.data, i);
		for (size_t k = 0; k < sizeof(changes); k++) {
			input.data[i] ^= changes[k];
			run(input.data, input.n);
			input.data[i] ^= changes[k];
		}
	}
}

/* xorshift64*: the same numbers everywhere, and in every run. */
static uint32_t chance(uint32_t below)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 32) % below;
}

static void overwrite(struct input *input)
{
	static const uint64_t numbers[] = {0,          1,          4,          0x7f,
					   0x80,       0xff,       0x7fff,     0xffff,
					   0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX};
	uint64_t number = numbers[chance(sizeof(numbers) / sizeof(*numbers))];
	size_t width = (size_t)1 << chance(4), at;

	if (input->n < width)
		return;
	at = chance((uint32_t)(input->n - width + 1));
	memcpy(input->data + at, &number, width);
}

/* A piece of some file, over what is there or between it. */
static void splice(struct input *input)
{
	const struct input *from = &files[chance((uint32_t)n_files)];
	size_t at = chance((uint32_t)input->n + 1), n, start, rest = input->n - at;

	if (from->n == 0)
		return;
	start = chance((uint32_t)from->n);
	n = 1 + chance((uint32_t)(from->n - start));
	if (input->n + n > INPUT_MAX)
		return;
	if (chance(2)) {
		memmove(input->data + at + n, input->data + at, rest);
		input->n += n;
	} else if (n > rest) {
		input->n = at + n;
	}
	memcpy(input->data + at, from->data + start, n);
}

static void cut_out(struct input *input)
{
	size_t at, n;

	if (input->n == 0)
		return;
	at = chance((uint32_t)input->n);
	n = 1 + chance((uint32_t)(input->n - at));
	memmove(input->data + at, input->data + at + n, input->n - at - n);
	input->n -= n;
}

static void run_random(void)
{
	static uint8_t data[INPUT_MAX];

	for (unsigned i = 0; i < RANDOM_RUNS; i++) {
		const struct input *from = &files[chance((uint32_t)n_files)];
		struct input input = {data, from->n};

		memcpy(data, from->data, from->n);
		for (uint32_t k = 1 + chance(6); k > 0; k--) {
			switch (chance(4)) {
			case 0:
				if (input.n > 0)
					data[chance((uint32_t)input.n)] = (uint8_t)chance(256);
				break;
			case 1:
				overwrite(&input);
				break;
			case 2:
				splice(&input);
				break;
			default:
				cut_out(&input);
			}
		}
		run(input.data, input.n);
	}
}

/* In the order of their names: chance is to mean the same everywhere. */
static void read_directory(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	char name[4096];

	if (n < 0) {
		perror(path);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.' && n_files < FILES_MAX) {
			snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			files[n_files++] = read_stream(fopen(name, "rb"), name);
		}
		free(entries[i]);
	}
	free(entries);
}

static void run_one(struct input input)
{
	run(input.data, input.n);
	free(input.data);
}

int main(int argc, char *argv[])
{
	struct stat status;

	if (argc < 2) {
		run_one(read_stream(stdin, "stdin"));
		return 0;
	}
	for (int i = 1; i < argc; i++)
		if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode))
			read_directory(argv[i]);
		else
			run_one(read_stream(fopen(argv[i], "rb"), argv[i]));
	for (size_t i = 0; i < n_files; i++)
		run_variants(files[i]);
	if (n_files > 0)
		run_random();
	printf("%zu files, %lu inputs\n", n_files, n_runs);
	for (size_t i = 0; i < n_files; i++)
		free(files[i].data);
	return n_runs > 0 ? 0 : 1;
}
