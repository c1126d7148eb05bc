/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of memory failures, to a test. */
#include <inttypes.h>
#include <stdlib.h>

#include "fake-klink.h"
#include "io/klink-decode.h"

int klink_scan_range(struct klink *link, dg_dev_t dev, const struct dg_range *range,
		     uint32_t *ret_token)
{
	struct fake_answer answer;
	int r;

	r = fake_ask(link, &answer, "SCAN_RANGE %" PRIu64 " %" PRIu64 " %" PRIu64, dev,
		     range->start, range->len);
	return r < 0 ? r : fake_only_message(&answer, klink_decode_token, ret_token);
}

int klink_unmap(struct klink *link, dg_dev_t dev, const struct dg_range *range, bool badblocks,
		uint32_t *ret_token)
{
	struct fake_answer answer;
	int r;

	r = fake_ask(link, &answer, "UNMAP %" PRIu64 " %" PRIu64 " %" PRIu64 " %d", dev,
		     range->start, range->len, badblocks);
	return r < 0 ? r : fake_only_message(&answer, klink_decode_token, ret_token);
}

int klink_check(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	struct fake_answer answer;
	int r = fake_ask(link, &answer, "CHECK %" PRIu64, dev);

	return r < 0 ? r : fake_only_message(&answer, klink_decode_token, ret_token);
}

int klink_forget(struct klink *link, uint64_t serial)
{
	return fake_ask(link, NULL, "FORGET %" PRIu64, serial);
}

/* In parts: all of them are too much for a packet. */
int klink_get_failures(struct klink *link,
		       void (*func)(void *userdata, const struct dg_failure_record *record),
		       void *userdata)
{
	struct fake_answer answer;
	uint64_t after = 0;
	bool more = true;
	void *message;
	size_t n;
	int r = 0;

	while (r == 0 && more) {
		r = fake_ask(link, &answer, "GET_FAILURES %" PRIu64, after);
		if (r < 0)
			return r;
		more = false;
		while (r == 0 && (message = fake_next_message(&answer, &n))) {
			struct dg_failure_record record;

			r = klink_decode_failure(message, n, &record);
			free(message);
			if (r < 0)
				break;
			more = true;
			after = record.serial;
			func(userdata, &record);
			dg_failure_record_done(&record);
		}
		free(answer.packet);
	}
	return r;
}

int klink_sigbus_device(struct klink *link, dg_dev_t dev, struct dg_process process, uint64_t addr,
			uint8_t lsb, int code)
{
	return fake_ask(link, NULL, "SIGBUS_DEVICE %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %u %d",
			dev, process.pid, process.start_ns, addr, lsb, code);
}
