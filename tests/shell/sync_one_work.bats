#!/usr/bin/env bats
# syncOneWork.sh: command line, audits, exit statuses, logs.
# shellcheck disable=SC2154 # support/sync.bash and bats set variables

bats_require_minimum_version 1.5.0

load support/sync

# --- command line ---------------------------------------------------------------

@test "-h explains every option" {
    sync_work -h
    [ "$status" -eq 0 ]
    for option in -a -w -s -A -W -h; do [[ $output == *"  $option"* || $output == *", $option"* ]]; done
}

@test "wrong use ends with 2 and does nothing" {
    make_work W1
    for arguments in "" "-x $work" "-a" "$work $work" "$root/no-such-work" "-w s3://bucket $work" \
        "-w bucket -s $root/list $work" "-s $root/no-such-folder/list $work"; do
        # shellcheck disable=SC2086 # they are words
        sync_work $arguments
        [ "$status" -eq 2 ]
        [[ $output == *ERROR* ]]
    done
    [ ! -e "$AUDIT_CALLS" ]
    [ ! -e "$root/logs" ]
}

@test "-w without -s is named" {
    make_work W1
    sync_work -w s3://bucket "$work"
    [[ $output == *"-w is given without -s"* ]]
}

@test "a folder whose name can't be a RID is refused" {
    mkdir "$root/staging/.hidden" "$root/staging/-dash" "$root/staging/"$'bell\a'
    for name in .hidden -dash $'bell\a'; do
        sync_work -a "$archive" "$root/staging/$name"
        [ "$status" -eq 2 ]
        [[ $output == *"isn't named as a work"* ]]
    done
}

# --- audit ----------------------------------------------------------------------

@test "without -a and -w the work is audited only" {
    make_work W1
    LOCAL_AUDIT_OPTIONS='-T FileSequence -D a=*' sync_work "$work"
    [ "$status" -eq 0 ]
    [ "${lines[-1]}" = "syncOneWork: W1: done" ]
    [ "$(cat "$AUDIT_CALLS")" = "[-l][$auditToolLogDateTimeDir][-T][FileSequence][-D][a=*][$work]" ]
    [ -z "$(find "$root/archive" -mindepth 2)" ]
}

@test "source and copy are audited, in that order, each with its options" {
    make_work W1KG07
    LOCAL_AUDIT_OPTIONS='-T before' REPO_AUDIT_OPTIONS='-T after' sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(cat "$AUDIT_CALLS")" = "[-l][$auditToolLogDateTimeDir][-T][before][$work]
[-l][$auditToolLogDateTimeDir][-T][after][${archive}0/07/W1KG07]" ]
}

@test "a source that fails its audit isn't copied" {
    make_work W1
    AUDIT_FAILS_FOR=$work AUDIT_STATUS=7 sync_work -a "$archive" -s "$root/list" "$work"
    failed 41 'audit of the source' "*(audit-tool ended with 7)*$auditToolLogDateTimeDir*"
    [ -z "$(find "$root/archive" -mindepth 2)" ]
    [ ! -e "$root/list" ]
}

@test "a copy that fails its audit isn't a success" {
    make_work W1
    AUDIT_FAILS_FOR=$archive sync_work -a "$archive" -s "$root/list" "$work"
    failed 44 "audit of the archive's copy" "the audit of ${archive}0/00/W1 failed (audit-tool ended with 1)*"
    [ ! -e "$root/list" ]
}

@test "a missing audit tool is named" {
    make_work W1
    rm "$stubs/audit-tool"
    PATH=/usr/bin:/bin run -127 "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" "$work"
    failed 127 'check of the commands' "the command 'audit-tool' isn't on PATH*"
}

# --- success list and logs ------------------------------------------------------

@test "works that succeed are appended to the list, many at once" {
    local -a started=()
    for rid in W1 W2 W3 W4 W5 W6; do
        make_work "$rid"
        "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" -s "$root/list" "$work" 3>&- &
        started+=($!)
    done
    # Not for all: bats has a process of its own here, which ends a test that takes too long.
    wait "${started[@]}"
    [ "$(sort "$root/list" | tr '\n' ' ')" = "W1 W2 W3 W4 W5 W6 " ]
}

@test "a list that can't be written is the step that failed" {
    make_work W1
    mkdir "$root/list"
    sync_work -a "$archive" -s "$root/list" "$work"
    failed 47 'success list' "can't write $root/list*"
}

@test "a command that fails unexpectedly is told with its line, and the step's status" {
    make_work W1
    stub df <<<'exit 9'
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' 'a command failed*'
    [[ $output == *"_sync_archive.sh, line "*": the command failed with exit status 9: "* ]]
}

@test "DEBUG_SYNC traces into the log" {
    make_work W1
    DEBUG_SYNC=1 sync_work "$work"
    [ "$status" -eq 0 ]
    [[ $output == *"+ begin "* ]]
    [ "$output" = "$(cat "$(log_of W1)")" ]
}

@test "each work has its own log, with everything that was printed" {
    make_work W1
    sync_work -a "$archive" "$work"
    [ "$output" = "$(cat "$(log_of W1)")" ]
    make_work W2
    AUDIT_FAILS_FOR=$work sync_work -a "$archive" "$work"
    [ "$output" = "$(cat "$(log_of W2)")" ]
    [[ $(cat "$(log_of W1)") != *W2* ]]
}

@test "run by hand it needs no variable" {
    make_work W1
    unset syncLogDateTimeDir syncLogDateTimeFile auditToolLogDateTimeDir jobDateTime GLACIER_SYNC_LOG_DIR
    HOME=$root/home sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(find "$root/home" -name 'sync-*-W1.log' | wc -l)" -eq 1 ]
}

@test "a relative path, a slash at its end and a link to the script are fine" {
    make_work W1
    ln -s "$REPOSITORY/bin/syncOneWork.sh" "$root/linked"
    cd "$root/staging"
    run "$root/linked" -a ../archive/Archive ./W1/
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
}
