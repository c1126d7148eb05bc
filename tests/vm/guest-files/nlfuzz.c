/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says to the module's netlink family what may be said and what may not.
 *
 *	nlfuzz SEED SECONDS FILE	FILE is made on the guarded file system
 *
 * Some workers have all privileges, one has none. Each has a few sockets, on
 * which it sends what it makes up: commands with values that were learnt from
 * answers, wrong ones, wrong lengths, many at once, without reading, until it
 * closes the socket or dies. The last line is what came of it, as JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daxguard.h"
#include "nlfuzz-message.h"

#define PRIVILEGED 3
#define VICTIMS 48
#define SOCKETS 6
#define ERRNOS 134
#define MAP_BYTES (2U << 20)

/* Seen by all workers. Races only lose a count. */
static struct shared {
	struct learned learned;
	unsigned long sent, answered[DAXGUARD_CMD_MAX + 1], done, refused[ERRNOS];
	unsigned long deaths, leaks, signals;
} * shared;

static uint16_t family;
static uint32_t group;
static bool privileged = true;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void on_error(const struct nlmsghdr *head)
{
	const struct nlmsgerr *error = (const void *)((const uint8_t *)head + NLMSG_HDRLEN);

	if (error->error < 0 && -error->error < ERRNOS)
		shared->refused[-error->error]++;
	else if (error->error == 0)
		shared->done++;
	/* The kernel itself confirms what is no request. */
	if (!privileged && error->error == 0 && error->msg.nlmsg_type == family &&
	    error->msg.nlmsg_flags & NLM_F_REQUEST)
		shared->leaks++;
}

/* One datagram; false: nothing was there. The buffer is small on purpose: a dump takes several. */
static bool read_some(int fd)
{
	union {
		struct nlmsghdr head;
		uint8_t bytes[8192];
	} in;
	ssize_t got = recv(fd, in.bytes, sizeof(in.bytes), MSG_DONTWAIT);
	size_t n = got > 0 ? (size_t)got : 0;

	for (const struct nlmsghdr *head = &in.head; NLMSG_OK(head, n);
	     head = NLMSG_NEXT(head, n)) {
		const struct genlmsghdr *genl = NLMSG_DATA(head);

		if (head->nlmsg_type == NLMSG_ERROR)
			on_error(head);
		if (head->nlmsg_type != family || head->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
			continue;
		if (!privileged)
			shared->leaks++;
		if (genl->cmd <= DAXGUARD_CMD_MAX)
			shared->answered[genl->cmd]++;
		learn((const uint8_t *)genl + GENL_HDRLEN,
		      head->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN);
	}
	return got >= 0 || errno == ENOBUFS;
}

static int open_socket(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("socket");
	if (chance(2) &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) == 0 &&
	    !privileged)
		shared->leaks++;
	return fd;
}

/* Several messages may share a datagram; the length of the last may be a lie. */
static void say_something(int fd)
{
	static struct message m, all;

	all.n = 0;
	do {
		make_command(&m, family);
		if (chance(10) < 4)
			spoil(&m);
		m.head.nlmsg_len = (uint32_t)m.n;
		if (all.n + NLMSG_ALIGN(m.n) > sizeof(all.bytes))
			break;
		memcpy(all.bytes + all.n, m.bytes, m.n);
		all.n += NLMSG_ALIGN(m.n);
		shared->sent++;
	} while (chance(4) == 0);
	if (all.n == 0)
		return;
	if (chance(50) == 0)
		((struct nlmsghdr *)all.bytes)->nlmsg_len = (uint32_t)odd_number();
	(void)!send(fd, all.bytes, all.n, MSG_DONTWAIT);
}

/* In the middle of whatever it has begun. */
static void die_somewhere(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open_socket();

		for (uint32_t k = 1 + chance(6); k > 0; k--) {
			say_something(fd);
			if (chance(2))
				read_some(fd);
		}
		raise(SIGKILL);
	}
	if (pid > 0 && waitpid(pid, NULL, 0) == pid)
		shared->deaths++;
}

static void work(double end)
{
	int sockets[SOCKETS];

	for (size_t i = 0; i < SOCKETS; i++)
		sockets[i] = open_socket();
	while (now() < end) {
		size_t i = chance(SOCKETS);

		bool flooding = chance(100) == 0;

		for (uint32_t k = flooding ? 200 : 1 + chance(4); k > 0; k--)
			say_something(sockets[i]);
		/* A SCAN that is being made, a dump that nobody ends: both are left behind. */
		if (chance(30) == 0) {
			close(sockets[i]);
			sockets[i] = open_socket();
		}
		for (uint32_t k = flooding ? 0 : chance(8); k > 0 && read_some(sockets[i]); k--)
			;
		if (chance(100) == 0)
			die_somewhere();
	}
}

static void on_sigbus(int signo)
{
	shared->signals += signo == SIGBUS;
}

/* Maps the file; lives until it is killed. */
static pid_t start_victim(const char *path)
{
	pid_t pid = fork();
	char *memory;
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGBUS, on_sigbus);
	fd = open(path, O_RDWR | O_CLOEXEC);
	memory = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die(path);
	*memory = 1;
	for (;;)
		pause();
}

static pid_t start_worker(uint64_t seed, double end, bool with_privileges)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	random_state = seed;
	privileged = with_privileges;
	if (!privileged && (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
			    setresuid(65534, 65534, 65534) < 0))
		die("setresuid");
	work(end);
	_exit(0);
}

/* The answer to one request, read into m. */
static int ask(int fd, struct message *m)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	const struct nlmsgerr *error;
	ssize_t n;

	m->head.nlmsg_len = (uint32_t)m->n;
	if (send(fd, m->bytes, m->n, 0) < 0 || poll(&poll_fd, 1, 5000) != 1)
		return -ETIME;
	n = recv(fd, m->bytes, sizeof(m->bytes), 0);
	if (n < 0)
		return -errno;
	m->n = (size_t)n;
	error = (const void *)(m->bytes + NLMSG_HDRLEN);
	return m->head.nlmsg_type == NLMSG_ERROR ? error->error : 0;
}

/* Attribute `type` of the attributes of an answer of generic netlink's own; NULL: none. */
static const uint8_t *find_attr(const uint8_t *data, size_t n, uint16_t type, size_t *ret_n)
{
	while (n >= NLA_HDRLEN) {
		struct nlattr attr;
		size_t len;

		memcpy(&attr, data, sizeof(attr));
		len = NLA_ALIGN(attr.nla_len);
		if ((attr.nla_type & NLA_TYPE_MASK) == type) {
			*ret_n = attr.nla_len - (size_t)NLA_HDRLEN;
			return data + NLA_HDRLEN;
		}
		if (len < NLA_HDRLEN || len > n)
			break;
		data += len;
		n -= len;
	}
	return NULL;
}

static void find_family(void)
{
	static struct message m;
	const size_t body = NLMSG_HDRLEN + GENL_HDRLEN;
	const uint8_t *id, *groups, *first, *number;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	size_t n = 0;

	message_begin(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	put_attr(&m, CTRL_ATTR_FAMILY_NAME, DAXGUARD_GENL_NAME, sizeof(DAXGUARD_GENL_NAME));
	if (fd < 0 || ask(fd, &m) < 0)
		die(DAXGUARD_GENL_NAME);
	close(fd);
	id = find_attr(m.bytes + body, m.n - body, CTRL_ATTR_FAMILY_ID, &n);
	groups = find_attr(m.bytes + body, m.n - body, CTRL_ATTR_MCAST_GROUPS, &n);
	first = groups ? find_attr(groups, n, 1, &n) : NULL;
	number = first ? find_attr(first, n, CTRL_ATTR_MCAST_GRP_ID, &n) : NULL;
	if (!id || !number)
		die("the family's groups");
	memcpy(&family, id, sizeof(family));
	memcpy(&group, number, sizeof(group));
}

/* What no answer tells while nothing is held. */
static void make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat status;
	uint64_t dev;

	if (fd < 0 || ftruncate(fd, MAP_BYTES) < 0 || fstat(fd, &status) < 0)
		die(path);
	close(fd);
	dev = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev);
	memcpy(learned->values[DAXGUARD_A_DEV][0], &dev, sizeof(dev));
	learned->n[DAXGUARD_A_DEV] = 1;
}

static void print_result(uint64_t seed, int stuck)
{
	printf("{\"seed\": %llu, \"sent\": %lu, \"confirmed\": %lu, \"deaths\": %lu, \"signals\": "
	       "%lu, "
	       "\"leaks\": %lu, \"stuck\": %d, \"answered\": {",
	       (unsigned long long)seed, shared->sent, shared->done, shared->deaths,
	       shared->signals, shared->leaks, stuck);
	for (unsigned int i = 0, n = 0; i <= DAXGUARD_CMD_MAX; i++)
		if (shared->answered[i])
			printf("%s\"%u\": %lu", n++ ? ", " : "", i, shared->answered[i]);
	printf("}, \"refused\": {");
	for (int i = 0, n = 0; i < ERRNOS; i++)
		if (shared->refused[i])
			printf("%s\"%s\": %lu", n++ ? ", " : "", strerrorname_np(i) ?: "?",
			       shared->refused[i]);
	printf("}}\n");
}

/* How many have not ended, ten seconds after they should have. */
static int wait_for_workers(const pid_t *workers, size_t n, double end)
{
	int left = (int)n;

	while (left > 0 && now() < end + 10) {
		for (size_t i = 0; i < n; i++)
			if (waitpid(workers[i], NULL, WNOHANG) == workers[i])
				left--;
		usleep(20000);
	}
	return left;
}

int main(int argc, char *argv[])
{
	pid_t victims[VICTIMS], workers[PRIVILEGED + 1];
	uint64_t seed;
	double end;
	int stuck;

	if (argc != 4)
		return 2;
	find_family();
	seed = strtoull(argv[1], NULL, 0);
	end = now() + atof(argv[2]);
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap");
	learned = &shared->learned;
	make_file(argv[3]);
	for (size_t i = 0; i < VICTIMS; i++)
		victims[i] = start_victim(argv[3]);
	for (size_t i = 0; i <= PRIVILEGED; i++)
		workers[i] = start_worker((seed + i) * 0x9e3779b97f4a7c15 | 1, end, i < PRIVILEGED);
	stuck = wait_for_workers(workers, PRIVILEGED + 1, end);
	for (size_t i = 0; i < VICTIMS; i++) {
		kill(victims[i], SIGKILL);
		waitpid(victims[i], NULL, 0);
	}
	print_result(seed, stuck);
	return 0;
}
