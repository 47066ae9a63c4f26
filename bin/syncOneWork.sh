#!/usr/bin/env bash
# Audits one work and syncs it into the archive's file tree and to the web images' bucket.
set -Eeuo pipefail

# shellcheck source-path=SCRIPTDIR source=_common.sh
source "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")/_common.sh"

usage() {
    cat <<'END'
syncOneWork.sh [-h] [-A] [-W] [-a archiveParent] [-w webParent] [-s successWorkList] workPath

Audits a work, copies it into the archive, audits that copy, copies the work's
images to the web, and notes its RID. The first step that fails ends it.
Without -a and -w the work is audited only.

  -a archiveParent     archive to <archiveParent><nn div 25>/<nn>/<Work>; the folder
                       <archiveParent><nn div 25> must be there
  -w webParent         copy images/ to <webParent>/<Work>/images/, where webParent is
                       s3://bucket/prefix; needs -s
  -s successWorkList   append the work's RID to this file
  -A, -W               replace the work's whole archive, web tree: what the source
                       doesn't have is deleted there
  -h                   this text

Exit status: 0 done; 2 wrong use, nothing was done; 75 try again later (the archive
isn't mounted, another sync of this work is running); 127 a command is missing;
else that of the command that failed. The last line of output and log says which
step failed and why.

Environment: syncLogDateTimeDir, syncLogDateTimeFile, auditToolLogDateTimeDir (where
logs go), LOCAL_AUDIT_OPTIONS and REPO_AUDIT_OPTIONS (words for audit-tool, before and
after archiving), NO_REFRESH_WEB (leave a web copy that exists alone), DEBUG_SYNC
(trace), and for the bucket the AWS_… variables.
END
}

readonly try_again_later=75

archive_parent='' web_parent='' success_list='' replace_archive='' replace_web=''
work_path='' work=''
step='' reason='' log_process='' lock='' partial=''

# --- checks that change nothing -------------------------------------------------

wrong_use() { die "$1; syncOneWork.sh -h explains" 2; }

read_command_line() {
    local option
    while getopts ':hAWa:w:s:' option; do
        case $option in
            h) usage && exit 0 ;;
            A) replace_archive=yes ;;
            W) replace_web=yes ;;
            a) archive_parent=$OPTARG ;;
            w) web_parent=${OPTARG%/} ;;
            s) success_list=$OPTARG ;;
            :) wrong_use "-$OPTARG has no value: expected one after it" ;;
            *) wrong_use "-$OPTARG isn't an option" ;;
        esac
    done
    shift $((OPTIND - 1))
    [[ $# -eq 1 && -n $1 ]] || wrong_use "expected one workPath, found $#: $*"
    work_path=$1
}

check_command_line() {
    [[ -d $work_path ]] || wrong_use "workPath $work_path isn't a folder: expected a work's folder"
    work_path=$(realpath --no-symlinks -- "$work_path")
    work=${work_path##*/}
    [[ $work =~ ^[^.-] && $work != *[[:cntrl:]]* ]] ||
        wrong_use "the folder $work_path isn't named as a work: expected a RID, not beginning with a dot or a dash"
    [[ -z $archive_parent || $archive_parent == /* ]] || archive_parent=$PWD/$archive_parent
    [[ -z $web_parent || $web_parent == s3://?* ]] ||
        wrong_use "webParent is $web_parent: expected s3://bucket or s3://bucket/prefix"
    [[ -z $web_parent || -n $success_list ]] || wrong_use "-w is given without -s: expected a successWorkList too"
    [[ -z $success_list || -d $(dirname -- "$success_list") ]] ||
        wrong_use "the folder of successWorkList $success_list isn't there: make it first"
}

# --- the log, and the last line -------------------------------------------------

open_log() {
    local logs=${GLACIER_SYNC_LOG_DIR:-${HOME:-/tmp}/.local/state/glacier-sync/logs} log_file
    : "${jobDateTime:=$(date +%F_%H.%M.%S)}"
    : "${syncLogDateTimeDir:=$logs/sync-logs/${jobDateTime%%_*}/$jobDateTime}"
    : "${syncLogDateTimeFile:=$syncLogDateTimeDir/sync-$jobDateTime.log}"
    : "${auditToolLogDateTimeDir:=$logs/audit-test-logs/${jobDateTime%%_*}/$jobDateTime}"
    mkdir -p -- "$syncLogDateTimeDir" "$auditToolLogDateTimeDir" ||
        die "can't make the log folders $syncLogDateTimeDir and $auditToolLogDateTimeDir: make them writable" 2
    log_file=$syncLogDateTimeDir/$(basename -- "${syncLogDateTimeFile%.log}")-$work.log
    : >>"$log_file" || die "can't write the log $log_file: make it writable" 2
    # Signals end the work, and the log still has to tell about it.
    exec > >(trap '' INT TERM && exec tee -a -- "$log_file") 2>&1
    log_process=$!
    trap finish EXIT
    trap 'fail "stopped by SIGINT; run it again" 130' INT
    trap 'fail "stopped by SIGTERM; run it again" 143' TERM
    [[ -z ${DEBUG_SYNC:-} ]] || set -x
    printf 'syncOneWork: %s: started\n' "$work"
    info "work $work_path, log $log_file"
}

# fail REASON [STATUS]: ends the script; the last line gets the reason.
fail() {
    reason=$1
    exit "${2:-1}"
}

finish() {
    local status=$?
    trap - ERR INT TERM
    set +ex
    [[ -z $partial ]] || discard "$partial"
    [[ -z $lock ]] || rm -f -- "$lock"
    if ((status == 0)); then
        printf 'syncOneWork: %s: done\n' "$work"
    else
        printf 'syncOneWork: %s: FAILED: %s: %s (exit status %d)\n' \
            "$work" "$step" "${reason:-a command failed, the line before this one tells which}" "$status"
    fi
    exec >&- 2>&-
    wait "$log_process"
    exit "$status"
}

begin() {
    step=$1
    info "$step"
}

need() { command -v -- "$1" >/dev/null || fail "$(missing_command "$1" "$2")" 127; }

# --- audit ----------------------------------------------------------------------

# audit FOLDER OPTIONS: the options are words; an option with a space in it isn't possible.
audit() {
    local -a options
    read -r -a options <<<"$2"
    command -v audit-tool >/dev/null ||
        fail "the command 'audit-tool' isn't on PATH ($PATH): expected Glacier Sync's own or the site's; put its folder on PATH" 127
    audit-tool -l "$auditToolLogDateTimeDir" "${options[@]}" "$1" || fail \
        "the audit of $1 failed: expected no failed test; its report is in $auditToolLogDateTimeDir; correct the work and sync it again" \
        "$?"
}

# --- archive --------------------------------------------------------------------

# A copy of a link would lead elsewhere than its source does, and a link out of the
# work would bring in what was never verified; a bag's payload has neither.
refuse_links_and_devices() {
    local found
    found=$(find "$1/" ! -type f ! -type d -print -quit)
    [[ -z $found ]] ||
        fail "$found is a link or a device: expected files and folders only; replace it with what it stands for"
}

copy_to_archive() {
    local number=00 root place destination
    [[ ! $work =~ [0-9][0-9]$ ]] || number=${work: -2}
    root=$archive_parent$((10#$number / 25))
    place=$root/$number
    destination=$place/$work
    info "to $destination"
    refuse_links_and_devices "$work_path"
    # Made here it would fill the disk below a mount point whose archive is away.
    [[ -d $root ]] || fail "archive root $root isn't there: is it mounted? mount it (or make it, once), then sync again" \
        "$try_again_later"
    mkdir -p -- "$place" || fail "can't make the folder $place: let this user write into $root" "$?"
    lock_work "$place"
    if [[ -L $destination || (-e $destination && ! -d $destination) ]]; then
        fail "$destination is a link or a file: expected the work's folder, or nothing; move it away"
    elif [[ -d $destination ]]; then
        update_archived "$destination"
    else
        copy_whole "$destination"
    fi
    sync --file-system -- "$destination" || fail "the archive's file system can't be written to disk" "$?"
    archived=$destination
}

# Two bags can hold the same work; the lock is the archive's, for syncs on other machines.
lock_work() {
    local path=$1/.$work.lock descriptor
    { exec {descriptor}>"$path"; } || fail "can't write into $1: let this user write there"
    if ! flock --nonblock "$descriptor" || [[ ! $path -ef /proc/$$/fd/$descriptor ]]; then
        fail "can't lock $path: another sync of this work is running; try again when it is done" "$try_again_later"
    fi
    lock=$path
    partial=$1/.$work.partial
    discard "$partial" || fail "can't remove what a stopped sync left, $partial: remove it" "$?"
}

# discard FOLDER: as an archive's folders may have come without the right to write.
discard() {
    [[ ! -e $1 && ! -L $1 ]] || { chmod -R u+rwX -- "$1" && rm -rf -- "$1"; }
}

# On disk before it is renamed: under its name a work is whole, even after a power cut.
copy_whole() {
    cp --archive --no-preserve=ownership --no-target-directory -- "$work_path/." "$partial" ||
        fail "the copy failed, and what there was of it is removed: see cp's message above" "$?"
    sync --file-system -- "$partial" || fail "the archive's file system can't be written to disk" "$?"
    mv --no-target-directory --no-clobber -- "$partial" "$1" || [[ -e $1 ]] || fail "can't rename $partial to $1"
    [[ ! -e $partial ]] || fail "$1 came into being while it was copied; sync again" "$try_again_later"
}

# Content decides, not size and time. Files are written in the hidden sibling and
# moved into place, so that a killed run leaves nothing in the work.
update_archived() {
    local -a options=(--recursive --links --times --perms --sparse --checksum "--temp-dir=$partial")
    [[ -z $replace_archive ]] || options+=(--delete-after)
    need rsync rsync
    info "exists: updating it${replace_archive:+ and deleting what only the archive has}"
    mkdir -- "$partial" || fail "can't make the folder $partial" "$?"
    rsync "${options[@]}" --itemize-changes -- "$work_path/" "$1/" ||
        fail "rsync didn't transfer everything: see its message above; $1 may hold some of the changes; sync again" "$?"
}

# --- web ------------------------------------------------------------------------

copy_to_web() {
    local images=$work_path/images destination=web:${web_parent#s3://}/$work/images/ action=copy
    info "to $web_parent/$work/images/"
    if [[ ! -d $images ]]; then
        warn "$work has no folder images: nothing to copy to the web"
        return
    fi
    refuse_links_and_devices "$images"
    need rclone rclone
    configure_rclone
    if [[ -n ${NO_REFRESH_WEB:-} ]] && web_has "$destination"; then
        info "the web copy exists, and NO_REFRESH_WEB is set: left as it is"
        return
    fi
    [[ -z $replace_web ]] || action=sync
    rclone "$action" --checksum --log-level NOTICE --stats 0 -- "$images/" "$destination" ||
        fail "rclone didn't copy everything to $web_parent/$work/images/: see its message above; sync again" "$?"
}

# The remote "web" is all that rclone is told, so that nobody's rclone.conf matters.
configure_rclone() {
    local endpoint=${AWS_ENDPOINT_URL_S3:-${AWS_ENDPOINT_URL:-}}
    export RCLONE_CONFIG=/dev/null
    export RCLONE_CONFIG_WEB_TYPE=s3 RCLONE_CONFIG_WEB_ENV_AUTH=true RCLONE_CONFIG_WEB_NO_CHECK_BUCKET=true
    export RCLONE_CONFIG_WEB_PROVIDER=AWS RCLONE_CONFIG_WEB_REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}
    if [[ -n $endpoint ]]; then
        export RCLONE_CONFIG_WEB_PROVIDER=Other RCLONE_CONFIG_WEB_ENDPOINT=$endpoint
    fi
    # Amazon's library inside rclone refuses the variable; rclone has one of its own.
    if [[ -n ${AWS_CA_BUNDLE:-} ]]; then
        export RCLONE_CA_CERT=$AWS_CA_BUNDLE
        unset AWS_CA_BUNDLE
    fi
}

web_has() {
    local listing status=0
    listing=$(rclone lsf --max-depth 1 --log-level ERROR -- "$1") || status=$?
    case $status in
        0) [[ -n $listing ]] ;;
        3) return 1 ;; # rclone's status for a folder that isn't there
        *) fail "rclone can't list $1: see its message above; sync again" "$status" ;;
    esac
}

# --- success --------------------------------------------------------------------

note_success() {
    local descriptor
    { exec {descriptor}>>"$success_list"; } || fail "can't write $success_list: make it writable"
    flock "$descriptor" || fail "can't lock $success_list" "$?"
    printf '%s\n' "$work" >&"$descriptor" || fail "can't append to $success_list" "$?"
    exec {descriptor}>&-
}

# --------------------------------------------------------------------------------

main() {
    local archived=''
    strict_mode
    read_command_line "$@"
    check_command_line
    open_log

    begin 'audit of the source'
    audit "$work_path" "${LOCAL_AUDIT_OPTIONS:-}"
    if [[ -n $archive_parent ]]; then
        begin 'copy to the archive'
        copy_to_archive
        begin "audit of the archive's copy"
        audit "$archived" "${REPO_AUDIT_OPTIONS:-}"
    fi
    if [[ -n $web_parent ]]; then
        begin 'copy to the web'
        copy_to_web
    fi
    if [[ -n $success_list ]]; then
        begin 'success list'
        note_success
    fi
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
