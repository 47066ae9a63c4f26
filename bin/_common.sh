# shellcheck shell=bash
# Shared by the shell scripts: source it, don't run it. Sourcing defines functions
# and does nothing else; a script then calls strict_mode. Messages go to standard
# error, so that standard output stays free for what a script prints as its result.

# strict_mode: from here on a command that fails ends the script and is named.
strict_mode() {
    set -Eeuo pipefail
    trap 'on_error "$?" "$BASH_COMMAND" "${BASH_SOURCE[0]:-$0}" "$LINENO"' ERR
}

# on_error STATUS COMMAND FILE LINE: says what failed and where, and ends the script.
# A subshell that fails brings its parent here too, so each level adds its own line.
on_error() {
    log ERROR "$3, line $4: the command failed with exit status $1: $2"
    exit "$1"
}

# log LEVEL TEXT…
log() {
    local level=$1
    shift
    printf '%(%F %T)T %s %s: %s\n' -1 "$level" "${0##*/}" "$*" >&2
}

info() { log INFO "$@"; }
warn() { log WARNING "$@"; }

# die MESSAGE [STATUS]: the message says what was found, what was expected and what to do.
die() {
    log ERROR "$1"
    exit "${2:-1}"
}

# missing_command NAME DEBIAN-PACKAGE: prints how to get a command that isn't there.
missing_command() {
    printf "the command '%s' isn't on PATH (%s): expected it from Debian's package '%s'; install it with: apt-get install %s\n" \
        "$1" "$PATH" "$2" "$2"
}

# require_command NAME DEBIAN-PACKAGE: ends the script with 127 if the command isn't there.
require_command() {
    command -v -- "$1" >/dev/null || die "$(missing_command "$1" "$2")" 127
}
