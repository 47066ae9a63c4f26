# Sourced by every bash that a killed run starts (BASH_ENV): each command is a boundary.
# shellcheck shell=bash

count_boundary() {
    local -a before
    # What a command has printed to the trace before it is the run's count.
    printf 'bash %-90.90s\n' "${BASH_COMMAND//[^ -~]/ }" >>"$FAULTS_TRACE"
    [[ -n ${FAULTS_AT:-} ]] || return 0
    mapfile -t before <"$FAULTS_TRACE"
    ((${#before[@]} >= FAULTS_AT)) || return 0
    # In a subshell here, each command would be a boundary again.
    [[ ! -e $FAULTS_TRACE.killed ]] && mkdir -- "$FAULTS_TRACE.killed" 2>/dev/null || return 0
    case $FAULTS_HOW in
        group) kill -KILL -- "-$FAULTS_RUN" ;;
        run) kill -KILL "$FAULTS_RUN" ;;
        *) kill -KILL "$BASHPID" ;;
    esac
}

if [[ -n ${FAULTS_TRACE:-} ]]; then
    set -o functrace
    trap count_boundary DEBUG
fi
