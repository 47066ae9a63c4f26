#!/usr/bin/env bash
# Audits one work and syncs it into the archive's file tree and to the web images' bucket.
set -Eeuo pipefail

SCRIPTS=$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")
# shellcheck source-path=SCRIPTDIR source=_common.sh
source "$SCRIPTS/_common.sh"
# shellcheck source-path=SCRIPTDIR source=_sync_archive.sh
source "$SCRIPTS/_sync_archive.sh"
# shellcheck source-path=SCRIPTDIR source=_sync_web.sh
source "$SCRIPTS/_sync_web.sh"

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

Exit status, in the order of the steps; the first that fails ends the sync:

    0  done
    2  wrong use: nothing was done
  127  a command that is needed isn't there: nothing was copied
   41  the audit of the source failed
   42  the work, or what is in its place in the archive, can't be synced
   43  the copy to the archive failed
   44  the audit of the archive's copy failed
   45  the copy to the web failed
   46  the web copy isn't what was copied
   47  the success list can't be written
   75  try again later: the archive isn't mounted, can't be written to or has no
       space, another sync of this work is running, or its place has changed meanwhile
  130  stopped by SIGINT
  143  stopped by SIGTERM

The last line of output and log says which step failed and why, and the exit status
of the command that failed in it. A partial transfer of rsync's (23, 24) is a failure.

Environment: syncLogDateTimeDir, syncLogDateTimeFile, syncLogTempDir,
auditToolLogDateTimeDir (where logs go), LOCAL_AUDIT_OPTIONS and REPO_AUDIT_OPTIONS
(words for audit-tool, before and after archiving), NO_REFRESH_WEB (leave a web copy
that exists alone), ARCHIVE_STANDING (absent: the archive has no such work, try again
later if it has; equal: it has the same, which is audited and not copied), archiveMarker
(a file's name: try again later unless the archive root has it), claimFile (a file: try
again later unless its time lies ahead when archive or web are to be changed; beside it
.copied-<Work> gets the inode of a new copy, and its birth, and .to-web-<Work> tells that
images are being copied to the web), DEBUG_SYNC (trace), and for the bucket the AWS_…
variables.
END
}

readonly WRONG_USE=2 SOURCE_AUDIT_FAILED=41 REFUSED=42 COPY_FAILED=43 COPY_AUDIT_FAILED=44
readonly WEB_FAILED=45 WEB_DIFFERS=46 LIST_FAILED=47 TRY_AGAIN_LATER=75
readonly COMMAND_MISSING=127 STOPPED_BY_INT=130 STOPPED_BY_TERM=143

ARCHIVE_PARENT='' WEB_PARENT='' SUCCESS_LIST='' REPLACE_ARCHIVE='' REPLACE_WEB=''
WORK_PATH='' WORK='' DESTINATION='' IMAGES='' WEB_URL='' WEB_COPY='' WEB_COPIED=''
STEP='' STEP_STATUS='' REASON='' LOG_PROCESS='' TEMPORARY='' CHILD='' LOCK='' PARTIAL='' UPDATED_IN_PART='' MARKER=''

# --- checks that change nothing -------------------------------------------------

refuse_use() { die "${1//[[:cntrl:]]/?}; syncOneWork.sh -h explains" "$WRONG_USE"; }

read_command_line() {
    local option
    while getopts ':hAWa:w:s:' option; do
        case $option in
            h) usage && exit 0 ;;
            A) REPLACE_ARCHIVE=yes ;;
            W) REPLACE_WEB=yes ;;
            a) ARCHIVE_PARENT=$OPTARG ;;
            w) WEB_PARENT=${OPTARG%/} ;;
            s) SUCCESS_LIST=$OPTARG ;;
            :) refuse_use "-$OPTARG has no value: expected one after it" ;;
            *) refuse_use "-$OPTARG isn't an option" ;;
        esac
    done
    shift $((OPTIND - 1))
    [[ $# -eq 1 && -n $1 ]] || refuse_use "expected one workPath, found $#: $*"
    WORK_PATH=$1
}

check_command_line() {
    [[ -d $WORK_PATH ]] || refuse_use "workPath $WORK_PATH isn't a folder: expected a work's folder"
    WORK_PATH=$(realpath --no-symlinks -- "$WORK_PATH")
    WORK=${WORK_PATH##*/}
    [[ $WORK =~ ^[^.-] && $WORK != *[[:cntrl:]]* ]] ||
        refuse_use "the folder $WORK_PATH isn't named as a work: expected a RID, not beginning with a dot or a dash"
    IMAGES=$WORK_PATH/images
    WEB_URL=$WEB_PARENT/$WORK/images/
    WEB_COPY=web:${WEB_PARENT#s3://}/$WORK/images/
    [[ -z $ARCHIVE_PARENT || $ARCHIVE_PARENT == /* ]] || ARCHIVE_PARENT=$PWD/$ARCHIVE_PARENT
    [[ -z $WEB_PARENT || $WEB_PARENT == s3://?* ]] ||
        refuse_use "webParent is $WEB_PARENT: expected s3://bucket or s3://bucket/prefix"
    [[ -z $WEB_PARENT || -n $SUCCESS_LIST ]] || refuse_use "-w is given without -s: expected a successWorkList too"
    [[ -z $SUCCESS_LIST || -d $(dirname -- "$SUCCESS_LIST") ]] ||
        refuse_use "the folder of successWorkList $SUCCESS_LIST isn't there: make it first"
}

# --- the log, and the last line -------------------------------------------------

open_log() {
    local logs=${GLACIER_SYNC_LOG_DIR:-${HOME:-/tmp}/.local/state/glacier-sync/logs} log_file
    : "${jobDateTime:=$(date +%F_%H.%M.%S)}"
    : "${syncLogDateTimeDir:=$logs/sync-logs/${jobDateTime%%_*}/$jobDateTime}"
    : "${syncLogDateTimeFile:=$syncLogDateTimeDir/sync-$jobDateTime.log}"
    : "${auditToolLogDateTimeDir:=$logs/audit-test-logs/${jobDateTime%%_*}/$jobDateTime}"
    TEMPORARY=${syncLogTempDir:-$syncLogDateTimeDir/tempFiles}
    mkdir -p -- "$syncLogDateTimeDir" "$TEMPORARY" "$auditToolLogDateTimeDir" ||
        die "can't make the log folders $syncLogDateTimeDir, $TEMPORARY and $auditToolLogDateTimeDir: make them writable" "$WRONG_USE"
    log_file=$syncLogDateTimeDir/$(basename -- "${syncLogDateTimeFile%.log}")-$WORK.log
    : >>"$log_file" || die "can't write the log $log_file: make it writable" "$WRONG_USE"
    # Signals end the work, and so does the end of whoever reads the output; the log still has to tell.
    exec > >(trap '' INT TERM && printable | tee -a -p -- "$log_file" || true) 2>&1
    LOG_PROCESS=$!
    trap finish EXIT
    trap 'fail "stopped by SIGINT; run it again" "$STOPPED_BY_INT"' INT
    trap 'fail "stopped by SIGTERM; run it again" "$STOPPED_BY_TERM"' TERM
    [[ -z ${DEBUG_SYNC:-} ]] || set -x
    printf 'syncOneWork: %s: started\n' "$WORK"
    info "work $WORK_PATH, log $log_file"
}

# printable: a question mark for each control character, as a terminal obeys them and programs print
# names as they are. Bytes, so that every locale does: C0 but tab and line feed, C1, U+2028 and U+2029.
printable() {
    LC_ALL=C stdbuf --output=L sed 's/[\x01-\x08\x0b-\x1f\x7f]/?/g; s/\xc2[\x80-\x9f]/?/g; s/\xe2\x80[\xa8\xa9]/?/g'
}

# begin STATUS STEP: the status is the script's if the step fails.
begin() {
    STEP_STATUS=$1 STEP=$2
    info "$STEP"
}

# fail REASON [STATUS]: ends the script, with the step's status if none is given.
fail() {
    REASON=$1
    exit "${2:-$STEP_STATUS}"
}

# run COMMAND…: a command that takes long. A signal ends the script at once, and the
# command ends with the script, even if that is killed.
run() {
    setpriv --pdeathsig TERM -- "$@" &
    CHILD=$!
    wait_for_child
}

# run_to FILE COMMAND…: the same, with the command's output in a file. The script's own isn't
# redirected with it: what a signal has to tell belongs into the log, which waits for its end.
run_to() {
    setpriv --pdeathsig TERM -- "${@:2}" >"$1" 2>&1 &
    CHILD=$!
    wait_for_child
}

wait_for_child() {
    local status=0
    wait "$CHILD" || status=$?
    CHILD=''
    return "$status"
}

# Bash may wait forever for a command that a signal to its whole group has ended already.
end_child() {
    kill -- "$CHILD" 2>/dev/null || return 0
    while kill -0 -- "$CHILD" 2>/dev/null; do sleep 0.05; done
}

finish() {
    local status=$?
    trap - ERR INT TERM
    set +ex
    [[ -z $CHILD ]] || end_child
    # What a copy that was stopped has made, or an update that was, or that failed, the next sync goes on with.
    [[ -z $PARTIAL || -n $UPDATED_IN_PART || $status == "$STOPPED_BY_INT" || $status == "$STOPPED_BY_TERM" ]] ||
        discard "$PARTIAL"
    [[ -z $LOCK ]] || rm -f -- "$LOCK"
    if ((status == 0)); then
        printf 'syncOneWork: %s: done\n' "$WORK"
    else
        [[ -n $REASON ]] || status=$STEP_STATUS
        REASON=${REASON:-a command failed, the line before this one tells which}
        # Where the archive went away meanwhile, what was found in its place says nothing of the work.
        if [[ -n $MARKER && ! -e $MARKER ]] && ((status < TRY_AGAIN_LATER)); then
            status=$TRY_AGAIN_LATER
            REASON+="; the archive's marker $MARKER isn't there any more: is it mounted? mount it, then sync again"
        fi
        printf 'syncOneWork: %s: FAILED: %s: %s (exit status %d)\n' "$WORK" "$STEP" "${REASON//[[:cntrl:]]/?}" "$status"
    fi
    exec >&- 2>&-
    wait "$LOG_PROCESS"
    exit "$status"
}

# few NAME…: the first ones, for a message.
few() {
    local IFS=';'
    printf '%s%s' "${*:1:3}" "${4:+;…}"
}

# --- the steps -------------------------------------------------------------------

check_commands() {
    require setpriv util-linux
    command -v audit-tool >/dev/null ||
        fail "the command 'audit-tool' isn't on PATH ($PATH): expected Glacier Sync's own or the site's; put its folder on PATH"
    [[ -z $WEB_PARENT ]] || require rclone rclone
}

require() { command -v -- "$1" >/dev/null || fail "$(missing_command "$1" "$2")" "$COMMAND_MISSING"; }

# Whoever has this work in hand sets the file's time ahead, to the end of the claim. A
# process that was stopped for longer doesn't, and by now somebody else may have the work.
require_claim() {
    claim_holds ||
        fail "the claim on $WORK has run out: expected $claimFile to be kept; somebody else may have it, so nothing more is done; sync again" \
            "$TRY_AGAIN_LATER"
}

claim_holds() {
    local until
    [[ -n ${claimFile:-} ]] || return 0
    until=$(stat --format=%Y -- "$claimFile" 2>/dev/null || printf 0)
    ((until > EPOCHSECONDS))
}

# audit FOLDER OPTIONS: the options are words; an option with a space in it isn't possible.
audit() {
    local -a options
    read -r -a options <<<"$2"
    run audit-tool -l "$auditToolLogDateTimeDir" "${options[@]}" "$1" || fail \
        "the audit of $1 failed (audit-tool ended with $?): expected no failed test; its report is in $auditToolLogDateTimeDir; correct the work and sync it again"
}

check_work_and_place() {
    if [[ -n $ARCHIVE_PARENT ]]; then
        refuse_links_and_devices "$WORK_PATH"
        check_place
    elif [[ -d $IMAGES ]]; then
        refuse_links_and_devices "$IMAGES"
    fi
}

note_success() {
    local descriptor
    { exec {descriptor}>>"$SUCCESS_LIST"; } || fail "can't write $SUCCESS_LIST: make it writable"
    flock "$descriptor" || fail "can't lock $SUCCESS_LIST (flock ended with $?)"
    printf '%s\n' "$WORK" >&"$descriptor" || fail "can't append to $SUCCESS_LIST"
    exec {descriptor}>&-
}

# --------------------------------------------------------------------------------

main() {
    strict_mode
    read_command_line "$@"
    check_command_line
    open_log

    begin "$COMMAND_MISSING" 'check of the commands'
    check_commands
    begin "$SOURCE_AUDIT_FAILED" 'audit of the source'
    audit "$WORK_PATH" "${LOCAL_AUDIT_OPTIONS:-}"
    if [[ -n $ARCHIVE_PARENT || -n $WEB_PARENT ]]; then
        # Only what is found about them is a refusal; a folder that can't be used is the machine's trouble.
        begin "$TRY_AGAIN_LATER" 'check of the work and its place'
        check_work_and_place
    fi
    if [[ -n $ARCHIVE_PARENT ]]; then
        begin "$COPY_FAILED" 'copy to the archive'
        copy_to_archive
        begin "$COPY_AUDIT_FAILED" "audit of the archive's copy"
        audit "$DESTINATION" "${REPO_AUDIT_OPTIONS:-}"
    fi
    if [[ -n $WEB_PARENT ]]; then
        begin "$WEB_FAILED" 'copy to the web'
        copy_to_web
    fi
    if [[ -n $WEB_COPIED ]]; then
        begin "$WEB_DIFFERS" 'check of the web copy'
        check_web
    fi
    if [[ -n $SUCCESS_LIST ]]; then
        begin "$LIST_FAILED" 'success list'
        note_success
    fi
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
