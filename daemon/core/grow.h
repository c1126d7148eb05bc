/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays of which only the length is kept, not how much room there is. */
#pragma once

#include <errno.h>
#include <stdlib.h>

/*
 * Room for one more behind the n that there are: by doubling. array: of a pointer to its
 * items; all of it is the caller's, who never makes it longer otherwise. -ENOMEM: as it was.
 */
static inline int dg_grow_array(void **array, size_t n, size_t size)
{
	void *grown;

	if (*array && (n & (n - 1)) != 0)
		return 0;
	grown = reallocarray(*array, n > 0 ? n * 2 : 1, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	return 0;
}

#define DG_GROW(array, n) dg_grow_array((void **)&(array), (n), sizeof(*(array)))
