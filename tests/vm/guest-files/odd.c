/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unusual users of a mounted file system, for what a scan must find and a
 * revoke must see: odd KIND DIR. Prints "PID TID" of who uses it when it does,
 * and then waits to be killed.
 *
 *	zombie-leader	the main thread is gone, another maps
 *	sibling		two processes share one memory (CLONE_VM); prints the second
 *	cwd, root, exe	as the name says
 *	private		a private mapping with a page of its own
 *	shared		a shared one, of any page; SIGUSR1 writes to it again
 *	reader		a shared one of the file "kept", which it may only read
 *	pipe		a page of a file is in a pipe, the file open but not mapped;
 *			SIGUSR1 drains the pipe
 *	unlinked	maps a file that has no name any more
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH (2UL << 20)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Only who is asked to stays in the directory. */
static bool stay;

static void announce(pid_t pid, pid_t tid)
{
	if (!stay && chdir("/") < 0)
		die("chdir");
	printf("%d %d\n", pid, tid);
	fflush(stdout);
}

static void wait_for_the_end(void)
{
	for (;;)
		pause();
}

static int open_file(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		die(name);
	if (posix_fallocate(fd, 0, LENGTH) != 0)
		die("posix_fallocate");
	return fd;
}

static char *map_file(int fd, int flags)
{
	char *at = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (at == MAP_FAILED)
		die("mmap");
	memset(at, 'x', LENGTH);
	return at;
}

static char *map_synced(const char *name)
{
	int fd = open_file(name);
	char *at = map_file(fd, MAP_SHARED_VALIDATE | MAP_SYNC);

	close(fd);
	return at;
}

static void *survivor(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	announce(getpid(), (pid_t)syscall(SYS_gettid));
	wait_for_the_end();
	return NULL;
}

static void zombie_leader(void)
{
	static pthread_t leader, thread;

	map_synced("odd-zombie-leader");
	leader = pthread_self();
	if (pthread_create(&thread, NULL, survivor, &leader) != 0)
		die("pthread_create");
	pthread_exit(NULL);
}

static int sibling_main(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

static void sibling(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid;

	map_synced("odd-sibling");
	pid = clone(sibling_main, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (pid < 0)
		die("clone");
	announce(pid, pid);
	wait_for_the_end();
}

static void in_root(void)
{
	if (chroot(".") < 0)
		die("chroot");
	stay = true;
	announce(getpid(), getpid());
	wait_for_the_end();
}

/* A copy of this program, run from there. */
static void exe(const char *self)
{
	char command[512];

	snprintf(command, sizeof(command), "cp '%s' odd-exe", self);
	if (system(command) != 0)
		exit(1);
	execl("./odd-exe", "odd-exe", "waiting", "/", (char *)NULL);
	die("execl");
}

static void private_mapping(void)
{
	int fd = open_file("odd-private");

	map_file(fd, MAP_PRIVATE);
	close(fd);
	announce(getpid(), getpid());
	wait_for_the_end();
}

static char *shared_at;

static void write_again(int sig)
{
	(void)sig;
	memset(shared_at, 'y', LENGTH);
}

static void shared_mapping(void)
{
	int fd = open_file("odd-shared");

	shared_at = map_file(fd, MAP_SHARED);
	close(fd);
	signal(SIGUSR1, write_again);
	announce(getpid(), getpid());
	wait_for_the_end();
}

static void reader(void)
{
	int fd = open("kept", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("kept");
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		die("mmap");
	close(fd);
	announce(getpid(), getpid());
	wait_for_the_end();
}

static int pipe_fds[2];

static void drain(int sig)
{
	static char page[4096];

	(void)sig;
	if (read(pipe_fds[0], page, sizeof(page)) < 0)
		_exit(1);
}

static void page_in_pipe(void)
{
	int fd = open_file("odd-pipe");
	char *at = map_file(fd, MAP_SHARED_VALIDATE | MAP_SYNC);
	struct iovec page = {.iov_base = at, .iov_len = 4096};

	signal(SIGUSR1, drain);
	if (pipe(pipe_fds) < 0)
		die("pipe");
	if (vmsplice(pipe_fds[1], &page, 1, 0) != 4096)
		die("vmsplice");
	if (munmap(at, LENGTH) < 0)
		die("munmap");
	announce(getpid(), getpid());
	wait_for_the_end();
}

static void unlinked(void)
{
	map_synced("odd-unlinked");
	if (unlink("odd-unlinked") < 0)
		die("unlink");
	announce(getpid(), getpid());
	wait_for_the_end();
}

static void in_directory(void)
{
	stay = true;
	announce(getpid(), getpid());
	wait_for_the_end();
}

static void waiting(void)
{
	announce(getpid(), getpid());
	wait_for_the_end();
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		void (*run)(void);
	} kinds[] = {
		{"zombie-leader", zombie_leader},
		{"sibling", sibling},
		{"cwd", in_directory},
		{"root", in_root},
		{"waiting", waiting},
		{"private", private_mapping},
		{"shared", shared_mapping},
		{"reader", reader},
		{"pipe", page_in_pipe},
		{"unlinked", unlinked},
	};

	if (argc != 3) {
		fputs("usage: odd KIND DIR\n", stderr);
		return 2;
	}
	if (chdir(argv[2]) < 0)
		die(argv[2]);
	if (strcmp(argv[1], "exe") == 0)
		exe(argv[0]);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			kinds[i].run();
	return 2;
}
