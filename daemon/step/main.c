/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daxguard-step: does one thing that may block, for daxguardd.
 *
 *	daxguard-step [--proc=DIR] [--sys=DIR] VERB [DEV…|WORD…]
 *	daxguard-step [--proc=DIR] [--sys=DIR] --wait
 *
 * With --wait verb and devices are read from stdin, each ended by a NUL, when
 * they come: all that a start costs has been paid by then.
 *
 * DEV is the MAJOR:MINOR of a block device (a disk, a partition, a dm or md
 * device); what is said of it holds for the file systems whose st_dev it is.
 * Records (core/record.h) go to stdout as soon as they are known. RESULT is
 * "ok", one of the words below, or the name of an errno.
 *
 * Verbs that only look:
 *
 *   mounts DEV…	the mounts of DEV in every mount namespace
 *	DEV TYPE PATH	st_dev, file system, mount point (in that namespace)
 *	NS PID		inode of the namespace, a process in it
 *	HOST		1: the namespace of pid 1
 *	LOCKED		1: it belongs to another user namespace
 *	ID PARENT ROOT OPTIONS PROPAGATION  as in mountinfo, see proc(5)
 *	OVERMOUNTED	1: another mount stands on its root
 *     and for each reason why the machine lives on one of DEV:
 *	SYSTEM		"/", "/usr", "/var", "swap" or "daxguardd"
 *   processes WORD…	what rules ask of processes; WORD: "PID:TID:START_NS"
 *	PID START_NS			    if it is that one still
 *	EXE CGROUP GIDS			    those that there are; GIDS: all of them,
 *					    the effective one first
 *   procscan DEV…	who uses a file there, as /proc shows it
 *	PID TID START_NS COMM UID SIG_CAUGHT SIG_BLOCKED SIG_IGNORED USE FLAGS
 *	FS_DEV INO ADDR LEN OFFSET COUNT    as struct dg_usage; signals in hex
 *   who WORD…		processes, whatever they use; WORD: a PID
 *	as procscan, with USE "mapped"	    if there is such a process
 *   protected		the services that are never signalled
 *	PID START_NS NAME		    NAME: the unit
 *   names WORD…	users and groups; WORD: "user:NAME" or "group:NAME"
 *	USER ID, GROUP ID		    of those that there are
 *   topology		the pmem and DAX devices; not while a removal is held
 *	NAME DEV MODE SIZE NS_DEVICE NAMESPACE REGION BUS PROVIDER UUID NUMA
 *	DRIVER BY_PATH			    those that there are; BY_PATH repeats
 *     then, for each device built on it, what is mounted from it or them, and why
 *     the machine lives there:
 *	LAYER_OF LAYER DEV		    LAYER_OF: the NAME; a partition, a dm or md device
 *	MOUNT_OF PATH TYPE DEV		    MOUNT_OF: the NAME
 *	SYSTEM_OF WHY			    WHY: as SYSTEM above
 *
 * Verbs that act; each can be repeated:
 *
 *   sync DEV…		thaw and sync each file system, through any path
 *   shutdown DEV…	sync, then shut it down with its log flushed
 *	DEV TYPE PATH RESULT
 *   unmount DEV…	unmount it everywhere, what is mounted below first
 *   detach DEV…	unmount lazily what is left
 *	DEV TYPE PATH NS PID HOST LOCKED RESULT
 *			busy; locked (in that namespace it may not be
 *			unmounted, or is its root, or the way to it
 *			leads through what does not answer); overmounted (its path
 *			leads to another mount, which is left alone);
 *			detached (of a mount below, that somebody uses)
 *     and for each user that is no process (unmount only):
 *	KERNEL		"swap", "loop", "overlay" or "nfsd"
 *	NAME PATH	the loop device; its file, the swap file, where the overlay
 *			is mounted, what is exported
 *   unbind DEV KIND NAME	takes the driver of NAME, on the nd bus, away, if DEV (KIND:
 *			block or char) is still what it has
 *	DEVICE RESULT
 *   claim DEV…		take each exclusively as soon as it can be had, so that
 *			nobody mounts it, and keep it until killed
 *
 * Verbs of rules; what to do is read from stdin, as records:
 *
 *   hook		runs a program, and ends whatever it has started
 *	ARG TIMEOUT_MSEC	    the first record; ARG repeats, no shell
 *	DAXGUARD_...		    the second: what it is told, see hook-facts.c
 *     and says
 *	HOW STATUS OUTPUT	    "exited", "signaled" or "timeout"; its first KiB
 *   stop		asks the service manager to stop a unit
 *	ADDRESS UNIT		    where it listens, as in sd_bus_set_address(3)
 *
 * Verbs of checkpoints. The work is done by daxguard-checkpoint, in a unit of its own
 * that outlives daemon and step; who asks again for what is under way waits for it.
 * What to do is read from stdin, as records:
 *
 *   checkpoint		dumps a tree of processes with CRIU, and ends it
 *	ADDRESS RUN		    the first: as of stop; the directory of requests and results
 *	ID DIR INCIDENT		    core/manifest.h; the store; the number in ID
 *	PID START_NS COMM UID	    the holder, whose PID is in ID. Its tree begins with its
 *				    highest ancestor that is a HOLDER, too
 *	SCOPE [UNIT]		    "process" or "unit": what UNIT's main process is above
 *	RULE RESTORE		    what is only kept; RESTORE: 1 or 0
 *	TRUSTED			    1: also if they are not root's, or not all of them
 *	TIMEOUT_MSEC		    to the end of the dump, from now on
 *	MAX_BYTES KEEP_FREE	    of all of the store, 0: none; bytes to be left to others
 *	HOLDER PROTECTED	    PIDs; both repeat. PROTECTED: never to be dumped
 *	GUARDED			    st_dev on guarded devices; repeats
 *	MOUNT TYPE DEVICE NS_UUID FS_DEV    each other one: a file system of the device
 *     and says one record
 *	RESULT TEXT ID		    a word, and why
 *	BYTES DUMP_USEC PIDS CRIU   of "ok": images; until they were on the medium; the tree,
 *				    with a space between two; its version
 *	OF			    of "with": the ID of the checkpoint that has this process
 *     RESULT is
 *	ok			    they are dumped, and gone
 *	with			    they are in another checkpoint of the same incident
 *	gone			    there is no such process any more
 *	no-criu, on-guarded-device, device-dax, map-sync, protected
 *	not-trusted		    some of its processes are not root's
 *	namespace		    some of them have a mount or user namespace of their own
 *	not-a-tree		    of a unit that would stop: some of its processes are not
 *				    below the main one
 *	too-big			    for the time or the room; TEXT: which, and the numbers
 *	no-space, timeout, failed   of the dump; TEXT: CRIU's own last words
 *	stop-failed		    the service manager does not stop the unit
 *     of all but "ok" and "with" the processes are as they were before.
 *   restore		has them go on, in daxguard-restored-ID.scope
 *	ADDRESS RUN ID DIR TIMEOUT_MSEC
 *	FORCE			    1: also if a file of theirs has changed, or is no DAX any more
 *	JOURNAL			    where journald takes streams, if elsewhere
 *     and says one record
 *	RESULT TEXT ID PIDS
 *	JOINED			    1: somebody else had asked for it
 *     RESULT is
 *	ok			    they run, and the checkpoint is removed
 *	unknown, not-whole	    there is no such checkpoint; half a one
 *	running			    it was restored, and they run; or somebody is at it
 *	no-criu, unit-active, pid-taken, not-mounted, file-changed, file-held
 *	failed, timeout		    of the restore; whatever of it was there is gone
 *   criu			CRIU		    where it is, if there is one; reads nothing
 *   checkpoints DIR	what the store has; DIR need not exist
 *	ID STATE		    STATE: whole; part: being made, or left half made; broken
 *	VERSION … CRIU		    of a whole one, what core/manifest.h says of it, and
 *	MOUNT NS_UUID		    of each of its file systems, in pairs
 *   forget DIR MAX_BYTES MAX_AGE_SEC [ID…]
 *			removes these, what is left half made, and the oldest until the
 *			others are within both limits; 0: there is none
 *	REMOVED BYTES		    an ID
 *	BUSY			    an ID: it is being made, or restored
 *	FAILED RESULT		    an ID, and why it is still there
 *
 * The ledger of failures (core/ledger-record.h), a file in DIR:
 *
 *   ledger DIR read OFFSET	its bytes from OFFSET on, 1 MiB or all
 *   ledger DIR append		the lines on stdin, written and on the medium
 *   ledger DIR begin		the next file, with these lines
 *   ledger DIR go-on		more of it
 *   ledger DIR replace		it is the file now, and on the medium
 *	ERRNO			    if it failed; then nothing else is said
 *
 * Verbs of failed memory, which only look; read from stdin, as records, are
 *	DEV TIMEOUT_MSEC	    the first: the disk; after how long to give up
 *	OFFSET LEN		    each other one: a range of the disk, in bytes
 *
 *   place		what lies there, of the file system that is mounted from it
 *	FS_DEV INO GENERATION FILE_OFFSET   to a range: the file, if it is known
 *     and says, as often as it takes,
 *	RANGE OFFSET LEN KIND WHAT	    RANGE: which one, from 0 on; see core/place.h
 *	FS_DEV INO FILE_OFFSET TOLD UNWRITTEN
 *     for each file, once, and at the end
 *	FILE FS_DEV GENERATION LINKS DELETED ELSEWHERE PATH NO_PATH
 *	END			    "ok", or "cut": there was more
 *   repaired		which of them are good again
 *	SOURCE LISTED SEEN	    to a range: how it was found, see step/ranges.h
 *     and says
 *	RANGE RESULT WHY	    see core/repair.h
 *	RANGE GOOD_OFFSET GOOD_LEN  of one that is listed in part: what is not
 *
 * Those that act include what is made of files on DEV: file systems on loop
 * devices, which are given back as well, and (mounts, unmount, detach) overlays.
 *
 * Exit status: 0 all done; 1 something is left, see the records; 2 wrong
 * usage; 3 could not work at all, see stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "step/step.h"
#include "step/write-all.h"

#define WORDS_MAX 4096 /* bytes; as many as the daemon says */

static const struct {
	const char *name;
	int (*func)(struct step *step);
	enum { TAKES_NOTHING, TAKES_DEVS, TAKES_WORDS } takes;
} verbs[] = {
	{"checkpoint", verb_checkpoint, TAKES_NOTHING},
	{"checkpoints", verb_checkpoints, TAKES_WORDS},
	{"claim", verb_claim, TAKES_DEVS},
	{"criu", verb_criu, TAKES_NOTHING},
	{"detach", verb_detach, TAKES_DEVS},
	{"forget", verb_forget, TAKES_WORDS},
	{"hook", verb_hook, TAKES_NOTHING},
	{"ledger", verb_ledger, TAKES_WORDS},
	{"mounts", verb_mounts, TAKES_DEVS},
	{"names", verb_names, TAKES_WORDS},
	{"place", verb_place, TAKES_NOTHING},
	{"processes", verb_processes, TAKES_WORDS},
	{"procscan", verb_procscan, TAKES_DEVS},
	{"protected", verb_protected, TAKES_NOTHING},
	{"repaired", verb_repaired, TAKES_NOTHING},
	{"restore", verb_restore, TAKES_NOTHING},
	{"shutdown", verb_shutdown, TAKES_DEVS},
	{"stop", verb_stop, TAKES_NOTHING},
	{"sync", verb_sync, TAKES_DEVS},
	{"topology", verb_topology, TAKES_NOTHING},
	{"unbind", verb_unbind, TAKES_WORDS},
	{"unmount", verb_unmount, TAKES_DEVS},
	{"who", verb_who, TAKES_WORDS},
};

bool step_has_dev(const struct step *step, dg_dev_t dev)
{
	for (size_t i = 0; i < step->n_devs; i++)
		if (step->devs[i] == dev)
			return true;
	return false;
}

void step_go_home(const struct step *step)
{
	/* Who may not come back could not leave either. */
	if (step->home_fd >= 0)
		(void)setns(step->home_fd, CLONE_NEWNS);
}

dg_dev_t step_dev(dev_t dev)
{
	return DG_DEV(major(dev), minor(dev));
}

int step_write(const char *records, size_t n)
{
	return write_all(STDOUT_FILENO, records, n);
}

int step_emit(struct step *step)
{
	int r;

	r = dg_record_end(&step->writer);
	if (r < 0)
		return r;
	r = step_write(step->writer.data, step->writer.n);
	step->writer.n = 0;
	return r;
}

const char *step_result(int r)
{
	return r == 0 ? "ok" : strerrorname_np(-r) ?: "unknown";
}

static int usage(const char *reason, const char *what)
{
	fprintf(stderr, "daxguard-step: %s%s%s\n", reason, what ? ": " : "", what ?: "");
	fprintf(stderr, "usage: daxguard-step [--proc=DIR] [--sys=DIR] VERB [MAJOR:MINOR...]\n"
			"       daxguard-step [--proc=DIR] [--sys=DIR] --wait\n");
	return STEP_EXIT_USAGE;
}

static int parse_devs(struct step *step, char **args, int n)
{
	step->devs = calloc((size_t)n, sizeof(*step->devs));
	if (!step->devs) {
		fprintf(stderr, "daxguard-step: %s\n", strerror(ENOMEM));
		return STEP_EXIT_FAILURE;
	}
	for (; step->n_devs < (size_t)n; step->n_devs++)
		if (dg_dev_parse(args[step->n_devs], &step->devs[step->n_devs]) < 0)
			return usage("not MAJOR:MINOR", args[step->n_devs]);
	return STEP_EXIT_OK;
}

/* What stands behind the verb. */
static int parse_rest(struct step *step, const char *name, int takes, char **args, int n)
{
	if (takes == TAKES_NOTHING && n > 0)
		return usage("takes no devices", name);
	if (takes != TAKES_NOTHING && n == 0)
		return usage(takes == TAKES_DEVS ? "needs devices" : "needs words", name);
	if (takes == TAKES_DEVS)
		return parse_devs(step, args, n);
	step->words = args;
	step->n_words = (size_t)n;
	return STEP_EXIT_OK;
}

static int run(struct step *step, int argc, char **argv)
{
	const char *name = argv[0];
	int r;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		r = parse_rest(step, name, verbs[i].takes, argv + 1, argc - 1);
		if (r != STEP_EXIT_OK)
			return r;
		r = verbs[i].func(step);
		if (r == STEP_EXIT_USAGE)
			return usage("wrong words", name);
		if (r >= 0)
			return r;
		fprintf(stderr, "daxguard-step: %s: %s\n", name, strerror(-r));
		return STEP_EXIT_FAILURE;
	}
	return usage("unknown verb", name);
}

/* Words that are waited for; 0: the daemon needs us no more. */
static int wait_for_words(char text[static WORDS_MAX], char *words[static WORDS_MAX / 2])
{
	size_t n = 0;
	int n_words = 0;
	ssize_t r;

	while (n < WORDS_MAX && (r = read(STDIN_FILENO, text + n, WORDS_MAX - n)) != 0) {
		if (r < 0)
			return -EIO;
		n += (size_t)r;
	}
	/* Half of what was meant is not done. */
	if (n > 0 && text[n - 1] != 0)
		return -EBADMSG;
	for (size_t at = 0; at < n && n_words < WORDS_MAX / 2; at += strlen(text + at) + 1)
		words[n_words++] = text + at;
	return n_words;
}

static int wait_and_run(struct step *step)
{
	char text[WORDS_MAX], *words[WORDS_MAX / 2];
	int n;

	n = wait_for_words(text, words);
	if (n > 0)
		return run(step, n, words);
	if (n == 0)
		return STEP_EXIT_OK;
	fprintf(stderr, "daxguard-step: stdin: %s\n", strerror(-n));
	return STEP_EXIT_FAILURE;
}

/*
 * Where the service's own limit of memory is reached, a step can be killed for
 * it; if nobody can, who needs a page tries for ever. Anybody else goes first.
 */
static void stand_aside(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "-999", 4);
	close(fd);
}

/*
 * With the daemon: the next one does it again, and would take us for a holder.
 * Nor may we unmount, or keep a claim on, what comes later under the same
 * number. The signal is for a death to come: one that was before is seen by
 * whose child we are now.
 */
static bool die_with_parent(void)
{
	const char *parent = getenv("DAXGUARD_PARENT");

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return !parent || getppid() == (pid_t)strtol(parent, NULL, 10);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"proc", required_argument, NULL, 'p'},
		{"sys", required_argument, NULL, 's'},
		{"wait", no_argument, NULL, 'w'},
		{0},
	};
	struct step step = {.sys = "/sys", .proc_fd = -1, .home_fd = -1};
	bool wait = false;
	const char *proc = "/proc";
	int c, status;

	/* A reader that has gone shows as EPIPE; half an unmount is not left at a signal's whim. */
	signal(SIGPIPE, SIG_IGN);
	if (!die_with_parent())
		return STEP_EXIT_FAILURE;
	stand_aside();
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'w')
			wait = true;
		else if (c == 'p')
			proc = optarg;
		else if (c == 's')
			step.sys = optarg;
		else
			return usage("wrong option", NULL);
	}
	if (wait != (optind >= argc))
		return usage(wait ? "a verb, and none is waited for" : "no verb", NULL);
	step.proc_fd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (step.proc_fd < 0) {
		fprintf(stderr, "daxguard-step: %s: %s\n", proc, strerror(errno));
		return STEP_EXIT_FAILURE;
	}
	step.home_fd = openat(step.proc_fd, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	status = wait ? wait_and_run(&step) : run(&step, argc - optind, argv + optind);
	dg_record_writer_done(&step.writer);
	free(step.devs);
	if (step.home_fd >= 0)
		close(step.home_fd);
	close(step.proc_fd);
	return status;
}
