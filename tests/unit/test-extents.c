/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <unistd.h>

#include "checkpoint/extents.h"

#define PAGE 4096U
#define LATER UINT64_MAX

#define EXTENT(at, n, flags)                                                                       \
	{                                                                                          \
		.fe_logical = (at)*PAGE, .fe_length = (n)*PAGE, .fe_flags = (flags)                \
	}

static struct extents_odd odd;

/* Where they end, in pages; or what is odd. */
static uint64_t judge(const struct fiemap_extent *items, size_t n, uint64_t at, uint64_t end)
{
	at *= PAGE;
	odd = (struct extents_odd){};
	if (extents_judge(items, n, &at, end * PAGE, &odd) == 0)
		odd.what = NULL;
	else
		assert_non_null(odd.what);
	return odd.what ? odd.offset / PAGE : at / PAGE;
}

static void plain(void **state)
{
	static const struct fiemap_extent items[] = {
		EXTENT(0, 2, 0),
		EXTENT(2, 3, FIEMAP_EXTENT_MERGED),
		EXTENT(5, 5, FIEMAP_EXTENT_LAST),
	};

	assert_int_equal(judge(items, 3, 0, 10), 10);
	assert_null(odd.what);
	/* The first begins before, and the last ends behind. */
	assert_int_equal(judge(items, 3, 1, 7), 10);
	assert_null(odd.what);
	assert_int_equal(judge(items, 3, 3, 4), 5);
	assert_null(odd.what);
	/* There are more of them, to be asked for. */
	assert_int_equal(judge(items, 2, 0, 10), 5);
	assert_null(odd.what);
}

static void holes(void **state)
{
	static const struct fiemap_extent items[] = {
		EXTENT(1, 2, 0),
		EXTENT(4, 2, FIEMAP_EXTENT_LAST),
	};

	assert_int_equal(judge(items, 2, 0, 6), 0);
	assert_string_equal(odd.what, "a hole");
	assert_int_equal(judge(items, 2, 1, 6), 3);
	assert_string_equal(odd.what, "a hole");
	/* The end of the file is one, if the mapping goes on. */
	assert_int_equal(judge(items, 2, 6, 7), 6);
	assert_string_equal(odd.what, "a hole");
	assert_int_equal(judge(items, 0, 2, 7), 2);
	assert_string_equal(odd.what, "a hole");
	assert_int_equal(judge(items, 2, 4, 6), 6);
	assert_null(odd.what);
	/* One behind all that is mapped. */
	assert_int_equal(judge(items, 2, 1, 3), 3);
	assert_null(odd.what);
}

static void flags(void **state)
{
	static const uint32_t bad[] = {
		FIEMAP_EXTENT_UNWRITTEN,   FIEMAP_EXTENT_DELALLOC,    FIEMAP_EXTENT_UNKNOWN,
		FIEMAP_EXTENT_SHARED,      FIEMAP_EXTENT_DATA_INLINE, FIEMAP_EXTENT_ENCODED,
		FIEMAP_EXTENT_NOT_ALIGNED,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const struct fiemap_extent items[] = {
			EXTENT(0, 2, bad[i]),
			EXTENT(2, 2, 0),
			EXTENT(4, 2, bad[i] | FIEMAP_EXTENT_LAST),
		};

		assert_int_equal(judge(items, 3, 1, 6), 1);
		assert_non_null(odd.what);
		assert_int_equal(judge(items, 3, 2, 6), 4);
		assert_non_null(odd.what);
		/* Not of what is mapped. */
		assert_int_equal(judge(items, 3, 2, 4), 4);
		assert_null(odd.what);
	}
}

/* Nothing is asked for again and again. */
static void nonsense(void **state)
{
	static const struct fiemap_extent items[] = {
		EXTENT(0, 1, 0),
		EXTENT(2, 0, 0),
		{.fe_logical = 2 * PAGE, .fe_length = UINT64_MAX},
	};

	assert_int_equal(judge(items, 3, 2, 4), 2);
	assert_string_equal(odd.what, "a hole");
	assert_int_equal(judge(items, 3, 4, 4), 4);
	assert_null(odd.what);
}

#define PAGES 300U /* with a hole behind each: several batches */

static void of_a_file(void **state)
{
	char path[] = "/var/tmp/daxguard-extents-XXXXXX", page[PAGE] = "x";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	unlink(path);
	r = extents_find_odd(fd, 0, PAGE, LATER, &odd);
	if (r == -EOPNOTSUPP || r == -ENOTTY) {
		close(fd);
		skip();
	}
	assert_int_equal(r, 1);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)i * 2 * PAGE), PAGE);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(extents_find_odd(fd, 0, 2 * PAGE, LATER, &odd), 1);
	assert_int_equal(odd.offset, PAGE);
	assert_int_equal(extents_find_odd(fd, 2 * PAGE, 3 * PAGE, LATER, &odd), 0);
	assert_int_equal(extents_find_odd(fd, 2 * PAGE, 3 * PAGE, 0, &odd), -ETIME);
	/* All but the last one are filled. */
	for (unsigned i = PAGES - 1; i-- > 0;) {
		assert_int_equal(pwrite(fd, page, PAGE, ((off_t)i * 2 + 1) * PAGE), PAGE);
		if (i % 3 == 0)
			assert_int_equal(fsync(fd), 0);
	}
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(extents_find_odd(fd, 0, (2 * PAGES - 1) * PAGE, LATER, &odd), 0);
	assert_int_equal(extents_find_odd(fd, 0, 2 * PAGES * PAGE, LATER, &odd), 1);
	assert_int_equal(odd.offset, (2 * PAGES - 1) * PAGE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),    cmocka_unit_test(holes),     cmocka_unit_test(flags),
		cmocka_unit_test(nonsense), cmocka_unit_test(of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
