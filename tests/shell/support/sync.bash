# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # the tests read what is set here, bats sets the rest
# What the tests of syncOneWork.sh have in common. The audit tool here stands for a site's
# own: it notes how it was called, and fails when and as the test says.

setup() {
    REPOSITORY=$BATS_TEST_DIRNAME/../..
    root=$BATS_TEST_TMPDIR
    stubs=$root/stubs
    mkdir -p "$stubs" "$root/staging" "$root"/archive/Archive{0,1,2,3}
    export AUDIT_CALLS=$root/audit-calls
    stub audit-tool <<'END'
printf '[%s]' "$@" >>"$AUDIT_CALLS"
echo >>"$AUDIT_CALLS"
[[ -z ${AUDIT_FAILS_FOR:-} || ${!#} != "$AUDIT_FAILS_FOR"* ]] || exit "${AUDIT_STATUS:-1}"
END
    export PATH=$stubs:$PATH LANG=C.UTF-8 LC_ALL=C.UTF-8
    export syncLogDateTimeDir=$root/logs/sync auditToolLogDateTimeDir=$root/logs/audit
    export syncLogDateTimeFile=$syncLogDateTimeDir/sync-2025-01-31_08.09.10.log
    unset syncLogTempDir LOCAL_AUDIT_OPTIONS REPO_AUDIT_OPTIONS NO_REFRESH_WEB ARCHIVE_STANDING DEBUG_SYNC
    unset AUDIT_FAILS_FOR AUDIT_STATUS
    archive=$root/archive/Archive
}

# What a test has started and not ended, ends with it.
teardown() {
    [[ -z ${group:-} ]] || kill -KILL -- "-$group" 2>/dev/null || true
}

# stub NAME: a command that goes before the real one; its text is standard input.
stub() {
    { echo '#!/usr/bin/env bash' && cat; } >"$stubs/$1"
    chmod +x "$stubs/$1"
}

# make_work NAME: a work in the staging folder; its path is in $work.
make_work() {
    work=$root/staging/$1
    mkdir -p "$work/archive/$1-I1" "$work/images/$1-I1"
    printf 'archived %s' "$1" >"$work/archive/$1-I1/I10001.tif"
    printf 'image %s' "$1" >"$work/images/$1-I1/I10001.jpg"
    chmod 640 "$work/archive/$1-I1/I10001.tif"
    touch -d 2001-02-03T04:05:06Z "$work/archive/$1-I1/I10001.tif"
}

# failed STATUS STEP REASON: how the last sync has ended, a pattern as the reason.
failed() {
    [ "$status" -eq "$1" ]
    # shellcheck disable=SC2053 # it is a pattern
    [[ ${lines[-1]} == "syncOneWork: "*": FAILED: $2: "$3' (exit status '"$1)" ]]
}

sync_work() { run "$REPOSITORY/bin/syncOneWork.sh" "$@"; }

log_of() { echo "$syncLogDateTimeDir/sync-2025-01-31_08.09.10-$1.log"; }

# end_script SIGNAL: the script alone; what it has started has to end with it.
end_script() {
    local child
    until [[ -s $root/started ]]; do sleep 0.05; done
    child=$(<"$root/started")
    kill "-$1" "$group"
    wait "$group" || killed_status=$?
    while kill -0 "$child" 2>/dev/null; do sleep 0.05; done
    group=''
}

# nothing_beside DESTINATION: neither a partial copy nor a lock is left in its folder.
nothing_beside() {
    [ "$(ls -A "$(dirname "$1")")" = "$(basename "$1")" ]
}

# start ARGUMENTS…: the script in the background, in a process group of its own.
start() {
    # What runs in the background ignores SIGINT, unless it is told not to.
    env --default-signal=INT setsid "$REPOSITORY/bin/syncOneWork.sh" "$@" >"$root/output" 2>&1 3>&- &
    group=$!
}

# start_and_wait_for FILE ARGUMENTS…: the script in the background, until FILE is there.
start_and_wait_for() {
    local flag=$1
    start "${@:2}"
    until [[ -e $flag ]]; do
        kill -0 "$group"
        sleep 0.05
    done
}

# kill_group SIGNAL: the script and all that it has started.
kill_group() {
    kill "-$1" -- "-$group"
    wait "$group" || killed_status=$?
    # Until the last of them is gone, the lock is held.
    while grep -qsE "\) [^XZ] [0-9]+ $group " /proc/[0-9]*/stat; do sleep 0.05; done
    group=''
}
