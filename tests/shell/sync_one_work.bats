#!/usr/bin/env bats
# syncOneWork.sh against real folders, real rsync and rclone. The audit tool here stands
# for a site's own: it notes how it was called, and fails when and as the test says.

bats_require_minimum_version 1.5.0

setup_file() {
    export REPOSITORY=$BATS_TEST_DIRNAME/../..
}

setup() {
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
    unset LOCAL_AUDIT_OPTIONS REPO_AUDIT_OPTIONS NO_REFRESH_WEB DEBUG_SYNC AUDIT_FAILS_FOR AUDIT_STATUS
    archive=$root/archive/Archive
}

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

sync_work() { run "$REPOSITORY/bin/syncOneWork.sh" "$@"; }

log_of() { echo "$syncLogDateTimeDir/sync-2025-01-31_08.09.10-$1.log"; }

# nothing_beside DESTINATION: neither a partial copy nor a lock is left in its folder.
nothing_beside() {
    [ "$(ls -A "$(dirname "$1")")" = "$(basename "$1")" ]
}

# start_and_wait_for FILE ARGUMENTS…: the script in a process group of its own, until FILE is there.
start_and_wait_for() {
    local flag=$1
    shift
    setsid "$REPOSITORY/bin/syncOneWork.sh" "$@" >"$root/output" 2>&1 3>&- &
    group=$!
    until [[ -e $flag ]]; do
        kill -0 "$group"
        sleep 0.05
    done
}

kill_group() {
    kill "-$1" -- "-$group"
    wait "$group" || killed_status=$?
    group=''
}

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

@test "a source that fails its audit isn't copied; the tool's status is the script's" {
    make_work W1
    AUDIT_FAILS_FOR=$work AUDIT_STATUS=41 sync_work -a "$archive" -s "$root/list" "$work"
    [ "$status" -eq 41 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: audit of the source: "*"$auditToolLogDateTimeDir"*"(exit status 41)" ]]
    [ -z "$(find "$root/archive" -mindepth 2)" ]
    [ ! -e "$root/list" ]
}

@test "a copy that fails its audit isn't a success" {
    make_work W1
    AUDIT_FAILS_FOR=$archive sync_work -a "$archive" -s "$root/list" "$work"
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: audit of the archive's copy: "*"(exit status 1)" ]]
    [ ! -e "$root/list" ]
}

@test "a missing audit tool is named" {
    make_work W1
    rm "$stubs/audit-tool"
    PATH=/usr/bin:/bin run -127 "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" "$work"
    [[ ${lines[-1]} == *"FAILED: audit of the source: the command 'audit-tool' isn't on PATH"* ]]
}

# --- a new work in the archive --------------------------------------------------

@test "a new work is copied to its place in the tree, 08 and 09 included" {
    declare -A place=([W1]=0/00 [WX08]=0/08 [WX09]=0/09 [WX24]=0/24 [WX25]=1/25 [WX50]=2/50 [WX99]=3/99 [W9]=0/00)
    for rid in "${!place[@]}"; do
        make_work "$rid"
        sync_work -a "$archive" "$work"
        [ "$status" -eq 0 ]
        diff -r "$work" "$archive${place[$rid]}/$rid"
    done
}

@test "a new work keeps times and modes, and leaves nothing beside it" {
    make_work W1KG07
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    copy=${archive}0/07/W1KG07
    [ "$(cd "$copy" && find . -printf '%P %m %T@\n' | sort)" = "$(cd "$work" && find . -printf '%P %m %T@\n' | sort)" ]
    nothing_beside "$copy"
    [ "$(tail -n 1 "$(log_of W1KG07)")" = "syncOneWork: W1KG07: done" ]
}

@test "names in any encoding, with spaces, quotes and newlines, are copied" {
    rid="W'ཨ \"\$(touch x)\"{{07"
    make_work "$rid"
    printf x >"$work/images/"$'latin-\xe9\n-2'
    sync_work -a "$archive" -s "$root/list" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/07/$rid"
    [ "$(cat "$root/list")" = "$rid" ]
    make_work $'W\xe9'99
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}3/99/"$'W\xe9'99
}

@test "rsync isn't needed for a new work" {
    make_work W1
    stub rsync <<<'exit 99'
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
}

@test "an archive that isn't mounted isn't filled" {
    make_work WX77
    rmdir "${archive}3"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 75 ]
    [[ ${lines[-1]} == "syncOneWork: WX77: FAILED: copy to the archive: archive root ${archive}3 isn't there: is it mounted?"* ]]
    [ ! -e "${archive}3" ]
}

@test "a link or a device in the work is refused by name" {
    make_work W1
    ln -s /etc/passwd "$work/archive/W1-I1/I10002.tif"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == *"FAILED: copy to the archive: $work/archive/W1-I1/I10002.tif is a link or a device"* ]]
    rm "$work/archive/W1-I1/I10002.tif"
    mkfifo "$work/images/pipe"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == *"$work/images/pipe is a link or a device"* ]]
    [ -z "$(find "$root/archive" -mindepth 2)" ]
}

@test "a link in the work's place isn't followed" {
    make_work W1
    mkdir -p "${archive}0/00" "$root/elsewhere"
    ln -s "$root/elsewhere" "${archive}0/00/W1"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == *"${archive}0/00/W1 is a link or a file"* ]]
    [ -z "$(ls -A "$root/elsewhere")" ]
}

@test "a copy that fails leaves nothing, and its status is the script's" {
    make_work W1
    stub cp <<'END'
mkdir -p "${!#}" && echo half >"${!#}/half" && chmod 555 "${!#}"
echo "cp: No space left on device" >&2
exit 7
END
    sync_work -a "$archive" "$work"
    [ "$status" -eq 7 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: copy to the archive: the copy failed"*"(exit status 7)" ]]
    [[ $output == *"No space left on device"* ]]
    [ -z "$(ls -A "${archive}0/00")" ]
}

@test "a work that came into being while it was copied isn't overwritten" {
    make_work W1
    stub cp <<'END'
destination=$(dirname "${!#}")/W1
mkdir "$destination" && echo other >"$destination/other"
exec /bin/cp "$@"
END
    sync_work -a "$archive" "$work"
    [ "$status" -eq 75 ]
    [[ ${lines[-1]} == *"${archive}0/00/W1 came into being while it was copied"* ]]
    [ "$(ls "${archive}0/00/W1")" = other ]
    nothing_beside "${archive}0/00/W1"
}

@test "killed in the middle of the copy, the work is absent; the next run makes it whole" {
    make_work W1
    stub cp <<'END'
mkdir -p "${!#}" && echo half >"${!#}/left-over"
touch "$BATS_TEST_TMPDIR/copying"
exec sleep 600
END
    start_and_wait_for "$root/copying" -a "$archive" "$work"
    kill_group KILL
    [ ! -e "${archive}0/00/W1" ]
    [ -e "${archive}0/00/.W1.partial/left-over" ]
    rm "$stubs/cp"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

@test "stopped by SIGTERM it tidies up and says so" {
    make_work W1
    stub cp <<'END'
mkdir -p "${!#}" && touch "$BATS_TEST_TMPDIR/copying"
exec sleep 600
END
    start_and_wait_for "$root/copying" -a "$archive" "$work"
    kill_group TERM
    [ "$killed_status" -eq 143 ]
    [[ $(tail -n 1 "$(log_of W1)") == "syncOneWork: W1: FAILED: copy to the archive: stopped by SIGTERM"*"143)" ]]
    [ -z "$(ls -A "${archive}0/00")" ]
}

@test "two syncs of one work don't get in each other's way" {
    make_work W1
    stub cp <<'END'
touch "$BATS_TEST_TMPDIR/copying"
until [[ -e $BATS_TEST_TMPDIR/go-on ]]; do sleep 0.05; done
exec /bin/cp "$@"
END
    start_and_wait_for "$root/copying" -a "$archive" "$work"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 75 ]
    [[ ${lines[-1]} == *"another sync of this work is running"* ]]
    touch "$root/go-on"
    wait "$group"
    group=''
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

# --- a work that the archive has ------------------------------------------------

@test "an existing work is updated, and nothing of it is deleted" {
    make_work W1
    sync_work -a "$archive" "$work"
    echo only here >"${archive}0/00/W1/archive/only-here.tif"
    echo new >"$work/archive/W1-I1/I10002.tif"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(diff -r "$work" "${archive}0/00/W1")" = "Only in ${archive}0/00/W1/archive: only-here.tif" ]
    nothing_beside "${archive}0/00/W1"
}

@test "with -A what the source doesn't have is deleted" {
    make_work W1
    sync_work -a "$archive" "$work"
    mkdir -p "${archive}0/00/W1/archive/W1-I2"
    echo only here >"${archive}0/00/W1/archive/W1-I2/only-here.tif"
    sync_work -A -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
}

@test "content decides, not size and time" {
    make_work W1
    sync_work -a "$archive" "$work"
    file=archive/W1-I1/I10001.tif
    printf 'ARCHIVED W1' >"${archive}0/00/W1/$file"
    touch -r "$work/$file" "${archive}0/00/W1/$file"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    cmp "$work/$file" "${archive}0/00/W1/$file"
}

@test "a second run over an equal work changes nothing" {
    make_work W1
    sync_work -a "$archive" "$work"
    before=$(find "$root/archive" -path '*W1*' -printf '%P %i %C@ %T@\n' | sort)
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(find "$root/archive" -path '*W1*' -printf '%P %i %C@ %T@\n' | sort)" = "$before" ]
}

@test "rsync's partial transfers, 23 and 24, are failures" {
    make_work W1
    sync_work -a "$archive" "$work"
    for partial in 23 24; do
        stub rsync <<<"exit $partial"
        sync_work -a "$archive" -s "$root/list" "$work"
        [ "$status" -eq "$partial" ]
        [[ ${lines[-1]} == "syncOneWork: W1: FAILED: copy to the archive: rsync "*"(exit status $partial)" ]]
    done
    [ ! -e "$root/list" ]
}

@test "a missing rsync is named with Debian's package" {
    make_work W1
    sync_work -a "$archive" "$work"
    for command in bash env basename cat chmod date dirname find flock mkdir mv realpath rm sync tee; do
        ln -s "$(PATH=/usr/bin:/bin command -v "$command")" "$stubs/$command"
    done
    PATH=$stubs run -127 "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" "$work"
    [[ ${lines[-1]} == *"FAILED: copy to the archive: the command 'rsync' isn't on PATH"*"apt-get install rsync"* ]]
}

@test "killed while it updates, the next run finishes and leaves no litter in the work" {
    make_work W1
    sync_work -a "$archive" "$work"
    echo new >"$work/archive/W1-I1/I10002.tif"
    stub rsync <<'END'
for option; do [[ $option != --temp-dir=* ]] || echo half >"${option#*=}/.I10002.tif.aBcDeF"; done
touch "$BATS_TEST_TMPDIR/copying"
exec sleep 600
END
    start_and_wait_for "$root/copying" -a "$archive" "$work"
    kill_group KILL
    [ -e "${archive}0/00/.W1.partial/.I10002.tif.aBcDeF" ]
    rm "$stubs/rsync"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

# --- success list and logs ------------------------------------------------------

@test "works that succeed are appended to the list, many at once" {
    for rid in W1 W2 W3 W4 W5 W6; do
        make_work "$rid"
        "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" -s "$root/list" "$work" 3>&- &
    done
    wait
    [ "$(sort "$root/list" | tr '\n' ' ')" = "W1 W2 W3 W4 W5 W6 " ]
}

@test "a list that can't be written is the step that failed" {
    make_work W1
    mkdir "$root/list"
    sync_work -a "$archive" -s "$root/list" "$work"
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: success list: can't write $root/list"* ]]
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
