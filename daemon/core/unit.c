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

static bool is_named(const struct dg_unit *unit, const char *begin, const char *end)
{
	return strncmp(unit->name, begin, strlen(begin)) == 0 &&
	       ends_with(unit->name, strlen(unit->name), end);
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

static bool is_user_manager(const struct dg_unit *unit)
{
	return is_named(unit, "user@", ".service");
}

static bool is_shared(const struct dg_unit *unit)
{
	return is_user_manager(unit) || is_named(unit, "session-", ".scope") ||
	       strcmp(unit->name, "init.scope") == 0;
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
		ret->shared = is_shared(ret);
		ret->scope = ends_with(name, n, ".scope");
		return 0;
	}
	return -ENOENT;
}

int dg_user_unit_of_cgroup(const char *path, struct dg_unit *ret)
{
	struct dg_unit manager, unit;

	if (dg_unit_of_cgroup(path, &manager) < 0 || !is_user_manager(&manager) ||
	    dg_unit_of_cgroup(path + manager.n_path, &unit) < 0)
		return -ENOENT;
	unit.n_path += manager.n_path;
	*ret = unit;
	return 0;
}

bool dg_cgroup_is_in(const char *path, const char *group, size_t n_group)
{
	return strncmp(path, group, n_group) == 0 &&
	       (path[n_group] == '/' || path[n_group] == '\0');
}
