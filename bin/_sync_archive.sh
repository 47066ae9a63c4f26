# shellcheck shell=bash
# A work's way into the archive's file tree. Source it after _common.sh, from
# syncOneWork.sh, whose fail, require, require_claim, run and variables it uses.

# Content decides, not size and time. What the archive has keeps its modes.
readonly -a RSYNC_OPTIONS=(
    --recursive --links --times --no-perms '--chmod=D755,F644' --sparse --checksum --itemize-changes
)

# check_place: what has to hold before anything is written; nothing of the work is changed.
check_place() {
    local number=00 root place
    [[ ! $WORK =~ [0-9][0-9]$ ]] || number=${WORK: -2}
    root=$ARCHIVE_PARENT$((10#$number / 25))
    place=$root/$number
    DESTINATION=$place/$WORK
    # Made here it would fill the disk below a mount point whose archive is away.
    [[ -d $root ]] || fail "archive root $root isn't there: is it mounted? mount it (or make it, once), then sync again" \
        "$TRY_AGAIN_LATER"
    MARKER=$root/${archiveMarker:-}
    require_marker
    mkdir -p -- "$place" || fail "can't make the folder $place: let this user write into $root"
    lock_work "$place"
    if [[ -L $DESTINATION || (-e $DESTINATION && ! -d $DESTINATION) ]]; then
        fail "$DESTINATION is a link or a file: expected the work's folder, or nothing; move it away" "$REFUSED"
    elif [[ -d $DESTINATION ]]; then
        [[ ${ARCHIVE_STANDING:-} != absent ]] ||
            fail "$DESTINATION is there, and wasn't when this sync was planned; sync again, to have the two compared" \
                "$TRY_AGAIN_LATER"
        require rsync rsync
    else
        [[ ${ARCHIVE_STANDING:-} != equal ]] ||
            fail "$DESTINATION isn't there, and was when this sync was planned; sync again" "$TRY_AGAIN_LATER"
        [[ ! -d $PARTIAL ]] || require rsync rsync
        require_space "$place"
    fi
}

# An archive that goes away leaves an empty folder where it was mounted.
require_marker() {
    [[ -e $MARKER ]] ||
        fail "the archive's marker $MARKER isn't there: is it mounted? mount it (or make that file, once), then sync again" \
            "$TRY_AGAIN_LATER"
}

# A copy of a link would lead elsewhere than its source does, and a link out of the
# work would bring in what was never verified; a bag's payload has neither.
refuse_links_and_devices() {
    local found
    found=$(find "$1/" ! -type f ! -type d -print -quit)
    [[ -z $found ]] ||
        fail "$found is a link or a device: expected files and folders only; replace it with what it stands for" \
            "$REFUSED"
}

# lock_work PLACE: LOCK and PARTIAL are hidden beside the work from here on.
# Two bags can hold the same work; the lock is the archive's, for syncs on other machines.
# Commands that are started inherit it: while one of them lives, the lock is held.
lock_work() {
    local path=$1/.$WORK.lock descriptor
    # Opened, a link would lead out of the archive, and a pipe would keep this waiting.
    [[ ! -L $path && ! -p $path ]] ||
        fail "$path is a link or a pipe: expected a file, or nothing; remove it, then sync again" "$TRY_AGAIN_LATER"
    { exec {descriptor}>>"$path"; } || fail "can't write into $1: let this user write there"
    if ! flock --nonblock "$descriptor" || [[ ! $path -ef /proc/$$/fd/$descriptor ]]; then
        fail "can't lock $path: another sync of this work is running; try again when it is done" "$TRY_AGAIN_LATER"
    fi
    # shellcheck disable=SC2034 # syncOneWork.sh removes it
    LOCK=$path
    PARTIAL=$1/.$WORK.partial
    [[ ! -L $PARTIAL && (! -e $PARTIAL || -d $PARTIAL) ]] || discard "$PARTIAL"
}

require_space() {
    local needed there=0 free
    needed=$(bytes_in "$WORK_PATH")
    [[ ! -d $PARTIAL ]] || there=$(bytes_in "$PARTIAL")
    free=$(df --block-size=1 --output=avail -- "$1" | tail -n 1)
    ((free + there >= needed)) ||
        fail "the archive has $free bytes free at $1, and $WORK needs $((needed - there)): make room, then sync again" \
            "$TRY_AGAIN_LATER"
}

bytes_in() { du --apparent-size --block-size=1 --summarize -- "$1" | cut -f 1; }

# discard FOLDER: as an archive's folders may have come without the right to write.
discard() {
    if [[ -d $1 && ! -L $1 ]]; then chmod -R u+rwX -- "$1"; fi
    rm -rf -- "$1"
}

copy_to_archive() {
    local mask
    info "to $DESTINATION"
    if [[ ${ARCHIVE_STANDING:-} == equal ]]; then
        info "equal already: not copied"
        return
    fi
    mask=$(umask)
    # What an archive holds is for others to read.
    umask 022
    if [[ -d $DESTINATION ]]; then
        update_archived
    else
        copy_whole
    fi
    umask "$mask"
    run sync --file-system -- "$DESTINATION" || fail "the archive's file system can't be written to disk (sync ended with $?)"
}

# On disk before it is renamed: under its name a work is whole, even after a power cut.
copy_whole() {
    if [[ -d $PARTIAL ]]; then
        info "going on with $PARTIAL, which a stopped sync has left"
        run rsync "${RSYNC_OPTIONS[@]}" --delete-before -- "$WORK_PATH/" "$PARTIAL/" ||
            fail "the copy failed (rsync ended with $?), and what there was of it is removed: see the message above"
    else
        run cp --recursive --no-dereference --no-preserve=mode --preserve=timestamps --reflink=auto \
            --no-target-directory -- "$WORK_PATH/." "$PARTIAL" ||
            fail "the copy failed (cp ended with $?), and what there was of it is removed: see the message above"
    fi
    run sync --file-system -- "$PARTIAL" || fail "the archive's file system can't be written to disk (sync ended with $?)"
    require_marker
    require_claim
    note_own_copy
    mv --no-target-directory --no-clobber -- "$PARTIAL" "$DESTINATION" || [[ -e $DESTINATION ]] ||
        fail "can't rename $PARTIAL to $DESTINATION (mv ended with $?)"
    [[ ! -e $PARTIAL ]] ||
        fail "$DESTINATION came into being while it was copied; sync again, to have the two compared" "$TRY_AGAIN_LATER"
}

# Should nobody come to compare the copy with its bag, the next try knows by this that it is its own.
note_own_copy() {
    local note
    [[ -n ${claimFile:-} ]] || return 0
    note=${claimFile%/*}/.copied-$WORK
    # An inode's number is given again when it is free: with its birth it tells one copy.
    { LC_ALL=C stat --format='%i %.9W' -- "$PARTIAL" >"$note" && sync -- "$note"; } ||
        fail "can't write $note: expected room for it, and that this user may write there; see to that, then sync again"
}

# Files are written in the hidden sibling and moved into place, so that a killed run
# leaves nothing in the work. Of a file that was being written rsync keeps what it has,
# and the next run goes on there.
update_archived() {
    local -a options=("${RSYNC_OPTIONS[@]}" "--temp-dir=$PARTIAL/new" "--partial-dir=$PARTIAL/kept")
    info "exists: updating it${REPLACE_ARCHIVE:+ and deleting what only the archive has}"
    [[ -z $REPLACE_ARCHIVE ]] || options+=(--delete-after)
    if [[ -d $PARTIAL/kept ]]; then
        info "going on with what a stopped sync has left in $PARTIAL"
        # A local rsync copies whole files unless it is told not to.
        options+=(--no-whole-file)
        discard "$PARTIAL/new"
    else
        discard "$PARTIAL"
    fi
    mkdir -p -- "$PARTIAL/new" "$PARTIAL/kept" || fail "can't make the folder $PARTIAL"
    require_claim
    # shellcheck disable=SC2034 # syncOneWork.sh leaves it where it is, as a sign of what the update has come to
    UPDATED_IN_PART=yes
    run rsync "${options[@]}" -- "$WORK_PATH/" "$DESTINATION/" || fail \
        "rsync ended with $? and didn't transfer everything: see its message above; $DESTINATION may hold some of the changes; sync again"
    discard "$PARTIAL"
    # shellcheck disable=SC2034
    UPDATED_IN_PART=''
}
