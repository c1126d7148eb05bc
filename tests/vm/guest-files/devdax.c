/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process that maps a device-dax: devdax DEVICE catch|deaf|open. Writes its
 * pid and then, a line each, what happens to it:
 *
 *	catch	"sigbus CODE OFFSET LSB", and it unmaps and lives on
 *	deaf	has no handler for SIGBUS; "term", and it exits
 *	open	has the device open, not mapped
 *
 * USR1: reads and writes its mapping, "touched" or "sigbus …".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH (4UL << 20)

static volatile char *memory;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* No stdio in handlers. */
static void say(const char *text)
{
	ssize_t ignored = write(STDOUT_FILENO, text, strlen(text));

	(void)ignored;
}

static void say_number(unsigned long n)
{
	char text[24], *at = text + sizeof(text);

	*--at = '\0';
	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	*--at = ' ';
	say(at);
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)context;
	say("sigbus");
	say_number((unsigned long)info->si_code);
	say_number((unsigned long)((char *)info->si_addr - (char *)memory));
	say_number((unsigned long)info->si_addr_lsb);
	say("\n");
	if (info->si_code == BUS_ADRERR)
		_exit(3);
	munmap((void *)memory, LENGTH);
	memory = NULL;
}

static void on_term(int signo)
{
	(void)signo;
	say("term\n");
	_exit(0);
}

static void on_usr1(int signo)
{
	(void)signo;
	if (memory)
		memory[4096]++;
	say("touched\n");
}

static void catch_signal(int signo, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler };

	if (sigaction(signo, &action, NULL) < 0)
		die("sigaction");
}

int main(int argc, char **argv)
{
	struct sigaction bus = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(argv[1]);
	if (strcmp(argv[2], "open") != 0) {
		memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			die("mmap");
		strcpy((char *)memory, "written by devdax");
		close(fd);
	}
	if (strcmp(argv[2], "catch") == 0 && sigaction(SIGBUS, &bus, NULL) < 0)
		die("sigaction");
	catch_signal(SIGTERM, on_term);
	catch_signal(SIGUSR1, on_usr1);
	printf("%d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
