/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verb of daxguard-step-topology, elsewhere. */
#include "step/step.h"

int verb_topology(struct step *step)
{
	return step_exec_other(step, "-topology", "topology");
}
