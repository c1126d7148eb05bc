// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * crowd N FILE: N processes that map a page of FILE and do nothing. Says "ready"
 * when they all do, and stays until they are gone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int stay(const char *path, int ready)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char *map;

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		return 1;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 1;
	close(fd);
	*map = 1;
	close(ready);
	for (;;)
		pause();
}

int main(int argc, char *argv[])
{
	int n = argc == 3 ? atoi(argv[1]) : 0, ready[2];
	char nothing;

	if (n <= 0 || pipe(ready) < 0)
		return 2;
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			close(ready[0]);
			_exit(stay(argv[2], ready[1]));
		}
	}
	/* Each has a copy of the other end, until it maps. */
	close(ready[1]);
	if (read(ready[0], &nothing, 1) != 0)
		return 1;
	printf("ready\n");
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 0;
}
