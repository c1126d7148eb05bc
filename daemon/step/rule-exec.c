/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of daxguard-step-rule, elsewhere. */
#include "step/step.h"

int verb_checkpoint(struct step *step)
{
	return step_exec_other(step, "-rule", "checkpoint");
}

int verb_hook(struct step *step)
{
	return step_exec_other(step, "-rule", "hook");
}

int verb_restore(struct step *step)
{
	return step_exec_other(step, "-rule", "restore");
}

int verb_stop(struct step *step)
{
	return step_exec_other(step, "-rule", "stop");
}
