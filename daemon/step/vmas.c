/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "step/proc.h"
#include "step/vmas.h"

/* From <linux/fs.h> of Linux 6.11; Debian 12 has an older one. */
struct procmap_question {
	__u64 size, query_flags, query_addr;
	__u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	__u32 dev_major, dev_minor, vma_name_size, build_id_size;
	__u64 vma_name_addr, build_id_addr;
};
#define IOC_PROCMAP_QUERY _IOWR('f', 17, struct procmap_question)
#define VMA_WRITABLE 0x02
#define VMA_EXECUTABLE 0x04
#define VMA_SHARED 0x08
#define COVERING_OR_NEXT_VMA 0x10
#define FILE_BACKED_VMA 0x20

static int next_vma(int fd, uint64_t addr, struct vma *ret)
{
	struct procmap_question question = {
		.size = sizeof(question),
		.query_flags = COVERING_OR_NEXT_VMA | FILE_BACKED_VMA,
		.query_addr = addr,
	};

	if (ioctl(fd, IOC_PROCMAP_QUERY, &question) < 0)
		return -errno;
	*ret = (struct vma){
		.start = question.vma_start,
		.end = question.vma_end,
		.offset = question.vma_offset,
		.dev = DG_DEV(question.dev_major, question.dev_minor),
		.ino = question.inode,
		.flags = (question.vma_flags & VMA_SHARED ? DG_HOLDER_SHARED : 0U) |
			 (question.vma_flags & VMA_WRITABLE ? DG_HOLDER_WRITE : 0U) |
			 (question.vma_flags & VMA_EXECUTABLE ? DG_HOLDER_EXEC : 0U),
	};
	return 0;
}

static int foreach_by_query(int fd, int (*func)(void *userdata, const struct vma *vma),
			    void *userdata)
{
	uint64_t addr = 0;
	struct vma vma;
	int r;

	for (;;) {
		r = next_vma(fd, addr, &vma);
		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = func(userdata, &vma);
		if (r != 0)
			return r;
		addr = vma.end;
	}
}

static int foreach_by_text(int fd, int (*func)(void *userdata, const struct vma *vma),
			   void *userdata)
{
	FILE *file = fdopen(fd, "r");
	size_t size = 0;
	char *line = NULL;
	int r = 0;

	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && getline(&line, &size, file) > 0) {
		unsigned int dev_major, dev_minor;
		struct vma vma = {0};
		char mode[5];

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64,
			   &vma.start, &vma.end, mode, &vma.offset, &dev_major, &dev_minor,
			   &vma.ino) != 7 ||
		    vma.ino == 0)
			continue;
		vma.dev = DG_DEV(dev_major, dev_minor);
		vma.flags = (mode[3] == 's' ? DG_HOLDER_SHARED : 0U) |
			    (mode[1] == 'w' ? DG_HOLDER_WRITE : 0U) |
			    (mode[2] == 'x' ? DG_HOLDER_EXEC : 0U);
		r = func(userdata, &vma);
	}
	free(line);
	fclose(file);
	return r;
}

int vmas_foreach(int proc_fd, const char *task, int (*func)(void *userdata, const struct vma *vma),
		 void *userdata)
{
	char path[PROC_PATH_MAX];
	struct vma vma;
	int fd, r;

	snprintf(path, sizeof(path), "%s/maps", task);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = next_vma(fd, 0, &vma);
	if (r == -ENOTTY)
		return foreach_by_text(fd, func, userdata);
	if (r == 0 || r == -ENOENT)
		r = foreach_by_query(fd, func, userdata);
	close(fd);
	return r;
}
