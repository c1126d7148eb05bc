/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lies beside a checkpoint's images: it is sealed here, so that more than its sum is read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/manifest.h"
#include "fuzz.h"

/* What is understood is written back, and that says the same. */
static void write_back(const struct dg_manifest *manifest)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT, again = DG_RECORD_WRITER_INIT;
	struct dg_manifest back;

	if (dg_manifest_write(manifest, &writer) < 0 ||
	    dg_manifest_read(writer.data, writer.n, &back) < 0 ||
	    dg_manifest_write(&back, &again) < 0)
		abort();
	if (writer.n != again.n || memcmp(writer.data, again.data, writer.n) != 0)
		abort();
	dg_manifest_done(&back);
	dg_record_writer_done(&writer);
	dg_record_writer_done(&again);
}

static void read_one(const char *text, size_t n)
{
	struct dg_checkpoint_id id;
	struct dg_manifest manifest;

	if (dg_manifest_read(text, n, &manifest) < 0)
		return;
	if (dg_checkpoint_id_parse(manifest.id, &id) < 0 || id.incident != manifest.incident ||
	    manifest.n_processes == 0 || manifest.processes[0].pid != manifest.pid)
		abort();
	write_back(&manifest);
	dg_manifest_done(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *sealed = malloc(size + 64);
	int n;

	if (!sealed)
		abort();
	memcpy(sealed, data, size);
	read_one(sealed, size);
	n = snprintf(sealed + size, 64, "END=ok%cCRC=%08" PRIx32 "%c", 0, dg_crc32c(data, size), 0);
	sealed[size + (size_t)n] = 0;
	read_one(sealed, size + (size_t)n + 1);
	free(sealed);
	return 0;
}
