/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Beyond what a name may have. */
#define STATE_MAX 512

/* 0: nobody wants to know. */
static int find_address(struct sockaddr_un *ret, socklen_t *ret_n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n == 0)
		return 0;
	if (n >= sizeof(ret->sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, n);
	if (path[0] == '@')
		ret->sun_path[0] = '\0';
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 1;
}

/* message: but where it goes to. 0: nobody wants to know. 1: it is sent. */
static int send_message(struct msghdr message)
{
	struct sockaddr_un address;
	socklen_t n;
	int fd, r = find_address(&address, &n);

	if (r <= 0)
		return r;
	message.msg_name = &address;
	message.msg_namelen = n;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		r = -errno;
	close(fd);
	return r;
}

int notify_send(const char *state)
{
	struct iovec text = {(char *)state, strlen(state)};
	struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1};
	int r = send_message(message);

	return r < 0 ? r : 0;
}

int notify_store(const char *name, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {};
	char state[STATE_MAX];
	struct iovec text = {.iov_base = state};
	struct msghdr message = {
		.msg_iov = &text,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int r;

	text.iov_len = (size_t)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", name);
	if (text.iov_len >= sizeof(state))
		return -E2BIG;
	control.header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)),
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
	};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	r = send_message(message);
	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : 0;
}

int notify_forget(const char *name)
{
	char state[STATE_MAX];

	if (snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name) >=
	    (int)sizeof(state))
		return -E2BIG;
	return notify_send(state);
}

int notify_stored(void (*func)(void *userdata, const char *name, int fd), void *userdata)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(true, &names);

	for (int i = 0; i < n; i++) {
		func(userdata, names ? names[i] : "", SD_LISTEN_FDS_START + i);
		if (names)
			free(names[i]);
	}
	free(names);
	return n < 0 ? n : 0;
}
