# shellcheck shell=bash
# A work's images on their way to the web's bucket. Source it after _common.sh, from
# syncOneWork.sh, whose fail, require_claim, run and variables it uses.

# copy_to_web: web_copied says whether there is a copy to check.
copy_to_web() {
    local action=copy begun=${claimFile:+${claimFile%/*}/.to-web-$WORK} advice='sync again'
    info "to $WEB_URL"
    if [[ ! -d $IMAGES ]]; then
        warn "$WORK has no folder images: nothing to copy to the web"
        [[ -z $REPLACE_WEB || -n ${NO_REFRESH_WEB:-} ]] || clear_web
        return
    fi
    configure_rclone
    # What an earlier try has begun isn't a web copy that somebody else may have.
    if [[ -n ${NO_REFRESH_WEB:-} && ! -e $begun ]] && web_has; then
        info "the web copy exists, and NO_REFRESH_WEB is set: left as it is"
        warn_of_missing_images
        return
    fi
    [[ -z $REPLACE_WEB ]] || action=sync
    require_claim
    [[ -z $begun ]] || { : >"$begun" && sync -- "$begun"; } ||
        fail "can't write $begun: expected room for it, and that this user may write there; see to that, then sync again"
    [[ -z ${NO_REFRESH_WEB:-} ]] || advice+=', without NO_REFRESH_WEB until it has succeeded'
    run_claimed rclone "$action" --checksum --log-level NOTICE --stats 0 -- "$IMAGES/" "$WEB_COPY" ||
        fail "rclone ended with $? and didn't copy everything to $WEB_URL: see its message above; $advice"
    # shellcheck disable=SC2034 # syncOneWork.sh asks for it
    WEB_COPIED=yes
}

# run_claimed COMMAND…: as run does it, and without the archive's lock as long as the claim on the work holds:
# nothing else keeps out whoever has the work then.
run_claimed() {
    local status=0
    setpriv --pdeathsig TERM -- "$@" &
    CHILD=$!
    [[ -n $LOCK ]] || guard "$CHILD" &>/dev/null &
    wait_for_child || status=$?
    ((status == 0)) || require_claim
    return "$status"
}

# guard PROCESS: ends it when the claim on the work has run out.
guard() {
    while kill -0 -- "$1"; do
        claim_holds || kill -- "$1"
        sleep 1
    done
}

# What -W deletes where the source has no images at all.
clear_web() {
    configure_rclone
    web_has || return 0
    info "deleting what the web has of an earlier $WORK"
    require_claim
    run_claimed rclone delete --log-level NOTICE --stats 0 -- "$WEB_COPY" ||
        fail "rclone ended with $? and didn't delete everything in $WEB_URL: see its message above; sync again"
}

# The remote "web" is all that rclone is told, so that nobody's rclone.conf matters, nor an
# option in the environment: one that excludes names would leave images out, in the check too.
configure_rclone() {
    local endpoint=${AWS_ENDPOINT_URL_S3:-${AWS_ENDPOINT_URL:-}} option
    # boto3's order.
    local certificates=${AWS_CA_BUNDLE:-${REQUESTS_CA_BUNDLE:-}}
    for option in "${!RCLONE_@}"; do unset "$option"; done
    # Names that differ only in how they spell the same letters are two files.
    export RCLONE_CONFIG=/dev/null RCLONE_NO_UNICODE_NORMALIZATION=true
    export RCLONE_CONFIG_WEB_TYPE=s3 RCLONE_CONFIG_WEB_ENV_AUTH=true RCLONE_CONFIG_WEB_NO_CHECK_BUCKET=true
    export RCLONE_CONFIG_WEB_PROVIDER=AWS RCLONE_CONFIG_WEB_REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-us-east-1}}
    if [[ -n $endpoint ]]; then
        export RCLONE_CONFIG_WEB_PROVIDER=Other RCLONE_CONFIG_WEB_ENDPOINT=$endpoint
    else
        # rclone names an access control list in any case, and this one is taken by buckets without lists too.
        export RCLONE_CONFIG_WEB_ACL=bucket-owner-full-control
    fi
    # Amazon's library inside rclone refuses the variable; rclone has one of its own.
    unset AWS_CA_BUNDLE
    [[ -z $certificates ]] || export RCLONE_CA_CERT=$certificates
}

web_has() {
    local listing status=0
    listing=$(rclone lsf --max-depth 1 --log-level ERROR -- "$WEB_COPY") || status=$?
    case $status in
        0) [[ -n $listing ]] ;;
        3) return 1 ;; # rclone's status for a folder that isn't there
        *) fail "rclone ended with $status and can't list $WEB_URL: see its message above; sync again" ;;
    esac
}

# A first copy that was stopped is a web copy too.
warn_of_missing_images() {
    local found missing
    found=$(mktemp -d --tmpdir="$TEMPORARY")
    compare_with_web "$found" --size-only || true
    missing=$(grep -c '^+ ' "$found/combined" || true)
    rm -r -- "$found"
    ((missing == 0)) || warn "the web copy lacks $missing of the images: sync once without NO_REFRESH_WEB to have them there"
}

# check_web: every image's checksum as the bucket has it; with -W also that there is nothing else.
check_web() {
    local found status=0
    found=$(mktemp -d --tmpdir="$TEMPORARY")
    compare_with_web "$found" || status=$?
    if grep -q 'hashes could not be checked' "$found/messages"; then
        info "the bucket doesn't know the checksum of every image: reading them back"
        status=0
        read_back "$found" || status=$?
    fi
    cat -- "$found/messages" "$found/different"
    mapfile -t different <"$found/different"
    rm -r -- "$found"
    ((${#different[@]} == 0)) || fail \
        "$WEB_URL isn't what was copied there: ${#different[@]} differ ($(few "${different[@]}")); sync again"
    ((status == 0)) ||
        fail "rclone ended with $status and can't compare $WEB_URL: see its message above; sync again"
}

# read_back FOLDER: compares contents. Without a checksum rclone has copied by the size alone;
# what differs is copied once more, whatever the bucket tells of it.
read_back() {
    local found=$1 status=0
    compare_with_web "$found" --download || status=$?
    sed -n 's/^\* //p' "$found/combined" >"$found/again"
    if [[ -s $found/again ]]; then
        info "copying once more what differs"
        require_claim
        run_claimed rclone copy --ignore-times --no-traverse --files-from-raw "$found/again" --log-level NOTICE --stats 0 \
            -- "$IMAGES/" "$WEB_COPY" ||
            fail "rclone ended with $? and didn't copy what differs in $WEB_URL: see its message above; sync again"
        status=0
        compare_with_web "$found" --download || status=$?
    fi
    return "$status"
}

# compare_with_web FOLDER OPTION…: puts rclone's messages and the names that differ into the folder.
compare_with_web() {
    local found=$1 status=0
    local -a options=(--combined "$found/combined" --log-level NOTICE --stats 0 "${@:2}")
    [[ -n $REPLACE_WEB ]] || options+=(--one-way)
    run_to "$found/messages" rclone check "${options[@]}" -- "$IMAGES/" "$WEB_COPY" || status=$?
    sed -n '/^= /!s/^. //p' "$found/combined" >"$found/different" 2>/dev/null || true
    return "$status"
}
