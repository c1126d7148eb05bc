/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: the times of a hold and of each phase of a revoke. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM daxguard

#if !defined(_DAXGUARD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _DAXGUARD_TRACE_H

#include <linux/fs.h>
#include <linux/tracepoint.h>

TRACE_EVENT(daxguard_hold,
	TP_PROTO(u64 id, bool begin, unsigned int result, u64 held_us),
	TP_ARGS(id, begin, result, held_us),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(bool, begin)
		__field(unsigned int, result)
		__field(u64, held_us)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->begin = begin;
		__entry->result = result;
		__entry->held_us = held_us;
	),
	TP_printk("id=%llu %s result=%u held_us=%llu", __entry->id,
		  __entry->begin ? "begin" : "end", __entry->result, __entry->held_us)
);

#define DG_TRACE_NAME 32

TRACE_EVENT(daxguard_revoke_phase,
	TP_PROTO(const char *disk, const char *phase, u64 us),
	TP_ARGS(disk, phase, us),
	TP_STRUCT__entry(
		__array(char, disk, DG_TRACE_NAME)
		__array(char, phase, DG_TRACE_NAME)
		__field(u64, us)
	),
	TP_fast_assign(
		strscpy(__entry->disk, disk, DG_TRACE_NAME);
		strscpy(__entry->phase, phase, DG_TRACE_NAME);
		__entry->us = us;
	),
	TP_printk("disk=%s phase=%s us=%llu", __entry->disk, __entry->phase, __entry->us)
);

TRACE_EVENT(daxguard_revoke_inode,
	TP_PROTO(struct inode *inode, u64 entries, u64 vmas, bool idle),
	TP_ARGS(inode, entries, vmas, idle),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, entries)
		__field(u64, vmas)
		__field(bool, idle)
	),
	TP_fast_assign(
		__entry->dev = inode->i_sb->s_dev;
		__entry->ino = inode->i_ino;
		__entry->entries = entries;
		__entry->vmas = vmas;
		__entry->idle = idle;
	),
	TP_printk("dev=%d:%d ino=%llu entries=%llu vmas=%llu %s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino, __entry->entries, __entry->vmas,
		  __entry->idle ? "dropped" : "pinned")
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
