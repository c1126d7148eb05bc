/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/container.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ID_LEN 64 /* hex digits */

static bool has_suffix(const char *part, const char *suffix)
{
	size_t n = strlen(part), k = strlen(suffix);

	return n > k && strcmp(part + n - k, suffix) == 0;
}

static bool has_prefix(const char *part, const char *prefix)
{
	return strncmp(part, prefix, strlen(prefix)) == 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether the n bytes begin with \xNN. */
static bool read_escape(const char *from, size_t n, char *ret)
{
	int high = n >= 4 ? hex(from[2]) : -1, low = n >= 4 ? hex(from[3]) : -1;

	if (high < 0 || low < 0 || from[0] != '\\' || from[1] != 'x')
		return false;
	*ret = (char)(high << 4 | low);
	return true;
}

/* n bytes of a unit's name, with its \xNN as what they stand for. */
static void copy_unescaped(const char *from, size_t n, char to[static DG_CONTAINER_NAME_MAX])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++, k++)
		if (read_escape(from + i, n - i, &to[k]))
			i += 3;
		else
			to[k] = from[i];
	to[k] = '\0';
}

/* "docker-ID.scope", "libpod-ID.scope", "cri-containerd-ID.scope", "…:cri-containerd:ID", "ID". */
static bool container_id(const char *part, const char **ret)
{
	size_t n = strlen(part), begin;

	if (has_suffix(part, ".scope"))
		n -= strlen(".scope");
	/* Who looks after the container is not in it. */
	if (n < ID_LEN || strstr(part, "conmon-"))
		return false;
	begin = n - ID_LEN;
	if (begin > 0 && part[begin - 1] != '-' && part[begin - 1] != ':')
		return false;
	for (size_t i = begin; i < n; i++)
		if (hex(part[i]) < 0)
			return false;
	*ret = part + begin;
	return true;
}

/* The outermost is the one that the host has a name for. */
static void read_container(const char *part, char ret[static DG_CONTAINER_NAME_MAX])
{
	static const struct {
		const char *prefix, *suffix;
	} named[] = {{"machine-", ".scope"}, {"systemd-nspawn@", ".service"}, {"lxc.payload.", ""}};
	const char *id;

	if (*ret)
		return;
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
		size_t skip = strlen(named[i].prefix), n = strlen(named[i].suffix);

		if (!has_prefix(part, named[i].prefix) || strlen(part) <= skip + n ||
		    !has_suffix(part, named[i].suffix))
			continue;
		copy_unescaped(part + skip, strlen(part) - skip - n, ret);
		return;
	}
	if (container_id(part, &id)) {
		memcpy(ret, id, ID_LEN);
		ret[ID_LEN] = '\0';
	}
}

void dg_container_of_cgroup(const char *path, char ret[static DG_CONTAINER_NAME_MAX])
{
	char part[DG_CONTAINER_NAME_MAX];
	size_t n;

	*ret = '\0';
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		n = strcspn(path, "/");
		if (n < sizeof(part)) {
			memcpy(part, path, n);
			part[n] = '\0';
			/* systemd puts it before what the kernel might take for its own file. */
			read_container(*part == '_' ? part + 1 : part, ret);
		}
		path += n;
	}
}
