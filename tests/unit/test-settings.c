/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/settings.h"

static void accept(const char *text, struct dg_settings *settings)
{
	struct dg_text_error error;

	dg_settings_default(settings);
	if (dg_settings_parse(text, strlen(text), settings, &error) < 0)
		fail_msg("%u:%u: %s", error.line, error.column, error.reason);
}

static void defaults(void **state)
{
	struct dg_settings settings;

	accept("", &settings);
	assert_int_equal(settings.reserve_us, 6 * SEC);
	assert_int_equal(settings.step_timeout_us, 10 * SEC);
	assert_int_equal(settings.holders_log_max, 64);
	assert_int_equal(settings.incidents_max, 256);
	assert_int_equal(settings.registrations_user_max, 16);
	assert_int_equal(settings.checkpoint_max_bytes, 4ULL << 30);
	assert_int_equal(settings.checkpoint_keep_free, 256ULL << 20);
	assert_int_equal(settings.checkpoint_max_age_us, 30 * 86400 * SEC);
}

static void bytes(void **state)
{
	struct dg_settings settings;

	accept("[Daemon]\nCheckpointMaxBytes=0\nCheckpointKeepFree=7 M\nCheckpointMaxAgeSec=1min",
	       &settings);
	assert_int_equal(settings.checkpoint_max_bytes, 0);
	assert_int_equal(settings.checkpoint_keep_free, 7 << 20);
	assert_int_equal(settings.checkpoint_max_age_us, 60 * SEC);
	accept("[Daemon]\nCheckpointMaxBytes=2T\nCheckpointKeepFree=4097", &settings);
	assert_int_equal(settings.checkpoint_max_bytes, 2ULL << 40);
	assert_int_equal(settings.checkpoint_keep_free, 4097);
}

static void values(void **state)
{
	struct dg_settings settings;

	accept("# comment\n; another\n\n  [Daemon]  \r\nReserveSec = 4\nReserveSec=2500 ms\n"
	       "StepTimeoutSec=1min\nHoldersLogMax=0\nIncidentsMax=9\nIncidentsMax=",
	       &settings);
	assert_int_equal(settings.reserve_us, 2500 * MSEC);
	assert_int_equal(settings.step_timeout_us, 60 * SEC);
	assert_int_equal(settings.holders_log_max, 0);
	assert_int_equal(settings.incidents_max, 256);
}

static void errors_say_where_and_why(void **state)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *reason;
	} cases[] = {
		{"ReserveSec=4\n", 1, 1, "\"ReserveSec\" stands before any [Section]"},
		{"[Daemon]\nReserve=4\n", 2, 1, "unknown key \"Reserve\" in [Daemon]"},
		{"[Daemon]\n\n  Nonsense\n", 3, 3, "neither a [Section] nor Key=Value"},
		{"[Demon]\n", 1, 1, "unknown section [Demon]"},
		{"[Daemon\n", 1, 8, "\"]\" is missing"},
		{"[Daemon]\nReserveSec=x\n", 2, 12, "a number is expected here"},
		{"[Daemon]\nReserveSec= -1\n", 2, 13, "a number is expected here"},
		{"[Daemon]\nReserveSec=4 h\n", 2, 14, "not a unit of time: ms, s or min"},
		{"[Daemon]\nReserveSec=31\n", 2, 12, "ReserveSec= must be from 1000 to 30000 ms"},
		{"[Daemon]\nIncidentsMax=0\n", 2, 14, "IncidentsMax= must be from 1 to 4096"},
		{"[Daemon]\nIncidentsMax=5 s\n", 2, 16, "\"s\" after the number"},
		{"[Daemon]\nIncidentsMax=99999999999999999999\n", 2, 14, "number is too large"},
		{"[Daemon]\nCheckpointMaxBytes=5 MB\n", 2, 22, "not a unit of bytes: K, M, G or T"},
		{"[Daemon]\nCheckpointMaxBytes=M\n", 2, 20, "a number is expected here"},
		{"[Daemon]\nCheckpointMaxBytes=1025T\n", 2, 20,
		 "CheckpointMaxBytes= must be from 0 to 1125899906842624"},
		{"[Daemon]\nCheckpointMaxBytes=18014398509481984K\n", 2, 20, "number is too large"},
		{"[Daemon]\nReserveSec=4\nfoo\n", 3, 1, "neither a [Section] nor Key=Value"},
		{"[Daemon]\n\001\002=3\n", 2, 1, "a control character, 0x01"},
		{"[Daemon]\n\303\244=3\n", 2, 1, "unknown key \"\?\?\" in [Daemon]"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct dg_settings settings, before;
		struct dg_text_error error = {};

		dg_settings_default(&settings);
		before = settings;
		assert_int_equal(
			dg_settings_parse(cases[i].text, strlen(cases[i].text), &settings, &error),
			-EINVAL);
		assert_string_equal(error.reason, cases[i].reason);
		assert_int_equal(error.line, cases[i].line);
		assert_int_equal(error.column, cases[i].column);
		assert_memory_equal(&settings, &before, sizeof(settings));
	}
}

static void a_nul_is_an_error(void **state)
{
	static const char text[] = "[Daemon]\nRese\0rveSec=4\n";
	struct dg_settings settings;
	struct dg_text_error error;

	dg_settings_default(&settings);
	assert_int_equal(dg_settings_parse(text, sizeof(text) - 1, &settings, &error), -EINVAL);
	assert_int_equal(error.line, 2);
	assert_int_equal(error.column, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(bytes),
		cmocka_unit_test(errors_say_where_and_why),
		cmocka_unit_test(a_nul_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
