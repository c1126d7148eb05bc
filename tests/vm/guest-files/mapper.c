/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that map a file of a mounted file system and are awkward to end:
 * mapper KIND DIR LOG [ARGUMENT…]. What happens to them goes to LOG, which must
 * not be in DIR, a line "PID EVENT VALUE" each:
 *
 *	ready KIND	it is as it should be; of a child, told by its parent
 *	signal N	it was caught, or taken from a queue
 *	let-go N	it has unmapped because of that, and lives on
 *	killed N	a child's end; exited N likewise
 *
 *	plain		catches TERM and exits, as all do of which nothing is said
 *	yielding	lets go on BUS
 *	private		a private mapping that was only read
 *	nobody		another user's
 *	siblings	two processes, one memory (CLONE_VM)
 *	zombie-leader	the main thread is gone; another lets go on TERM
 *	signalfd	all signals blocked in all threads; TERM is read, and it lets go
 *	traced		stopped by a tracer, which maps nothing
 *	pidns		pid 1 of a pid namespace, whose TERM the kernel drops
 *	stubborn	catches BUS and TERM, and maps anew each time
 *	hydra		TERM makes another of it
 *	bomb		each makes others as fast as it may, and ignores TERM
 *	stuck DEVICE	cannot be killed: it waits for a device that does not answer
 *	direct DEVICE	likewise, and the device is to write into the mapping
 *	unbinder PATH TEXT	writes TEXT to PATH, and says what came of it
 *	innocent	maps nothing
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH (2UL << 20)
#define BOMB_LENGTH (64UL << 10)
#define NOBODY 65534

static const char *kind, *directory;
static char **arguments;
static int log_fd;
static char *map;

static void die(const char *what)
{
	fprintf(stderr, "mapper %s: %s: %s\n", kind, what, strerror(errno));
	exit(1);
}

/* One write(2) each, so that lines do not mix; also from signal handlers. */
static void say(pid_t pid, const char *event, int value)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%d %s %d\n", pid, event, value);

	if (write(log_fd, line, (size_t)n) != n)
		_exit(99);
}

static void say_ready(pid_t pid)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%d ready %s\n", pid, kind);

	if (write(log_fd, line, (size_t)n) != n)
		_exit(99);
}

static int open_file(void)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, kind);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, LENGTH) != 0)
		die(path);
	return fd;
}

static void map_file(void)
{
	int fd = open_file();

	map = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	memset(map, 'x', LENGTH);
	close(fd);
}

static void let_go(int signo)
{
	munmap(map, LENGTH);
	say(getpid(), "let-go", signo);
}

static void on_exit_signal(int signo)
{
	say(getpid(), "signal", signo);
	_exit(0);
}

static void on_let_go_signal(int signo)
{
	say(getpid(), "signal", signo);
	let_go(signo);
}

static void on_signal(int signo)
{
	say(getpid(), "signal", signo);
}

static void wait_for_the_end(void)
{
	for (;;)
		pause();
}

static void plain(void)
{
	map_file();
	signal(SIGTERM, on_exit_signal);
	say_ready(getpid());
	wait_for_the_end();
}

static void yielding(void)
{
	map_file();
	signal(SIGBUS, on_let_go_signal);
	say_ready(getpid());
	wait_for_the_end();
}

static void private_mapping(void)
{
	int fd = open_file();

	map = mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		die("mmap");
	for (size_t i = 0; i < LENGTH; i += 4096)
		(void)*(volatile char *)(map + i);
	close(fd);
	signal(SIGTERM, on_exit_signal);
	say_ready(getpid());
	wait_for_the_end();
}

static void somebody_else(void)
{
	map_file();
	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		die("setuid");
	signal(SIGTERM, on_exit_signal);
	say_ready(getpid());
	wait_for_the_end();
}

static int ready_and_wait(void *unused)
{
	(void)unused;
	say_ready(getpid());
	wait_for_the_end();
	return 0;
}

static void siblings(void)
{
	static char stack[65536] __attribute__((aligned(16)));

	map_file();
	signal(SIGTERM, on_exit_signal);
	if (clone(ready_and_wait, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) < 0)
		die("clone");
	ready_and_wait(NULL);
}

static void *survivor(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	ready_and_wait(NULL);
	return NULL;
}

static void zombie_leader(void)
{
	static pthread_t leader;
	pthread_t thread;

	map_file();
	signal(SIGTERM, on_let_go_signal);
	leader = pthread_self();
	if (pthread_create(&thread, NULL, survivor, &leader) != 0)
		die("pthread_create");
	pthread_exit(NULL);
}

static void *sleeper(void *unused)
{
	(void)unused;
	wait_for_the_end();
	return NULL;
}

static void reads_its_signals(void)
{
	struct signalfd_siginfo info;
	pthread_t thread;
	sigset_t all, term;
	int fd;

	map_file();
	signal(SIGBUS, on_let_go_signal);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	fd = signalfd(-1, &term, SFD_CLOEXEC);
	if (fd < 0 || pthread_create(&thread, NULL, sleeper, NULL) != 0)
		die("signalfd");
	say_ready(getpid());
	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		say(getpid(), "signal", (int)info.ssi_signo);
		let_go((int)info.ssi_signo);
	}
}

/* Its own signals would be logged. */
static void report_end_of(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, __WALL) != child || WIFSTOPPED(status))
		if (errno == ECHILD)
			die("waitpid");
	if (WIFSIGNALED(status))
		say(child, "killed", WTERMSIG(status));
	else
		say(child, "exited", WEXITSTATUS(status));
}

static void traced(void)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		map_file();
		signal(SIGTERM, on_exit_signal);
		raise(SIGSTOP);
		wait_for_the_end();
	}
	signal(SIGTERM, on_signal);
	if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
		die("waitpid");
	if (ptrace(PTRACE_ATTACH, child, NULL, NULL) < 0 || waitpid(child, &status, 0) != child)
		die("ptrace");
	say_ready(child);
	report_end_of(child);
	wait_for_the_end();
}

static int map_and_wait(void *unused)
{
	(void)unused;
	map_file();
	wait_for_the_end();
	return 0;
}

static bool has_mapped(pid_t pid)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "grep -q '%s/%s' /proc/%d/maps", directory, kind, pid);
	return system(command) == 0;
}

static void pid_namespace(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t child = clone(map_and_wait, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, NULL);

	if (child < 0)
		die("clone");
	for (int tries = 0; !has_mapped(child); tries++) {
		if (tries == 200)
			die("the child does not map");
		usleep(50000);
	}
	say_ready(child);
	report_end_of(child);
}

static volatile sig_atomic_t again;

static void on_again_signal(int signo)
{
	say(getpid(), "signal", signo);
	munmap(map, LENGTH);
	again = 1;
}

static void stubborn(void)
{
	sigset_t both, before;

	sigemptyset(&both);
	sigaddset(&both, SIGBUS);
	sigaddset(&both, SIGTERM);
	sigprocmask(SIG_BLOCK, &both, &before);
	signal(SIGBUS, on_again_signal);
	signal(SIGTERM, on_again_signal);
	map_file();
	say_ready(getpid());
	for (;;) {
		sigsuspend(&before);
		if (again)
			map_file();
		again = 0;
	}
}

static void on_hydra_signal(int signo)
{
	say(getpid(), "signal", signo);
	if (fork() == 0)
		say_ready(getpid());
	else
		_exit(0);
}

static void hydra(void)
{
	map_file();
	signal(SIGTERM, on_hydra_signal);
	say_ready(getpid());
	wait_for_the_end();
}

/*
 * Whoever starts it limits their number (TasksMax=). A sync walks all mappings
 * of each page: few pages, or an emulated machine is at it for minutes.
 */
static void bomb(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	map_file();
	munmap(map + BOMB_LENGTH, LENGTH - BOMB_LENGTH);
	say_ready(getpid());
	for (;;) {
		(void)!fork();
		usleep(100000);
	}
}

static void *read_device(void *to)
{
	int fd = open(arguments[0], O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		die(arguments[0]);
	if (read(fd, to, 4096) < 0)
		die("read");
	return NULL;
}

/* Uninterruptible is what /proc calls D. */
static bool is_stuck(void)
{
	char command[64];

	snprintf(command, sizeof(command), "grep -q '^State:.D' /proc/%d/task/*/status", getpid());
	return system(command) == 0;
}

static void wait_for_device(bool into_mapping)
{
	pthread_t thread;
	void *page = NULL;

	map_file();
	if (into_mapping)
		page = map;
	else if (posix_memalign(&page, 4096, 4096) != 0)
		die("posix_memalign");
	signal(SIGTERM, on_exit_signal);
	if (pthread_create(&thread, NULL, read_device, page) != 0)
		die("pthread_create");
	for (int tries = 0; !is_stuck(); tries++) {
		if (tries == 200)
			die("the device answers");
		usleep(50000);
	}
	say_ready(getpid());
	wait_for_the_end();
}

static void stuck(void)
{
	wait_for_device(false);
}

static void direct(void)
{
	wait_for_device(true);
}

static sigjmp_buf lost;

static void on_lost(int signo)
{
	siglongjmp(lost, signo);
}

static void unbinder(void)
{
	int fd = open(arguments[0], O_WRONLY | O_CLOEXEC);
	ssize_t n = (ssize_t)strlen(arguments[1]);

	if (fd < 0)
		die(arguments[0]);
	map_file();
	signal(SIGTERM, on_signal);
	signal(SIGBUS, on_signal);
	say_ready(getpid());
	say(getpid(), "wrote", write(fd, arguments[1], (size_t)n) == n ? 0 : errno);
	signal(SIGBUS, on_lost);
	if (sigsetjmp(lost, 1) == 0)
		say(getpid(), "read", *(volatile char *)map);
	else
		say(getpid(), "lost", SIGBUS);
}

static void innocent(void)
{
	for (int signo = 1; signo < 32; signo++)
		signal(signo, on_signal);
	say_ready(getpid());
	wait_for_the_end();
}

int main(int argc, char *argv[])
{
	static const struct {
		const char *name;
		void (*run)(void);
		int n_arguments;
	} kinds[] = {
		{"plain", plain, 0},
		{"yielding", yielding, 0},
		{"private", private_mapping, 0},
		{"nobody", somebody_else, 0},
		{"siblings", siblings, 0},
		{"zombie-leader", zombie_leader, 0},
		{"signalfd", reads_its_signals, 0},
		{"traced", traced, 0},
		{"pidns", pid_namespace, 0},
		{"stubborn", stubborn, 0},
		{"hydra", hydra, 0},
		{"bomb", bomb, 0},
		{"stuck", stuck, 1},
		{"direct", direct, 1},
		{"unbinder", unbinder, 2},
		{"innocent", innocent, 0},
	};

	for (size_t i = 0; argc >= 4 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0 || argc != 4 + kinds[i].n_arguments)
			continue;
		kind = argv[1];
		directory = argv[2];
		arguments = argv + 4;
		log_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log_fd < 0)
			die(argv[3]);
		kinds[i].run();
		return 0;
	}
	fputs("usage: mapper KIND DIR LOG [ARGUMENT...]\n", stderr);
	return 2;
}
