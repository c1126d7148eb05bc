/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message of the module. */
#include "fuzz.h"
#include "io/klink-decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	klink_decode(data, size);
	return 0;
}
