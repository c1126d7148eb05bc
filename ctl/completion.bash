# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for daxguardctl(1)

_daxguardctl_names() {
        daxguardctl --no-legend list 2>/dev/null | while read -r name device _; do
                echo "$name"
                [ "$device" = - ] || echo "$device"
        done
}

_daxguardctl_ids() {
        daxguardctl --no-legend incidents 2>/dev/null | while read -r id _; do
                echo "$id"
        done
}

_daxguardctl_checkpoints() {
        daxguardctl --no-legend checkpoints 2>/dev/null | while read -r id _; do
                echo "$id"
        done
}

_daxguardctl() {
        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb word
        verb=
        local verbs='status list holders explain incidents show monitor poison remove checkpoints restore policy reload check-policy'
        local options='--json --json=short --json=pretty --json=off --history --no-legend --dry-run --force --no-progress --delete --prune --socket= --help --version'

        if [ "$prev" = --socket ] || [[ $prev == = && ${COMP_WORDS[COMP_CWORD-2]} == --socket ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
        fi

        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                case $word in
                -*) ;;
                *) [[ " $verbs " == *" $word "* ]] && verb=$word ;;
                esac
        done

        if [[ $cur == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
                [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace
                return
        fi
        case $verb in
        '') mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur") ;;
        explain)
                local words
                [ "$prev" = explain ] && words=$(_daxguardctl_names) || words=$(cd /proc && echo [1-9]*)
                mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
                ;;
        holders|poison|remove) mapfile -t COMPREPLY < <(compgen -W "$(_daxguardctl_names)" -- "$cur") ;;
        check-policy) compopt -o default ;;
        show) mapfile -t COMPREPLY < <(compgen -W "$(_daxguardctl_ids)" -- "$cur") ;;
        checkpoints|restore) mapfile -t COMPREPLY < <(compgen -W "$(_daxguardctl_checkpoints)" -- "$cur") ;;
        *) COMPREPLY=() ;;
        esac
}

complete -F _daxguardctl daxguardctl
