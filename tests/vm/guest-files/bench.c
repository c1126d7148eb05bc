/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the benchmarks do in a guest, where a shell would be slower than what is
 * measured. Times are microseconds of CLOCK_MONOTONIC, one a line.
 *
 *	bench write FILE WORD		how long the write took: an unbind, a bind
 *	bench umount DIR		likewise, umount2(2)
 *	bench map KIND N MIB FILE	N processes map all of FILE; prints "ready"
 *					when they do, and leaves them there
 *	bench sleep N VMAS		N processes with that many mappings more
 *	bench files DIR N		makes N empty files
 *	bench pending N			N times GET_PENDING, there and back
 *	bench scan PATH N		N times SCAN of the block device PATH until
 *					all of COMPLETED, GET_HOLDERS and GET_FS is
 *					there, and how many uses were told
 *
 * KIND is what a process does: "prompt" unmaps on SIGBUS and lives on, and ends
 * on SIGTERM; "plain" has no handlers; "deaf" blocks both signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../kmod/uapi/daxguard.h"

#define MIB (1UL << 20)
#define PAGE 4096UL

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void print_since(uint64_t began_ns)
{
	printf("%.1f\n", (double)(now_ns() - began_ns) / 1000);
	fflush(stdout);
}

static void time_write(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	uint64_t began_ns;

	if (fd < 0)
		die(path);
	began_ns = now_ns();
	if (write(fd, word, strlen(word)) < 0)
		die("write");
	print_since(began_ns);
}

static void time_umount(const char *path)
{
	uint64_t began_ns = now_ns();

	if (umount2(path, 0) < 0)
		die("umount2");
	print_since(began_ns);
}

/* The processes that map. */

static void *mapped;
static size_t mapped_size;

static void let_go(int signo)
{
	(void)signo;
	if (mapped)
		munmap(mapped, mapped_size);
	mapped = NULL;
}

static void end(int signo)
{
	(void)signo;
	_exit(0);
}

static void behave(const char *kind)
{
	sigset_t set;

	if (strcmp(kind, "prompt") == 0) {
		signal(SIGBUS, let_go);
		signal(SIGTERM, end);
	} else if (strcmp(kind, "deaf") == 0) {
		sigemptyset(&set);
		sigaddset(&set, SIGBUS);
		sigaddset(&set, SIGTERM);
		sigprocmask(SIG_BLOCK, &set, NULL);
	} else if (strcmp(kind, "plain") != 0) {
		fprintf(stderr, "bench: no such kind: %s\n", kind);
		exit(2);
	}
}

/* Who started us waits for the end of our output. */
static void be_a_process(const char *name)
{
	int fd = open("/dev/null", O_RDWR);

	if (fd < 0)
		die("/dev/null");
	for (int to = 0; to < 2; to++)
		dup2(fd, to);
	close(fd);
	setsid();
	prctl(PR_SET_NAME, name);
}

static void wait_for_the_end(void)
{
	for (;;)
		pause();
}

static void map_and_wait(const char *kind, const char *path, int ready)
{
	volatile char *at;
	int fd;

	behave(kind);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	at = mmap(NULL, mapped_size, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	close(fd);
	for (size_t i = 0; i < mapped_size; i += PAGE)
		at[i] = 1;
	mapped = (void *)at;
	if (write(ready, "r", 1) != 1)
		die("ready");
	close(ready);
	close(STDERR_FILENO);
	wait_for_the_end();
}

/* Every child says so when it is where it is to be. */
static void wait_ready(int fd, int n)
{
	char letter;

	while (n > 0 && read(fd, &letter, 1) == 1)
		n--;
	if (n > 0) {
		fprintf(stderr, "bench: %d of the processes did not get there\n", n);
		exit(1);
	}
	puts("ready");
}

static void map(const char *kind, int n, size_t size, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), ready[2];

	if (fd < 0)
		die(path);
	if (posix_fallocate(fd, 0, (off_t)size) != 0)
		die("posix_fallocate");
	close(fd);
	mapped_size = size;
	if (pipe(ready) < 0)
		die("pipe");
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			be_a_process("mapper");
			map_and_wait(kind, path, ready[1]);
		}
	}
	close(ready[1]);
	wait_ready(ready[0], n);
}

/* Adjacent mappings of one kind would become one. */
static void make_mappings(int n)
{
	for (int i = 0; i < n; i++)
		if (mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			die("mmap");
}

static void start_sleepers(int n, int n_vmas)
{
	int ready[2];

	if (pipe(ready) < 0)
		die("pipe");
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid > 0)
			continue;
		be_a_process("sleeper");
		make_mappings(n_vmas);
		if (write(ready[1], "r", 1) != 1)
			die("ready");
		close(ready[1]);
		close(STDERR_FILENO);
		wait_for_the_end();
	}
	close(ready[1]);
	wait_ready(ready[0], n);
}

static void make_files(const char *dir, int n)
{
	char name[64];
	int fd;

	if (chdir(dir) < 0)
		die(dir);
	for (int i = 0; i < n; i++) {
		/* A directory of a million names would be what is measured. */
		snprintf(name, sizeof(name), "d%d", i / 10000);
		if (i % 10000 == 0 && mkdir(name, 0700) < 0)
			die(name);
		snprintf(name, sizeof(name), "d%d/%d", i / 10000, i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			die(name);
		close(fd);
	}
}

/* Netlink, by hand: one request, one buffer. */

struct message {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	char attributes[256];
};

static int sock;
static uint16_t family = GENL_ID_CTRL;
static uint32_t sequence;
static char received[1 << 17];

static void put_attribute(struct message *message, uint16_t type, const void *data, size_t size)
{
	struct nlattr *at =
		(struct nlattr *)((char *)message + NLMSG_ALIGN(message->header.nlmsg_len));

	at->nla_type = type;
	at->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy((char *)at + NLA_HDRLEN, data, size);
	message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + NLA_ALIGN(at->nla_len);
}

static struct message new_message(uint8_t command, uint16_t flags)
{
	struct message message = {
		.header =
			{
				.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
				.nlmsg_type = family,
				.nlmsg_flags = NLM_F_REQUEST | flags,
				.nlmsg_seq = ++sequence,
			},
		.genl = {.cmd = command, .version = 1},
	};

	return message;
}

static const struct nlattr *find_attribute(const struct nlmsghdr *header, uint16_t type)
{
	const char *at = (const char *)NLMSG_DATA(header) + GENL_HDRLEN;
	const char *end = (const char *)header + header->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const struct nlattr *)(const void *)at;

		if (attribute->nla_len < NLA_HDRLEN)
			return NULL;
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
		at += NLA_ALIGN(attribute->nla_len);
	}
	return NULL;
}

static const void *attribute_data(const struct nlmsghdr *header, uint16_t type)
{
	const struct nlattr *attribute = find_attribute(header, type);

	if (!attribute) {
		fprintf(stderr, "bench: an answer lacks attribute %u\n", type);
		exit(1);
	}
	return (const char *)attribute + NLA_HDRLEN;
}

/* A whole dump, or a message that is not part of one; how many there were. */
static unsigned receive(bool is_dump, struct nlmsghdr **ret)
{
	unsigned n = 0;

	for (;;) {
		ssize_t size = recv(sock, received, sizeof(received), 0);
		struct nlmsghdr *header = (struct nlmsghdr *)(void *)received;

		if (size < 0)
			die("recv");
		for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
			if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
				errno = -*(int *)NLMSG_DATA(header);
				if (errno)
					die("the module");
				return n;
			}
			n++;
			*ret = header;
			if (!is_dump)
				return n;
		}
	}
}

static void say(const struct message *message)
{
	if (send(sock, message, message->header.nlmsg_len, 0) < 0)
		die("send");
}

static void connect_module(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	struct timeval patience = {.tv_sec = 60};
	struct nlmsghdr *answer;
	struct message message;

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("netlink");
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	message = new_message(CTRL_CMD_GETFAMILY, 0);
	put_attribute(&message, CTRL_ATTR_FAMILY_NAME, DAXGUARD_GENL_NAME,
		      sizeof(DAXGUARD_GENL_NAME));
	say(&message);
	receive(false, &answer);
	memcpy(&family, attribute_data(answer, CTRL_ATTR_FAMILY_ID), sizeof(family));
}

static unsigned dump(uint8_t command, const uint32_t *token)
{
	struct message message = new_message(command, NLM_F_DUMP);
	struct nlmsghdr *none;

	if (token)
		put_attribute(&message, DAXGUARD_A_TOKEN, token, sizeof(*token));
	say(&message);
	return receive(true, &none);
}

static void time_pending(int n)
{
	connect_module();
	while (n-- > 0) {
		uint64_t began_ns = now_ns();

		dump(DAXGUARD_CMD_GET_PENDING, NULL);
		print_since(began_ns);
	}
}

static unsigned scan(uint64_t dev)
{
	struct message message = new_message(DAXGUARD_CMD_SCAN, 0);
	struct nlmsghdr *answer;
	uint32_t token;
	unsigned n;

	put_attribute(&message, DAXGUARD_A_DEV, &dev, sizeof(dev));
	say(&message);
	/* A quick worker answers before the command does. */
	for (int i = 0; i < 2; i++) {
		receive(false, &answer);
		memcpy(&token, attribute_data(answer, DAXGUARD_A_TOKEN), sizeof(token));
		if (find_attribute(answer, DAXGUARD_A_TRUNCATED)) {
			fprintf(stderr, "bench: the scan is not complete\n");
			exit(1);
		}
	}
	n = dump(DAXGUARD_CMD_GET_HOLDERS, &token);
	dump(DAXGUARD_CMD_GET_FS, &token);
	return n;
}

static void time_scan(const char *path, int n)
{
	struct stat st;
	uint64_t dev;

	if (stat(path, &st) < 0)
		die(path);
	dev = (uint64_t)major(st.st_rdev) << 32 | minor(st.st_rdev);
	connect_module();
	while (n-- > 0) {
		uint64_t began_ns = now_ns();
		unsigned uses = scan(dev);

		printf("%.1f %u\n", (double)(now_ns() - began_ns) / 1000, uses);
	}
}

int main(int argc, char *argv[])
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "write") == 0 && argc == 4)
		time_write(argv[2], argv[3]);
	else if (strcmp(verb, "umount") == 0 && argc == 3)
		time_umount(argv[2]);
	else if (strcmp(verb, "map") == 0 && argc == 6)
		map(argv[2], atoi(argv[3]), (size_t)atoi(argv[4]) * MIB, argv[5]);
	else if (strcmp(verb, "sleep") == 0 && argc == 4)
		start_sleepers(atoi(argv[2]), atoi(argv[3]));
	else if (strcmp(verb, "files") == 0 && argc == 4)
		make_files(argv[2], atoi(argv[3]));
	else if (strcmp(verb, "pending") == 0 && argc == 3)
		time_pending(atoi(argv[2]));
	else if (strcmp(verb, "scan") == 0 && argc == 4)
		time_scan(argv[2], atoi(argv[3]));
	else
		return 2;
	return 0;
}
