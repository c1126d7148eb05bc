/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that map what fails: poison KIND FILE OFFSET LENGTH LOG [COUNT]. What
 * happens to them goes to LOG, or of so many to LOG.0 and so on, a line each:
 *
 *	ready PID ADDRESS PFN FAULTS	of the mapping; of its first page, 0 if none;
 *					what it took to touch all of them
 *	sigbus CODE ADDRESS LSB TIME	nanoseconds, CLOCK_MONOTONIC
 *	touched			after USR1: it has read all of its pages
 *
 *	write	a shared mapping, written to; early, who asked the kernel to be told
 *	read	a shared one that was only read
 *	private	a private one that was only read; copy, of which each page was written
 *	idle	a shared one that was never touched
 *	forked	as write, in the parent of them all before they were forked
 *	ignore	as write, and ignores SIGBUS; deadly, it has no handler for it
 *	culprit	as write; after USR2 its last page fails, with MADV_HWPOISON
 *
 * And what makes it fail: poison inject FILE OFFSET LENGTH STEP, with MADV_HWPOISON,
 * of each STEPth page the whole; prints how many.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static int log_fd = -1;
static volatile char *memory;
static size_t length;
static sigjmp_buf touching;
static volatile sig_atomic_t is_touching;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void say(const char *line)
{
	size_t n = strlen(line);

	if (log_fd >= 0 && write(log_fd, line, n) != (ssize_t)n)
		_exit(99);
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	struct timespec now;
	char line[80];

	(void)signo, (void)context;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(line, sizeof(line), "sigbus %d %#lx %d %lld\n", info->si_code,
		 (unsigned long)info->si_addr, info->si_addr_lsb,
		 now.tv_sec * 1000000000LL + now.tv_nsec);
	say(line);
	if (is_touching)
		siglongjmp(touching, 1);
}

static void on_usr1(int signo)
{
	(void)signo;
	if (sigsetjmp(touching, 1) == 0) {
		is_touching = 1;
		for (size_t at = 0; at < length; at += PAGE)
			(void)memory[at];
		say("touched\n");
	}
	is_touching = 0;
}

static unsigned long page_frame(const volatile void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)address / PAGE * 8)) != 8)
		die("pagemap");
	close(fd);
	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static void map(const char *kind, const char *path, off_t offset)
{
	bool private = strcmp(kind, "private") == 0 || strcmp(kind, "copy") == 0;
	bool reader = strcmp(kind, "read") == 0 || strcmp(kind, "private") == 0;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(path);
	memory = mmap(NULL, length, reader ? PROT_READ : PROT_READ | PROT_WRITE,
		      private ? MAP_PRIVATE : MAP_SHARED, fd, offset);
	if (memory == MAP_FAILED)
		die("mmap");
	close(fd);
	for (size_t at = 0; at < length && strcmp(kind, "idle") != 0; at += PAGE) {
		(void)memory[at];
		if (!reader)
			memory[at] = 'x';
	}
}

static void on_usr2(int signo)
{
	(void)signo;
	(void)madvise((void *)(memory + length - PAGE), PAGE, MADV_HWPOISON);
}

static long count_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

static int inject(size_t step)
{
	unsigned long n = 0;

	for (size_t at = 0; at < length; at += step * PAGE, n++)
		if (madvise((void *)(memory + at), PAGE, MADV_HWPOISON) < 0)
			die("madvise");
	printf("%lu\n", n);
	return 0;
}

static void handle_signals(const char *kind)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};

	if (strcmp(kind, "ignore") == 0)
		signal(SIGBUS, SIG_IGN);
	else if (strcmp(kind, "deadly") != 0)
		sigaction(SIGBUS, &action, NULL);
	signal(SIGUSR1, on_usr1);
	if (strcmp(kind, "culprit") == 0)
		signal(SIGUSR2, on_usr2);
	if (strcmp(kind, "early") == 0 &&
	    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) < 0)
		die("prctl");
}

static void open_log(const char *path)
{
	log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0)
		die(path);
}

/* Which of them this one is, with a log of its own; they end with the first one. */
static int multiply(int count, const char *log)
{
	char path[256];
	int i;

	for (i = count - 1; i > 0; i--) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	}
	snprintf(path, sizeof(path), "%s.%d", log, i);
	open_log(path);
	return i;
}

int main(int argc, char **argv)
{
	bool forked;
	char line[96];
	long faults;

	if (argc != 6 && argc != 7)
		return 2;
	length = strtoul(argv[4], NULL, 0);
	handle_signals(argv[1]);
	forked = strcmp(argv[1], "forked") == 0;
	if (argc == 7 && !forked) {
		int i = multiply(atoi(argv[6]), argv[5]);

		/* What lies above what it maps, so that each maps it elsewhere. */
		mmap(NULL, length + (size_t)(i + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	}
	faults = count_faults();
	map(argv[1], argv[2], (off_t)strtoull(argv[3], NULL, 0));
	if (strcmp(argv[1], "inject") == 0)
		return inject(strtoul(argv[5], NULL, 0));
	faults = count_faults() - faults;
	if (forked)
		multiply(atoi(argv[6]), argv[5]);
	else if (argc == 6)
		open_log(argv[5]);
	snprintf(line, sizeof(line), "ready %d %#lx %lu %ld\n", getpid(), (unsigned long)memory,
		 page_frame(memory), faults);
	say(line);
	for (;;)
		pause();
}
