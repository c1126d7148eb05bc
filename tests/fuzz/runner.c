/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Without an engine a fuzzer is an ordinary test: every file of its corpus, as
 * it is, cut at each length, and with each byte changed in a few ways. Each
 * input is a block of memory of its own, so that a sanitizer sees its end.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX (64 * 1024)

static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static unsigned long run_variants(uint8_t *data, size_t size)
{
	static const uint8_t changes[] = {0x01, 0x80, 0xff, 0x20};
	unsigned long n = 1;

	run(data, size);
	for (size_t i = 0; i < size; i++, n++)
		run(data, i);
	for (size_t i = 0; i < size; i++)
		for (size_t k = 0; k < sizeof(changes); k++, n++) {
			data[i] ^= changes[k];
			run(data, size);
			data[i] ^= changes[k];
		}
	return n;
}

static unsigned long run_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	return run_variants(data, size);
}

int main(int argc, char *argv[])
{
	unsigned long n_files = 0, n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;
		char path[4096];

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			n += run_file(path);
			n_files++;
		}
		closedir(dir);
	}
	printf("%lu files, %lu inputs\n", n_files, n);
	return n_files > 0 ? 0 : 1;
}
