#compdef daxguardctl
# SPDX-License-Identifier: LGPL-2.1-or-later

_daxguardctl_devices() {
        local -a devices
        devices=(${(f)"$(daxguardctl --no-legend list 2>/dev/null | awk '{ print $1; if ($2 != "-") print $2 }')"})
        _describe -t devices 'device' devices
}

_daxguardctl_ids() {
        local -a ids
        ids=(${(f)"$(daxguardctl --no-legend incidents 2>/dev/null | awk '{ print $1 ":" $4 }')"})
        _describe -t incidents 'incident' ids
}

_daxguardctl_checkpoints() {
        local -a ids
        ids=(${(f)"$(daxguardctl --no-legend checkpoints 2>/dev/null | awk '{ print $1 }')"})
        _describe -t checkpoints 'checkpoint' ids
}

_daxguardctl_verbs() {
        local -a verbs=(
                'status:is the daemon at work, and are removals held?'
                'list:devices that are guarded'
                'holders:who uses a device now'
                'explain:who would get what in a removal, and why'
                'incidents:removals since the records begin'
                'show:the whole story of one incident'
                'monitor:follow incidents as they happen'
                'poison:which ranges of memory are bad'
                'remove:sync, end its users, unmount, take its driver away'
                'checkpoints:processes that were written to the disk, and may go on'
                'restore:has the processes of a checkpoint go on'
                'policy:the rules in force, in their order'
                'reload:read the configuration and the rules again'
                'check-policy:are the rules, or these files, without errors?'
        )
        _describe -t verbs 'verb' verbs
}

local curcontext=$curcontext state line
_arguments -C \
        '(-h --help)'{-h,--help}'[show help]' \
        '--version[show version]' \
        '(-j --json)'{-j,--json=-}'[print JSON]::mode:(short pretty off)' \
        '--history[of poison: also what was repaired]' \
        '--dry-run[of remove: what it would come to]' \
        '--force[of remove: also under who stays; of restore: also if a file has changed]' \
        '--no-progress[of remove: only how it ended]' \
        '--delete[of checkpoints: remove those that are named]' \
        '--prune[of checkpoints: remove what is too old or too much]' \
        '--no-legend[no titles, no hints]' \
        '--socket=[control socket of the daemon]:socket:_files' \
        '1:verb:_daxguardctl_verbs' \
        '*:argument:->argument'

case $state in
argument)
        case $line[1] in
        holders|poison|remove) _daxguardctl_devices ;;
        explain) if (( $#line == 2 )); then _daxguardctl_devices; else _pids; fi ;;
        show) _daxguardctl_ids ;;
        checkpoints|restore) _daxguardctl_checkpoints ;;
        check-policy) _files -g '*.(policy|device)' ;;
        esac
        ;;
esac
