/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether CRIU is installed. */
#pragma once

/* NULL: it is not. */
const char *criu_find(void);
