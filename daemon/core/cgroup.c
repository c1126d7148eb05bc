/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup.h"

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

/* Those that processes are put into; a slice has only other groups in it. */
static bool is_unit(const char *part)
{
	static const char *const suffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		if (has_suffix(part, suffixes[i]))
			return true;
	return false;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n bytes of a unit's name, with its \xNN as what they stand for. */
static void copy_unescaped(const char *from, size_t n, char to[static DG_CGROUP_NAME_MAX])
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (n - i >= 4 && from[i] == '\\' && from[i + 1] == 'x' && hex(from[i + 2]) >= 0 &&
		    hex(from[i + 3]) >= 0) {
			to[k++] = (char)(hex(from[i + 2]) << 4 | hex(from[i + 3]));
			i += 3;
		} else {
			to[k++] = from[i];
		}
	}
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
static void read_container(const char *part, char ret[static DG_CGROUP_NAME_MAX])
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

struct walk {
	struct dg_cgroup_names *names;
	bool in_user_manager, over;
};

/* The first part that is no slice is the unit; what is below is its own affair, but a user's. */
static void read_unit(struct walk *walk, const char *part)
{
	char *to = walk->in_user_manager ? walk->names->user_unit : walk->names->unit;

	if (walk->over || has_suffix(part, ".slice"))
		return;
	walk->over = true;
	if (!is_unit(part))
		return;
	memcpy(to, part, strlen(part) + 1);
	if (!walk->in_user_manager && has_prefix(part, "user@") && has_suffix(part, ".service")) {
		walk->in_user_manager = true;
		walk->over = false;
	}
}

void dg_cgroup_parse(const char *path, struct dg_cgroup_names *ret)
{
	struct walk walk = {.names = ret};
	char part[DG_CGROUP_NAME_MAX];

	*ret = (struct dg_cgroup_names){};
	for (;;) {
		const char *begin = part;
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 0)
			return;
		if (n < sizeof(part)) {
			memcpy(part, path, n);
			part[n] = '\0';
			/* systemd puts it before what the kernel might take for a file of its own.
			 */
			if (*begin == '_')
				begin++;
			read_unit(&walk, begin);
			read_container(begin, ret->container);
		}
		path += n;
	}
}
