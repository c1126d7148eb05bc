/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/unit.h"

#include <errno.h>
#include <string.h>

static bool ends_with(const char *text, size_t n, const char *end)
{
	size_t n_end = strlen(end);

	/* Something must stand before it. */
	return n > n_end && memcmp(text + n - n_end, end, n_end) == 0;
}

static bool begins_with(const char *text, size_t n, const char *begin)
{
	size_t n_begin = strlen(begin);

	return n > n_begin && memcmp(text, begin, n_begin) == 0;
}

/* Those that have processes. */
static bool is_unit(const char *name, size_t n)
{
	static const char *const types[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	if (n >= DG_UNIT_NAME_MAX)
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (ends_with(name, n, types[i]))
			return true;
	return false;
}

static bool is_shared(const char *name, size_t n)
{
	if (ends_with(name, n, ".scope"))
		return begins_with(name, n, "session-") || strcmp(name, "init.scope") == 0;
	return ends_with(name, n, ".service") && begins_with(name, n, "user@");
}

int dg_unit_of_cgroup(const char *path, struct dg_unit *ret)
{
	const char *at = path;

	while (*at == '/') {
		const char *name = at + 1;
		size_t n = strcspn(name, "/");

		at = name + n;
		if (ends_with(name, n, ".slice"))
			continue;
		/* What would look like a file of the kernel's has this before it. */
		if (n > 0 && *name == '_') {
			name++;
			n--;
		}
		if (!is_unit(name, n))
			return -ENOENT;
		*ret = (struct dg_unit){.n_path = (size_t)(at - path)};
		memcpy(ret->name, name, n);
		ret->shared = is_shared(ret->name, n);
		return 0;
	}
	return -ENOENT;
}

bool dg_cgroup_is_in(const char *path, const char *group, size_t n_group)
{
	return strncmp(path, group, n_group) == 0 &&
	       (path[n_group] == '/' || path[n_group] == '\0');
}
