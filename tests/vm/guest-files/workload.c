// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The processes and files of the guest tests: six processes that map files of
 * a DAX file system, each of a kind that a removal must treat in a way of its
 * own, and a thousand small files that nobody synced.
 *
 *   workload start DIR LOG   makes it all in DIR; returns when it stands, and
 *                            leaves the processes and a supervisor behind;
 *                            prints who they are, as one JSON object
 *   workload dump LOG        what happened to them, one JSON object a line
 *   workload verify DIR      whether all files and bytes are there, as JSON
 *
 * LOG must not be in DIR: it is what remains to be read. Its records are of
 * fixed size and written by one write(2) each, which a signal handler may do
 * and which do not mix.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
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

#define MAP_BYTES ((size_t)16 << 20)
#define SMALL_FILES 1000
#define SMALL_MAX 4000

enum {
	TAKES_BUS = 1 << 0,  /* catches SIGBUS: unmaps, closes, lives on */
	TAKES_TERM = 1 << 1, /* catches SIGTERM and exits */
	LETS_GO = 1 << 2,    /* catches SIGTERM: unmaps, closes, lives on */
	BLOCKS = 1 << 3,     /* blocks SIGBUS and SIGTERM */
	STOPPED = 1 << 4,    /* stopped by SIGSTOP */
	PRIVATE = 1 << 5,    /* MAP_PRIVATE, half of it changed */
	OWN_MOUNTS = 1 << 6, /* in a mount namespace of its own */
};

static const struct role {
	const char *name;
	unsigned int traits;
} roles[] = {
	{ "term", TAKES_TERM },
	{ "sigbus", TAKES_BUS | TAKES_TERM },
	{ "blocker", BLOCKS },
	{ "stopped", STOPPED },
	{ "private", PRIVATE | TAKES_TERM },
	{ "mountns", OWN_MOUNTS | LETS_GO },
};
#define N_ROLES (sizeof(roles) / sizeof(roles[0]))

enum event { READY, SIGNAL, LET_GO, PENDING, TOUCHED, TOUCH_FAULT, EXITED, KILLED, N_EVENTS };
static const char *const event_names[N_EVENTS] = {
	"ready", "signal", "let-go", "pending", "touched", "touch-fault", "exited", "killed",
};

struct record {
	int64_t ns; /* CLOCK_MONOTONIC */
	uint64_t addr;
	int32_t role, event, pid, signo, code, lsb, value;
	int32_t pad;
};

static int log_fd = -1;
static int me; /* index of this process's role */
static unsigned char *map;
static int map_fd = -1;
static volatile sig_atomic_t touching;
static sigjmp_buf touch_failed;

static void die(const char *what)
{
	fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void record(struct record r)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	r.ns = now.tv_sec * 1000000000LL + now.tv_nsec;
	if (write(log_fd, &r, sizeof(r)) != sizeof(r))
		_exit(99);
}

/* The byte that belongs at an offset of a role's file. */
static uint64_t pattern(unsigned int role, uint64_t word)
{
	return (word + 1) * 0x9e3779b97f4a7c15ULL ^ (uint64_t)(role + 1) << 56;
}

static size_t small_file(unsigned int n, char *to)
{
	size_t size = 40 + n * 37 % (SMALL_MAX - 40);
	int head = snprintf(to, SMALL_MAX, "small file number %u of %u\n", n, SMALL_FILES);

	for (size_t i = head; i < size; i++)
		to[i] = 'a' + (i * 7 + n) % 26;
	return size;
}

static void let_go(void)
{
	munmap(map, MAP_BYTES);
	close(map_fd);
	map = NULL;
	record((struct record){ .role = me, .event = LET_GO, .pid = getpid() });
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)context;
	record((struct record){
		.role = me, .event = SIGNAL, .pid = getpid(), .signo = signo, .code = info->si_code,
		.addr = signo == SIGBUS ? (uintptr_t)info->si_addr : 0,
		/* Valid for these two codes only. */
		.lsb = signo == SIGBUS && (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO) ?
				info->si_addr_lsb : -1,
	});
	if (signo == SIGTERM && roles[me].traits & TAKES_TERM)
		_exit(0);
	if (map)
		let_go();
	if (signo == SIGBUS && touching)
		siglongjmp(touch_failed, 1);
}

/* The last word that this process wrote through its mapping. */
static size_t touched_word(void)
{
	return MAP_BYTES / 8 / (roles[me].traits & PRIVATE ? 2 : 1) - 1;
}

/* Asked by the test: is the memory still there, are private changes? */
static void on_touch(int signo)
{
	uint64_t word = 0;

	(void)signo;
	if (!map)
		return;
	if (sigsetjmp(touch_failed, 1)) {
		touching = 0;
		record((struct record){ .role = me, .event = TOUCH_FAULT, .pid = getpid() });
		return;
	}
	touching = 1;
	word = ((volatile uint64_t *)map)[touched_word()];
	touching = 0;
	if (roles[me].traits & PRIVATE)
		word = ~word;
	record((struct record){ .role = me, .event = TOUCHED, .pid = getpid(),
				.value = word == pattern(me, touched_word()) });
}

static void map_file(const char *dir)
{
	bool private = roles[me].traits & PRIVATE;
	char path[PATH_MAX];
	uint64_t *words;

	snprintf(path, sizeof(path), "%s/%s.bin", dir, roles[me].name);
	map_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (map_fd < 0 || fallocate(map_fd, 0, 0, MAP_BYTES) < 0)
		die(path);
	map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, map_fd, 0);
	if (map == MAP_FAILED)
		die("mmap MAP_SYNC (is this a DAX file system?)");
	words = (uint64_t *)map;
	for (size_t i = 0; i < MAP_BYTES / 8; i++)
		words[i] = pattern(me, i);
	if (!private)
		return;
	munmap(map, MAP_BYTES);
	map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, map_fd, 0);
	if (map == MAP_FAILED)
		die("mmap MAP_PRIVATE");
	words = (uint64_t *)map;
	for (size_t i = 0; i < MAP_BYTES / 16; i++)
		words[i] = ~words[i];
	/* The other half is mapped, too, but still the file's memory. */
	for (size_t i = MAP_BYTES / 2; i < MAP_BYTES; i += 4096)
		(void)*(volatile unsigned char *)(map + i);
}

static void catch(int signo, bool with_info)
{
	struct sigaction sa = { .sa_flags = with_info ? SA_SIGINFO : 0 };

	if (with_info)
		sa.sa_sigaction = on_signal;
	else
		sa.sa_handler = on_touch;
	sigaction(signo, &sa, NULL);
}

static void __attribute__((noreturn)) play_role(const char *dir)
{
	unsigned int traits = roles[me].traits;
	sigset_t set;

	prctl(PR_SET_NAME, roles[me].name);
	if (traits & OWN_MOUNTS) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			die("unshare");
	}
	map_file(dir);
	if (traits & TAKES_BUS)
		catch(SIGBUS, true);
	if (traits & (TAKES_TERM | LETS_GO))
		catch(SIGTERM, true);
	catch(SIGUSR1, false);
	if (traits & BLOCKS) {
		sigemptyset(&set);
		sigaddset(&set, SIGBUS);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
	}
	record((struct record){ .role = me, .event = READY, .pid = getpid(), .addr = (uintptr_t)map });
	if (traits & STOPPED)
		raise(SIGSTOP);
	for (;;)
		pause();
}

static void make_small_files(const char *dir)
{
	char path[PATH_MAX], data[SMALL_MAX];

	snprintf(path, sizeof(path), "%s/small", dir);
	if (mkdir(path, 0755) < 0)
		die(path);
	for (unsigned int n = 0; n < SMALL_FILES; n++) {
		size_t size = small_file(n, data);
		int fd;

		snprintf(path, sizeof(path), "%s/small/%04u", dir, n);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, data, size) != (ssize_t)size)
			die(path);
		close(fd);
	}
}

/* Signals that wait for a process that blocks them or is stopped. */
static uint64_t pending_of(pid_t pid)
{
	char path[64], line[256];
	uint64_t all = 0, mask;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %lx", &mask) == 1 || sscanf(line, "ShdPnd: %lx", &mask) == 1)
			all |= mask;
	fclose(f);
	return all;
}

/* Reports what the processes cannot say themselves; ends with the last one. */
static void __attribute__((noreturn)) supervise(const pid_t *pids)
{
	uint64_t seen[N_ROLES] = { 0 };
	size_t alive = N_ROLES;

	while (alive) {
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			for (size_t i = 0; i < N_ROLES; i++)
				if (pids[i] == pid)
					record((struct record){
						.role = i, .pid = pid, .event = WIFSIGNALED(status) ? KILLED : EXITED,
						.signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
						.value = WIFEXITED(status) ? WEXITSTATUS(status) : 0 });
			alive--;
		}
		for (size_t i = 0; i < N_ROLES; i++) {
			uint64_t now, fresh;

			if (!(roles[i].traits & (BLOCKS | STOPPED)))
				continue;
			/* SIGKILL is not reported here: it shows as the end. */
			now = pending_of(pids[i]) & ~(1ULL << (SIGKILL - 1));
			fresh = now & ~seen[i];
			seen[i] |= now;
			for (int signo = 1; signo <= 64; signo++)
				if (fresh & 1ULL << (signo - 1))
					record((struct record){ .role = i, .pid = pids[i], .event = PENDING,
								.signo = signo });
		}
		usleep(20000);
	}
	exit(0);
}

/* Waits until every process said READY, a stopped one until it is stopped. */
static void wait_ready(const char *log, const pid_t *pids, uint64_t *addrs)
{
	struct record r;
	size_t ready = 0;
	int fd = open(log, O_RDONLY | O_CLOEXEC);

	for (int tries = 0; ready < N_ROLES; tries++) {
		while (read(fd, &r, sizeof(r)) == sizeof(r))
			if (r.event == READY) {
				addrs[r.role] = r.addr;
				ready++;
			}
		if (waitpid(-1, NULL, WNOHANG) > 0 || tries > 6000) {
			errno = ECHILD;
			die("a process did not get ready");
		}
		usleep(10000);
	}
	close(fd);
	for (size_t i = 0; i < N_ROLES; i++)
		if (roles[i].traits & STOPPED)
			waitpid(pids[i], NULL, WUNTRACED);
}

/* In the process that stays: the parent of all roles. */
static void __attribute__((noreturn)) set_up(const char *dir, const char *log, int report_fd)
{
	uint64_t addrs[N_ROLES];
	pid_t pids[N_ROLES];

	setsid();
	log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		die(log);
	for (size_t i = 0; i < N_ROLES; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (pids[i] == 0) {
			me = i;
			close(report_fd);
			play_role(dir);
		}
	}
	wait_ready(log, pids, addrs);
	/* Last, so that as little time as possible goes by before the event. */
	make_small_files(dir);

	dprintf(report_fd, "{\"supervisor\": %d, \"bytes\": %zu, \"roles\": {", getpid(), MAP_BYTES);
	for (size_t i = 0; i < N_ROLES; i++)
		dprintf(report_fd, "%s\"%s\": {\"pid\": %d, \"addr\": %lu}", i ? ", " : "", roles[i].name,
			pids[i], addrs[i]);
	dprintf(report_fd, "}}\n");
	close(report_fd);
	supervise(pids);
}

static int start(const char *dir, const char *log)
{
	char report[2048];
	ssize_t n, have = 0;
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		close(ends[0]);
		set_up(dir, log, ends[1]);
	}
	close(ends[1]);
	while ((n = read(ends[0], report + have, sizeof(report) - have)) > 0)
		have += n;
	fwrite(report, 1, have, stdout);
	return have ? 0 : 1;
}

static int dump(const char *log)
{
	struct record r;
	int fd = open(log, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(log);
	while (read(fd, &r, sizeof(r)) == sizeof(r))
		printf("{\"t\": %.6f, \"role\": \"%s\", \"event\": \"%s\", \"pid\": %d, \"signo\": %d, "
		       "\"code\": %d, \"addr\": %lu, \"lsb\": %d, \"value\": %d}\n",
		       r.ns / 1e9, roles[r.role].name, event_names[r.event], r.pid, r.signo, r.code, r.addr,
		       r.lsb, r.value);
	return 0;
}

/* Number of 8-byte words of a role's file that are not as written. */
static long wrong_words(const char *dir, unsigned int role)
{
	char path[PATH_MAX];
	static uint64_t words[1 << 13];
	long wrong = 0;
	uint64_t at = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s.bin", dir, roles[role].name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return MAP_BYTES / 8;
	while ((n = read(fd, words, sizeof(words))) > 0)
		for (ssize_t i = 0; i < n / 8; i++, at++)
			wrong += words[i] != pattern(role, at);
	close(fd);
	return wrong + (long)(MAP_BYTES / 8 - at);
}

static int verify(const char *dir)
{
	unsigned int good = 0, missing = 0, wrong = 0;
	char path[PATH_MAX], want[SMALL_MAX], have[SMALL_MAX + 1];

	for (unsigned int n = 0; n < SMALL_FILES; n++) {
		size_t size = small_file(n, want);
		ssize_t got;
		int fd;

		snprintf(path, sizeof(path), "%s/small/%04u", dir, n);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			missing++;
			continue;
		}
		got = read(fd, have, sizeof(have));
		close(fd);
		if (got == (ssize_t)size && !memcmp(want, have, size))
			good++;
		else
			wrong++;
	}
	printf("{\"small\": {\"good\": %u, \"missing\": %u, \"wrong\": %u}, \"wrong_words\": {", good, missing,
	       wrong);
	for (size_t i = 0; i < N_ROLES; i++)
		printf("%s\"%s\": %ld", i ? ", " : "", roles[i].name, wrong_words(dir, i));
	printf("}}\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "start"))
		return start(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "dump"))
		return dump(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "verify"))
		return verify(argv[2]);
	fprintf(stderr, "usage: workload start DIR LOG | dump LOG | verify DIR\n");
	return 2;
}
