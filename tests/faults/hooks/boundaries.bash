# Sourced by every bash that a killed run starts (BASH_ENV): each command is a boundary.
# shellcheck shell=bash

count_boundary() {
    local name
    local -a before
    printf -v name 'bash %-90.90s' "${BASH_COMMAND//[^ -~]/ }"
    # What a command has printed to the trace before it is the run's count.
    printf '%s\n' "$name" >>"$FAULTS_TRACE"
    [[ -n ${FAULTS_AT:-} ]] || return 0
    if [[ $FAULTS_AT == *[!0-9]* ]]; then
        [[ $name == "$FAULTS_AT"* ]] || return 0
    else
        mapfile -t before <"$FAULTS_TRACE"
        ((${#before[@]} >= FAULTS_AT)) || return 0
    fi
    # In a subshell here, each command would be a boundary again.
    [[ ! -e $FAULTS_TRACE.struck ]] && mkdir -- "$FAULTS_TRACE.struck" 2>/dev/null || return 0
    case $FAULTS_HOW in
        group) kill -KILL -- "-$FAULTS_RUN" ;;
        stop) kill -STOP -- "-$FAULTS_RUN" ;;
        run) kill -KILL "$FAULTS_RUN" ;;
        helper) kill -KILL "$BASHPID" ;;
        [0-9]*) kill -KILL "$FAULTS_HOW" ;;
        away:*) mv -- "${FAULTS_HOW#away:}" "${FAULTS_HOW#away:}.away" && mkdir -- "${FAULTS_HOW#away:}" ;;
        *) head -c 64M /dev/zero >"$FAULTS_HOW/filler" 2>/dev/null || return 0 ;;
    esac
}

if [[ -n ${FAULTS_TRACE:-} ]]; then
    set -o functrace
    trap count_boundary DEBUG
fi
