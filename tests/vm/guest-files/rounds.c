/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many removals, as fast as they go: rounds [--forgiving] PFN DISK FS DIR FIRST LAST
 *
 * A round binds PFN, mounts DISK with DAX on DIR, has a process map a file there
 * that ends when it gets SIGBUS, and unbinds. After that nothing may be mounted,
 * and the process must have ended by itself. Prints "N USEC WORD" a round, USEC
 * of the unbind, WORD "clean" or what was wrong. The first wrong one is the last,
 * unless it is forgiving (somebody kills the daemon): then it tidies up, and only
 * what it cannot go on from ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DRIVER "/sys/bus/nd/drivers/nd_pmem/"
#define LENGTH (1UL << 20)
#define PATIENCE 600 /* tenths of a second */
#define TOLD 7       /* exit status of a mapper that got SIGBUS */

struct place {
	const char *pfn, *disk, *fs, *dir;
};

static void die(const char *what)
{
	fprintf(stderr, "rounds: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int write_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, word, strlen(word)) < 0)
		r = -errno;
	close(fd);
	return r;
}

static void nap(void)
{
	const struct timespec tenth = {.tv_nsec = 100000000};

	nanosleep(&tenth, NULL);
}

static void bind_and_mount(const struct place *place)
{
	int r = 0;

	r = write_word(DRIVER "bind", place->pfn);
	if (r < 0) {
		errno = -r;
		die("bind");
	}
	/* The node is devtmpfs's; an unmount of before may still be under way. */
	for (int i = 0; i < PATIENCE; i++) {
		if (mount(place->disk, place->dir, place->fs, 0, "dax=always") == 0)
			return;
		r = errno;
		nap();
	}
	errno = r;
	die("mount");
}

static void told(int signo)
{
	(void)signo;
	_exit(TOLD);
}

static void map_and_wait(const struct place *place, int ready)
{
	char path[256];
	char *at;
	int fd;

	prctl(PR_SET_NAME, "mapper");
	signal(SIGBUS, told);
	snprintf(path, sizeof(path), "%s/data", place->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, LENGTH) != 0)
		die(path);
	at = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	close(fd);
	memset(at, 'x', LENGTH);
	if (write(ready, "r", 1) != 1)
		die("ready");
	for (;;)
		pause();
}

static pid_t start_mapper(const struct place *place)
{
	int ready[2];
	char letter;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		map_and_wait(place, ready[1]);
	close(ready[1]);
	if (read(ready[0], &letter, 1) != 1)
		die("the mapper");
	close(ready[0]);
	return pid;
}

static bool is_mounted(const struct place *place)
{
	struct stat dir, above;
	char path[256];

	snprintf(path, sizeof(path), "%s/..", place->dir);
	return stat(place->dir, &dir) < 0 || stat(path, &above) < 0 || dir.st_dev != above.st_dev;
}

/* A step of a daemon that was killed may have it open for another moment. */
static void unmount_soon(const char *dir)
{
	for (int i = 0; umount2(dir, 0) < 0; i++) {
		if (errno != EBUSY || i == PATIENCE)
			die("umount");
		nap();
	}
}

/* What was left; NULL: nothing. */
static const char *tidy_up(const struct place *place, pid_t mapper)
{
	const char *wrong = NULL;
	int status;

	if (waitpid(mapper, &status, WNOHANG) == 0) {
		wrong = "the process lives";
		kill(mapper, SIGKILL);
		waitpid(mapper, &status, 0);
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != TOLD) {
		wrong = "the process was killed";
	}
	if (is_mounted(place)) {
		wrong = "still mounted";
		unmount_soon(place->dir);
	}
	return wrong;
}

static const char *play(const struct place *place, uint64_t *ret_us)
{
	pid_t mapper;
	int r;

	bind_and_mount(place);
	mapper = start_mapper(place);
	*ret_us = now_us();
	r = write_word(DRIVER "unbind", place->pfn);
	if (r < 0) {
		errno = -r;
		die("unbind");
	}
	*ret_us = now_us() - *ret_us;
	return tidy_up(place, mapper);
}

int main(int argc, char *argv[])
{
	bool forgiving = argc > 1 && strcmp(argv[1], "--forgiving") == 0;
	struct place place;

	argv += forgiving;
	if (argc - forgiving != 7)
		return 2;
	place = (struct place){argv[1], argv[2], argv[3], argv[4]};
	for (int i = atoi(argv[5]); i <= atoi(argv[6]); i++) {
		uint64_t took_us;
		const char *wrong = play(&place, &took_us);

		printf("%d %lu %s\n", i, (unsigned long)took_us, wrong ? wrong : "clean");
		fflush(stdout);
		if (wrong && !forgiving)
			return 1;
	}
	return 0;
}
