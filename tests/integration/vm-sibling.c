/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm-sibling FILE [unmap]: two processes with the same memory (clone(2) with CLONE_VM),
 * into which a file is mapped. Both ignore SIGTERM; SIGBUS they handle, by unmapping it
 * if that is wanted. Says "ready PID", of the other one.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LENGTH 16384

static char stack[65536] __attribute__((aligned(16)));
static void *mapped;
static int unmaps;

static void on_sigbus(int signo)
{
	(void)signo;
	if (unmaps)
		munmap(mapped, LENGTH);
}

static int sleep_for_ever(void *userdata)
{
	(void)userdata;
	for (;;)
		pause();
	return 0;
}

int main(int argc, char *argv[])
{
	int fd = argc > 1 ? open(argv[1], O_RDWR) : -1, pid;

	unmaps = argc > 2 && strcmp(argv[2], "unmap") == 0;
	if (fd < 0)
		return 1;
	mapped = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		return 1;
	signal(SIGTERM, SIG_IGN);
	signal(SIGBUS, on_sigbus);
	pid = clone(sleep_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (pid < 0)
		return 1;
	printf("ready %d\n", pid);
	fflush(stdout);
	return sleep_for_ever(NULL);
}
