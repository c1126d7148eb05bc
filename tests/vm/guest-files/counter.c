// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs that count in a file of the device, to be stopped and to go on. What they
 * know themselves and what the file says must stay the same number, or it is wrong:
 *
 *   counter KIND FILE [ARGUMENT]   makes the file if need be, maps it, counts, and
 *                           waits to be ended; catches nothing
 *   counter show FILE       what is in it, as JSON
 *
 * Its file is written as a whole before: a mapping with MAP_SYNC is only dumped then.
 *
 *	plain		one process; it has nothing else open
 *	hole		only the first page of its file is written
 *	noted		catches USR1, says so, and goes on
 *	big MIB		has so much memory of its own
 *	tree		its child counts as well
 *	workers		one of two children counts, and they do not map it themselves
 *	locked		has the file open, with a lock of flock(2), and FILE.lock with one of
 *			fcntl(2)
 *	owned		has the file open, with a lock of fcntl(2)
 *	listening PORT	has a listening socket
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH (64UL << 10)
#define TICK_US 20000

struct counted {
	uint64_t count;  /* of who has made it */
	uint64_t child;  /* of its child */
	uint64_t starts; /* a program that goes on has not begun again */
	uint64_t wrong;  /* times when it was not what it should be */
	uint64_t pid;
	uint64_t noted;
};

static volatile struct counted *map;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* What there is of it already stays. */
static void fill(int fd, size_t n)
{
	static const char page[4096];
	struct stat status;

	if (fstat(fd, &status) < 0)
		die("fstat");
	for (off_t at = status.st_size; at < (off_t)n; at += (off_t)sizeof(page))
		if (pwrite(fd, page, sizeof(page), at) != (ssize_t)sizeof(page))
			die("pwrite");
	if (status.st_size < (off_t)LENGTH && ftruncate(fd, LENGTH) < 0)
		die("ftruncate");
}

/* filled: so many bytes of it, if it is made. */
static void map_file(const char *path, int flags, int prot, size_t filled)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	if (flags & O_CREAT)
		fill(fd, filled);
	map = mmap(NULL, LENGTH, prot, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	close(fd);
}

static _Noreturn void count(volatile uint64_t *at)
{
	uint64_t mine = *at;

	for (;;) {
		if (*at != mine)
			map->wrong++;
		*at = ++mine;
		usleep(TICK_US);
	}
}

static void begin_filled(const char *path, size_t filled)
{
	map_file(path, O_RDWR | O_CREAT, PROT_READ | PROT_WRITE, filled);
	map->pid = (uint64_t)getpid();
	map->starts++;
}

static void begin(const char *path)
{
	begin_filled(path, LENGTH);
}

static void plain(const char *path, const char *argument)
{
	(void)argument;
	begin(path);
}

static void hole(const char *path, const char *argument)
{
	(void)argument;
	begin_filled(path, 4096);
}

static void on_usr1(int signo)
{
	static const char line[] = "noted\n";

	(void)signo;
	(void)!write(STDOUT_FILENO, line, sizeof(line) - 1);
	map->noted++;
}

static void noted(const char *path, const char *argument)
{
	(void)argument;
	begin(path);
	signal(SIGUSR1, on_usr1);
}

static void big(const char *path, const char *argument)
{
	size_t bytes = strtoul(argument, NULL, 10) << 20;
	char *memory = malloc(bytes);

	if (!memory)
		die("malloc");
	for (size_t i = 0; i < bytes; i += 4096)
		memory[i] = (char)(i >> 12);
	begin(path);
}

static void tree(const char *path, const char *argument)
{
	(void)argument;
	begin(path);
	if (fork() == 0)
		count(&map->child);
}

static void workers(const char *path, const char *argument)
{
	(void)argument;
	if (fork() == 0) {
		begin(path);
		count(&map->count);
	}
	(void)!fork();
	for (;;)
		pause();
}

static void lock_owned(const char *path)
{
	struct flock whole = {.l_type = F_WRLCK};
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || fcntl(fd, F_SETLK, &whole) < 0)
		die("lock");
}

static void locked(const char *path, const char *argument)
{
	char beside[PATH_MAX];
	int fd;

	(void)argument;
	begin(path);
	fd = open(path, O_RDWR);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		die("lock");
	snprintf(beside, sizeof(beside), "%s.lock", path);
	lock_owned(beside);
}

static void owned(const char *path, const char *argument)
{
	(void)argument;
	begin(path);
	lock_owned(path);
}

static void listening(const char *path, const char *argument)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argument)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
		die("listen");
	begin(path);
}

static void show(const char *path)
{
	map_file(path, O_RDONLY, PROT_READ, 0);
	printf("{\"count\": %" PRIu64 ", \"child\": %" PRIu64 ", \"starts\": %" PRIu64
	       ", \"wrong\": %" PRIu64 ", \"pid\": %" PRIu64 ", \"noted\": %" PRIu64 "}\n",
	       map->count, map->child, map->starts, map->wrong, map->pid, map->noted);
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		void (*begin)(const char *path, const char *argument);
		int n_arguments;
	} kinds[] = {
		{"plain", plain, 0},   {"hole", hole, 0},   {"noted", noted, 0},
		{"big", big, 1},       {"tree", tree, 0},   {"workers", workers, 0},
		{"locked", locked, 0}, {"owned", owned, 0}, {"listening", listening, 1},
	};

	if (argc == 3 && strcmp(argv[1], "show") == 0) {
		show(argv[2]);
		return 0;
	}
	for (size_t i = 0; argc >= 3 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0 || argc != 3 + kinds[i].n_arguments)
			continue;
		kinds[i].begin(argv[2], argv[3]);
		count(&map->count);
	}
	fputs("usage: counter KIND FILE [ARGUMENT]\n", stderr);
	return 2;
}
