#!/usr/bin/env bats
# syncOneWork.sh -a: real folders, real cp and rsync.
# shellcheck disable=SC2030,SC2031,SC2154 # support/sync.bash and bats set variables

bats_require_minimum_version 1.5.0

load support/sync

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

@test "a new work keeps its times, is for all to read, and leaves nothing beside it" {
    make_work W1KG07
    chmod 4750 "$work/images/W1KG07-I1/I10001.jpg"
    chmod 700 "$work/images"
    (umask 077 && sync_work -a "$archive" "$work" && [ "$status" -eq 0 ])
    copy=${archive}0/07/W1KG07
    [ "$(cd "$copy" && find . -printf '%P %T@\n' | sort)" = "$(cd "$work" && find . -printf '%P %T@\n' | sort)" ]
    [ "$(find "$copy" -type f -printf '%m\n' | sort -u)" = 644 ]
    [ "$(find "$copy" -type d -printf '%m\n' | sort -u)" = 755 ]
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

@test "the archive's folders hand their group on" {
    make_work W1
    mkdir "${archive}0/00"
    chmod 2775 "${archive}0/00"
    sync_work -a "$archive" "$work"
    mkdir -p "$work/sources"
    echo new >"$work/sources/new.txt"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(find "${archive}0/00/W1" -type d -printf '%m\n' | sort -u)" = 2755 ]
    [ "$(stat -c %a "${archive}0/00/W1/sources/new.txt")" = 644 ]
}

@test "holes in files stay holes" {
    make_work W1
    truncate -s 8M "$work/archive/sparse.tif"
    sync_work -a "$archive" "$work"
    [ "$(stat -c %b "${archive}0/00/W1/archive/sparse.tif")" -eq 0 ]
    truncate -s 9M "$work/archive/sparse.tif"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    cmp "$work/archive/sparse.tif" "${archive}0/00/W1/archive/sparse.tif"
    [ "$(stat -c %b "${archive}0/00/W1/archive/sparse.tif")" -lt 2048 ]
}

@test "a full archive is for later, and nothing is written" {
    make_work W1
    stub df <<'END'
[[ $* == *--output=avail* ]] && printf 'Avail\n100\n'
END
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' 'the archive has 100 bytes free at *, and W1 needs *: make room*'
    [ -z "$(ls -A "${archive}0/00")" ]
}

@test "an archive that isn't mounted isn't filled" {
    make_work WX77
    rmdir "${archive}3"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "archive root ${archive}3 isn't there: is it mounted?*"
    [ ! -e "${archive}3" ]
}

@test "an archive without its marker isn't filled" {
    make_work W1
    export archiveMarker=.archive
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "the archive's marker ${archive}0/.archive isn't there: is it mounted?*"
    [ -z "$(ls -A "${archive}0")" ]
    touch "${archive}0/.archive"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
}

@test "an archive that goes away meanwhile is for later, whatever fails then" {
    make_work W1
    export archiveMarker=.archive
    touch "${archive}0/.archive"
    go_away="mv ${archive}0 $root/away && mkdir ${archive}0"
    stub cp <<<"$go_away && exec /bin/cp \"\$@\""
    sync_work -a "$archive" "$work"
    failed 75 'copy to the archive' "the copy failed (cp ended with 1)*the archive's marker ${archive}0/.archive isn't there any more*"
    [ -z "$(ls -A "${archive}0")" ]
    rmdir "${archive}0" && mv "$root/away" "${archive}0"
    rm "$stubs/cp"
    stub audit-tool <<<"[[ \${!#} != $archive* ]] || { $go_away && exit 3; }"
    sync_work -a "$archive" "$work"
    failed 75 "audit of the archive's copy" "the audit of * failed*isn't there any more: is it mounted?*"
    [ -z "$(ls -A "${archive}0")" ]
    rmdir "${archive}0" && mv "$root/away" "${archive}0"
    diff -r "$work" "${archive}0/00/W1"
}

@test "a new work gets its name only while the claim on it holds" {
    make_work W1
    export claimFile=$root/claim
    sync_work -a "$archive" "$work"
    failed 75 'copy to the archive' "the claim on W1 has run out: expected $claimFile to be kept*"
    [ ! -e "${archive}0/00/W1" ]
    touch --date='1 minute ago' "$claimFile"
    sync_work -a "$archive" "$work"
    failed 75 'copy to the archive' "the claim on W1 has run out*"
    [ ! -e "${archive}0/00/W1" ]
    [ ! -e "$root/.copied-W1" ]
    touch --date='1 hour' "$claimFile"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    [ "$(cat "$root/.copied-W1")" = "$(LC_ALL=C stat -c '%i %.9W' "${archive}0/00/W1")" ]
}

@test "an archived work is changed only while the claim on it holds" {
    make_work W1
    sync_work -a "$archive" "$work"
    cp -r "${archive}0/00/W1" "$root/before"
    printf changed >"$work/images/W1-I1/I10001.jpg"
    export claimFile=$root/claim
    sync_work -a "$archive" "$work"
    failed 75 'copy to the archive' "the claim on W1 has run out*"
    diff -r "$root/before" "${archive}0/00/W1"
    touch --date='1 hour' "$claimFile"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
}

@test "a link or a device in the work is refused by name" {
    make_work W1
    ln -s /etc/passwd "$work/archive/W1-I1/I10002.tif"
    sync_work -a "$archive" "$work"
    failed 42 'check of the work and its place' "$work/archive/W1-I1/I10002.tif is a link or a device*"
    rm "$work/archive/W1-I1/I10002.tif"
    mkfifo "$work/images/pipe"$'\n'"syncOneWork: W1: done"
    sync_work -a "$archive" "$work"
    failed 42 'check of the work and its place' "$work/images/pipe?syncOneWork: W1: done is a link or a device*"
    [ -z "$(find "$root/archive" -mindepth 2)" ]
}

@test "a link or a pipe in the place of the lock is refused, and never followed" {
    make_work W1
    mkdir "${archive}0/00"
    echo kept >"$root/victim"
    ln -s "$root/victim" "${archive}0/00/.W1.lock"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "${archive}0/00/.W1.lock is a link or a pipe: expected a file*"
    [ "$(cat "$root/victim")" = kept ]
    rm "${archive}0/00/.W1.lock"
    mkfifo "${archive}0/00/.W1.lock"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "${archive}0/00/.W1.lock is a link or a pipe: expected a file*"
    [ ! -e "${archive}0/00/W1" ]
}

@test "control characters in names don't reach the terminal or the log" {
    make_work W1
    sync_work -a "$archive" "$work"
    # As a site's own audit tool may print it, and so may any other program.
    stub audit-tool <<<"find $work/images -name 'c0*'"
    # What rsync prints as it is depends on the locale.
    for locale in C.UTF-8 C; do
        echo "$locale" >"$work/images/"$'c0\e[31m c1\u009b31m sep\u2028 ཨ.jpg'
        LC_ALL=$locale sync_work -a "$archive" "$work"
        [ "$status" -eq 0 ]
        [[ $output == *'f'*'images/c0'*'[31m c1'*'31m sep'*'.jpg'* ]]
        [[ $output == *'c0?[31m c1?31m sep? ཨ.jpg'* ]]
        # shellcheck disable=SC2076 # no pattern
        for raw in $'\e' $'\u009b' $'\u2028'; do [[ ! $output$(cat "$(log_of W1)") =~ "$raw" ]]; done
    done
    diff -r "$work" "${archive}0/00/W1"
}

@test "folders of the archive that can't be written to are no fault of the work's" {
    make_work W1
    touch "${archive}0/00"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "can't make the folder ${archive}0/00: let this user write into ${archive}0*"
    rm "${archive}0/00"
    mkdir -p "${archive}0/00/.W1.lock"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "can't write into ${archive}0/00: let this user write there*"
    rmdir "${archive}0/00/.W1.lock"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
}

@test "a link in the work's place isn't followed" {
    make_work W1
    mkdir -p "${archive}0/00" "$root/elsewhere"
    ln -s "$root/elsewhere" "${archive}0/00/W1"
    sync_work -a "$archive" "$work"
    failed 42 'check of the work and its place' "${archive}0/00/W1 is a link or a file*"
    [ -z "$(ls -A "$root/elsewhere")" ]
}

@test "a copy that fails leaves nothing" {
    make_work W1
    stub cp <<'END'
mkdir -p "${!#}" && echo half >"${!#}/half" && chmod 555 "${!#}"
echo "cp: No space left on device" >&2
exit 7
END
    sync_work -a "$archive" "$work"
    failed 43 'copy to the archive' 'the copy failed (cp ended with 7)*'
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
    failed 75 'copy to the archive' "${archive}0/00/W1 came into being while it was copied*"
    [ "$(ls "${archive}0/00/W1")" = other ]
    nothing_beside "${archive}0/00/W1"
}

# A copy that has done half of its work and waits to be ended.
stub_half_copy() {
    stub cp <<'END'
mkdir -p "${!#}/archive/W1-I1"
printf 'archived W1' >"${!#}/archive/W1-I1/I10001.tif"
printf 'half' >"${!#}/archive/W1-I1/I10002.tif"
printf 'of an earlier version' >"${!#}/archive/W1-I1/I10003.tif"
echo $$ >"$BATS_TEST_TMPDIR/started"
exec sleep 600
END
}

@test "killed in the middle of the copy, the work is absent; the next run makes it whole" {
    make_work W1
    echo second >"$work/archive/W1-I1/I10002.tif"
    stub_half_copy
    start_and_wait_for "$root/started" -a "$archive" "$work"
    kill_group KILL
    [ ! -e "${archive}0/00/W1" ]
    copied=$(stat -c %i "${archive}0/00/.W1.partial/archive/W1-I1/I10001.tif")
    rm "$stubs/cp"
    ARCHIVE_STANDING=absent sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [[ $output == *"going on with ${archive}0/00/.W1.partial, which a stopped sync has left"* ]]
    diff -r "$work" "${archive}0/00/W1"
    # What was copied isn't copied again.
    [ "$(stat -c %i "${archive}0/00/W1/archive/W1-I1/I10001.tif")" = "$copied" ]
    nothing_beside "${archive}0/00/W1"
}

@test "the copy ends with the script, also if that is killed" {
    make_work W1
    stub_half_copy
    start_and_wait_for "$root/started" -a "$archive" "$work"
    end_script KILL
    rm "$stubs/cp"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

# stopped SIGNAL: the script is stopped while it copies, and says so; the next run goes on.
stopped() {
    make_work W1
    stub_half_copy
    start_and_wait_for "$root/started" -a "$archive" "$work"
    end_script "$1"
    [ "$killed_status" -eq "$((128 + $(kill -l "$1")))" ]
    [[ $(tail -n 1 "$(log_of W1)") == "syncOneWork: W1: FAILED: copy to the archive: stopped by SIG$1"*"$killed_status)" ]]
    [ "$(ls -A "${archive}0/00")" = .W1.partial ]
    rm "$stubs/cp"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

@test "stopped by SIGTERM it says so, and the next run goes on" {
    stopped TERM
}

@test "stopped by SIGINT it says so, and the next run goes on" {
    stopped INT
}

@test "a left-over that is a link isn't followed" {
    make_work W1
    mkdir -p "${archive}0/00" "$root/elsewhere/images"
    chmod 500 "$root/elsewhere"
    ln -s "$root/elsewhere" "${archive}0/00/.W1.partial"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    nothing_beside "${archive}0/00/W1"
    [ "$(ls -A "$root/elsewhere")" = images ]
    [ "$(stat -c %a "$root/elsewhere")" = 500 ]
}

@test "two syncs of one work don't get in each other's way" {
    make_work W1
    stub cp <<'END'
touch "$BATS_TEST_TMPDIR/started"
until [[ -e $BATS_TEST_TMPDIR/go-on ]]; do sleep 0.05; done
exec /bin/cp "$@"
END
    start_and_wait_for "$root/started" -a "$archive" "$work"
    sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' '*another sync of this work is running*'
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
        failed 43 'copy to the archive' "rsync ended with $partial and didn't transfer everything*"
    done
    [ ! -e "$root/list" ]
    # The copy may hold files of both versions until an update is completed: there is a sign of that.
    [ -d "${archive}0/00/.W1.partial/kept" ]
    rm -- "$stubs/rsync"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    nothing_beside "${archive}0/00/W1"
}

@test "a missing rsync is named with Debian's package, where it is needed" {
    make_work W1
    for command in bash env basename cat cp cut date df dirname du find flock mkdir mv realpath rm sed setpriv stdbuf sync \
        tail tee; do
        ln -s "$(PATH=/usr/bin:/bin command -v "$command")" "$stubs/$command"
    done
    PATH=$stubs sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    PATH=$stubs run -127 "$REPOSITORY/bin/syncOneWork.sh" -a "$archive" "$work"
    failed 127 'check of the work and its place' "the command 'rsync' isn't on PATH*apt-get install rsync"
}

@test "killed while it updates, the next run goes on in the middle of the file" {
    make_work W1
    sync_work -a "$archive" "$work"
    head -c 300000 /dev/urandom >"$work/archive/W1-I1/I10002.tif"
    head -c 300000 /dev/urandom >"$work/archive/W1-I1/I10003.tif"
    # As rsync leaves it when it is ended: one file kept, one that it couldn't put aside.
    stub rsync <<'END'
for option; do
    case $option in
        --partial-dir=*) head -c 200000 "$BATS_TEST_TMPDIR/staging/W1/archive/W1-I1/I10003.tif" >"${option#*=}/I10003.tif" ;;
        --temp-dir=*) echo half >"${option#*=}/I10002.tif.aBcDeF" ;;
    esac
done
echo $$ >"$BATS_TEST_TMPDIR/started"
exec sleep 600
END
    start_and_wait_for "$root/started" -a "$archive" "$work"
    end_script KILL
    [ -e "${archive}0/00/.W1.partial/kept/I10003.tif" ]
    [ ! -e "${archive}0/00/W1/archive/W1-I1/I10003.tif" ]
    stub rsync <<'END'
/usr/bin/rsync --stats "$@"
END
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
    matched=$(sed -n 's/^Matched data: \([0-9,]*\) bytes$/\1/p' <<<"$output")
    ((${matched//,/} > 190000))
}

@test "rsync itself, killed while it updates, is finished by the next run" {
    make_work W1
    sync_work -a "$archive" "$work"
    truncate -s 600M "$work/archive/W1-I1/I10002.tif"
    echo new >"$work/archive/W1-I1/I10003.tif"
    # It would be done before anybody saw it at work.
    stub rsync <<<'exec /usr/bin/rsync --bwlimit=10M "$@"'
    start -a "$archive" "$work"
    until compgen -G "${archive}0/00/.W1.partial/new/I10002.tif.*" >/dev/null; do
        kill -0 "$group"
        sleep 0.01
    done
    kill_group KILL
    rm "$stubs/rsync"
    truncate -s 1M "$work/archive/W1-I1/I10002.tif"
    sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    diff -r "$work" "${archive}0/00/W1"
    nothing_beside "${archive}0/00/W1"
}

@test "links in the archive's copy lead nothing out of it" {
    make_work W1
    sync_work -a "$archive" "$work"
    copy=${archive}0/00/W1
    mkdir "$root/elsewhere"
    echo kept >"$root/elsewhere/I10001.jpg"
    mv "$copy/images/W1-I1" "$root/moved"
    ln -s "$root/elsewhere" "$copy/images/W1-I1"
    ln -sf "$root/elsewhere/I10001.jpg" "$copy/archive/W1-I1/I10001.tif"
    ln -s "$root/elsewhere/new.txt" "$copy/archive/new.txt"
    echo new >"$work/archive/new.txt"
    for option in '' -A; do
        # shellcheck disable=SC2086 # nothing, if it is empty
        sync_work $option -a "$archive" "$work"
        [ "$status" -eq 0 ]
        diff -r "$work" "$copy"
        [ -z "$(find "$copy" -type l)" ]
        [ "$(cd "$root/elsewhere" && grep -r .)" = I10001.jpg:kept ]
    done
}

# --- what a plan says of the archive ------------------------------------------------

@test "a copy that came into being after the plan isn't updated" {
    make_work W1
    sync_work -a "$archive" "$work"
    echo theirs >"${archive}0/00/W1/archive/W1-I1/I10001.tif"
    ARCHIVE_STANDING=absent sync_work -A -a "$archive" "$work"
    failed 75 'check of the work and its place' "${archive}0/00/W1 is there, and wasn't when this sync was planned*"
    [ "$(cat "${archive}0/00/W1/archive/W1-I1/I10001.tif")" = theirs ]
    nothing_beside "${archive}0/00/W1"
}

@test "an equal copy is audited and not touched" {
    make_work W1
    sync_work -a "$archive" "$work"
    : >"$AUDIT_CALLS"
    stub rsync <<<'exit 99'
    ARCHIVE_STANDING=equal REPO_AUDIT_OPTIONS='-T after' sync_work -a "$archive" "$work"
    [ "$status" -eq 0 ]
    [ "$(tail -n 1 "$AUDIT_CALLS")" = "[-l][$auditToolLogDateTimeDir][-T][after][${archive}0/00/W1]" ]
    nothing_beside "${archive}0/00/W1"
    rm -r "${archive}0/00/W1"
    ARCHIVE_STANDING=equal sync_work -a "$archive" "$work"
    failed 75 'check of the work and its place' "${archive}0/00/W1 isn't there, and was when this sync was planned*"
}
