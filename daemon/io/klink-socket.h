/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One generic netlink socket, and questions asked through it.
 *
 * Owns: the socket and its receive buffer. Must not own: what a message
 * means. Nothing here blocks longer than the deadlines below, with one
 * exception that has no remedy in user space: a sender waits while another
 * generic netlink family holds the kernel's global family lock.
 */
#pragma once

#include <linux/netlink.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KLINK_REPLY_TIMEOUT_MS 1000 /* without a word from the kernel */
#define KLINK_DUMP_TIMEOUT_MS 5000  /* for one question in all */

struct klink_socket {
	struct nl_sock *nl;
	char *buffer; /* the last datagram */
};
#define KLINK_SOCKET_INIT ((struct klink_socket){0})

/* Non-blocking, close-on-exec, extended acks on. */
int klink_socket_open(struct klink_socket *socket);
void klink_socket_close(struct klink_socket *socket);
int klink_socket_fd(const struct klink_socket *socket);
int klink_socket_join(struct klink_socket *socket, uint32_t group);

/*
 * The next datagram into buffer; its length. -EAGAIN: none. -ENOBUFS: the
 * kernel had to drop some, or one did not fit. What did not come from the
 * kernel is dropped.
 */
ssize_t klink_socket_receive(struct klink_socket *socket);

/* Calls func for each message of the datagram of len bytes. */
void klink_socket_walk(struct klink_socket *socket, size_t len,
		       void (*func)(void *userdata, const struct nlmsghdr *header), void *userdata);

/*
 * Send msg and read until its answer is complete. reply() sees every message
 * that is not an ack; answer says whether it belongs to this question. Its
 * first negative value becomes the result, after the rest has been read (a
 * dump that is left half read blocks the next one).
 * Returns 0, the kernel's refusal (its text in error, else empty), -ETIMEDOUT,
 * -ENOBUFS, or -EAGAIN: a dump that changed while it was read.
 */
int klink_socket_ask(struct klink_socket *socket, struct nl_msg *msg,
		     int (*reply)(void *userdata, const struct nlmsghdr *header, bool answer),
		     void *userdata, char *error, size_t n_error);
