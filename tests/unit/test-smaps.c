/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "checkpoint/smaps.h"

#define HEAD "7f12a000-7f13a000 rw-s 00001000 103:00 13                /mnt/a b\n"
#define BODY "Size:   64 kB\nAnonymous:   0 kB\nTHPeligible:    0\n"

static struct smaps_mapping found[4];
static size_t n_found;

static int each(void *userdata, const struct smaps_mapping *mapping)
{
	assert_true(n_found < 4);
	found[n_found++] = *mapping;
	return userdata && n_found == *(size_t *)userdata ? -ECANCELED : 0;
}

static int find(const char *text, size_t *last)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	int r;

	assert_non_null(file);
	n_found = 0;
	r = smaps_foreach_synced(file, each, last);
	fclose(file);
	return r;
}

static void which(void **state)
{
	assert_int_equal(find(HEAD BODY "VmFlags: rd wr sh mr mw me ms sf \n", NULL), 0);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0].start, 0x7f12a000);
	assert_int_equal(found[0].end, 0x7f13a000);
	assert_int_equal(found[0].offset, 0x1000);
	/* The last line of all, and as if there were no space. */
	assert_int_equal(find(HEAD BODY "VmFlags: sh sf", NULL), 0);
	assert_int_equal(n_found, 1);
}

static void which_not(void **state)
{
	static const char *const flags[] = {
		"VmFlags: rd wr sh mr mw me ms \n",
		"VmFlags: rd mr me ms sf \n",
		"VmFlags: rd wr mr mw me ac sf \n",
		"VmFlags: sh sfx xsf s f \n",
		"VmFlags:\n",
		"VmFlag: sh sf \n",
	};
	char text[512];

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		snprintf(text, sizeof(text), HEAD BODY "%s", flags[i]);
		assert_int_equal(find(text, NULL), 0);
		assert_int_equal(n_found, 0);
	}
}

static void several(void **state)
{
	static const char text[] =
		HEAD BODY "VmFlags: sh ms sf \n"
			  "7f13a000-7f14a000 r--p 00000000 00:00 0 \n" BODY "VmFlags: rd mr \n"
			  "7ffff7fff0000000-7ffff7fff0001000 rw-s 1000000000 103:00 13 "
			  "/mnt/VmFlags: sh sf\n" BODY "VmFlags: sh ms sf \n";
	size_t one = 1;

	assert_int_equal(find(text, NULL), 0);
	assert_int_equal(n_found, 2);
	assert_int_equal(found[1].start, 0x7ffff7fff0000000);
	assert_int_equal(found[1].offset, 0x1000000000);
	assert_int_equal(find(text, &one), -ECANCELED);
	assert_int_equal(n_found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which),
		cmocka_unit_test(which_not),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
