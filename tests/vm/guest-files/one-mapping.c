// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The plainest user of a file system: one process that has one file mapped.
 *
 *   one-mapping map FILE BYTES   makes the file, maps it shared, writes every word
 *                           of it through the mapping, prints its pid, and
 *                           waits to be ended; catches nothing
 *   one-mapping check FILE BYTES  whether every word is there; prints nothing if so
 *
 * FILE may be a block device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t word(size_t n)
{
	return (n + 1) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t *map_file(const char *path, int prot, int flags, size_t bytes)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	struct stat st;
	void *at;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	/* Blocks are there before the first fault: no surprise later. */
	if (flags & O_CREAT && S_ISREG(st.st_mode) &&
	    (errno = posix_fallocate(fd, 0, (off_t)bytes)) != 0)
		die("posix_fallocate");
	at = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	close(fd);
	return at;
}

static _Noreturn void map(const char *path, size_t bytes)
{
	uint64_t *at = map_file(path, PROT_READ | PROT_WRITE, O_RDWR | O_CREAT, bytes);

	for (size_t n = 0; n < bytes / sizeof(*at); n++)
		at[n] = word(n);
	printf("%d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}

static int check(const char *path, size_t bytes)
{
	uint64_t *at = map_file(path, PROT_READ, O_RDONLY, bytes);
	size_t wrong = 0;

	for (size_t n = 0; n < bytes / sizeof(*at); n++)
		wrong += at[n] != word(n);
	if (wrong > 0)
		printf("%s: %zu of %zu words are wrong\n", path, wrong, bytes / sizeof(*at));
	return wrong > 0;
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 4 ? strtoul(argv[3], NULL, 0) : 0;

	if (bytes > 0 && strcmp(argv[1], "map") == 0)
		map(argv[2], bytes);
	if (bytes > 0 && strcmp(argv[1], "check") == 0)
		return check(argv[2], bytes);
	fprintf(stderr, "usage: one-mapping map|check FILE BYTES\n");
	return 2;
}
