#!/usr/bin/env bats
# syncOneWork.sh -w: real rclone against an S3 server on this machine.
# shellcheck disable=SC2030,SC2031 # each test is a subshell

bats_require_minimum_version 1.5.0

setup_file() {
    export REPOSITORY=$BATS_TEST_DIRNAME/../..
    export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_REGION=us-east-1
    export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_CONFIG_FILE=/dev/null
    unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE REQUESTS_CA_BUNDLE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
    "$REPOSITORY/.venv/bin/moto_server" -p 0 >"$BATS_FILE_TMPDIR/server" 2>&1 3>&- &
    export SERVER=$!
    local found='' began=$SECONDS
    until [[ -n $found ]]; do
        kill -0 "$SERVER"
        # BATS_TEST_TIMEOUT ends tests, and not this.
        ((SECONDS - began < 120))
        sleep 0.1
        found=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$BATS_FILE_TMPDIR/server" || true)
    done
    export ENDPOINT=$found
    # Read back by the same tool, but through a remote of the test's own.
    export RCLONE_CONFIG_SEEN_TYPE=s3 RCLONE_CONFIG_SEEN_PROVIDER=Other RCLONE_CONFIG_SEEN_ENV_AUTH=true
    export RCLONE_CONFIG_SEEN_ENDPOINT=$ENDPOINT RCLONE_CONFIG_SEEN_REGION=us-east-1
}

teardown_file() {
    kill "$SERVER"
}

setup() {
    root=$BATS_TEST_TMPDIR
    bucket=web-$BATS_TEST_NUMBER
    export TO=seen:$bucket/pre/fix/W1/images
    rclone --config /dev/null mkdir "seen:$bucket"
    mkdir -p "$root/stubs" "$root/archive/Archive0" "$root/staging/W1/images/W1-I1"
    printf '#!/bin/sh\n' >"$root/stubs/audit-tool"
    chmod +x "$root/stubs/audit-tool"
    export PATH=$root/stubs:$PATH AWS_ENDPOINT_URL_S3=$ENDPOINT GLACIER_SYNC_LOG_DIR=$root/logs
    unset NO_REFRESH_WEB syncLogDateTimeDir syncLogDateTimeFile auditToolLogDateTimeDir jobDateTime
    work=$root/staging/W1
    printf 'one' >"$work/images/W1-I1/I10001.jpg"
    printf 'two' >"$work/images/W1-I1/I 1000'2 ཨ.jpg"
}

sync_web() { run "$REPOSITORY/bin/syncOneWork.sh" "$@" -w "s3://$bucket/pre/fix" -s "$root/list" "$work"; }

# on_web: what the bucket holds, into a fresh folder whose path is in $web.
on_web() {
    web=$root/web
    rm -rf "$web"
    rclone --config /dev/null copy --no-unicode-normalization "seen:$bucket" "$web"
}

@test "the images are copied to <webParent>/<Work>/images/, and nothing else" {
    mkdir "$work/archive"
    echo kept >"$work/archive/kept.tif"
    sync_web
    [ "$status" -eq 0 ]
    [ "${lines[-1]}" = "syncOneWork: W1: done" ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
    [ "$(find "$web" -type f | wc -l)" -eq 2 ]
    [ "$(cat "$root/list")" = W1 ]
}

@test "a second run updates by checksum, and deletes only with -W" {
    sync_web
    touch -r "$work/images/W1-I1/I10001.jpg" "$root/time"
    printf 'ONE' >"$work/images/W1-I1/I10001.jpg"
    touch -r "$root/time" "$work/images/W1-I1/I10001.jpg"
    rm "$work/images/W1-I1/I 1000'2 ཨ.jpg"
    sync_web
    [ "$status" -eq 0 ]
    on_web
    [ "$(cat "$web/pre/fix/W1/images/W1-I1/I10001.jpg")" = ONE ]
    [ -e "$web/pre/fix/W1/images/W1-I1/I 1000'2 ཨ.jpg" ]
    sync_web -W
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "NO_REFRESH_WEB copies a web copy that isn't there, and leaves one that is" {
    export NO_REFRESH_WEB=Yes
    sync_web
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
    printf 'ONE' >"$work/images/W1-I1/I10001.jpg"
    sync_web
    [ "$status" -eq 0 ]
    [[ $output == *"NO_REFRESH_WEB is set: left as it is"* ]]
    on_web
    [ "$(cat "$web/pre/fix/W1/images/W1-I1/I10001.jpg")" = one ]
}

@test "options for rclone in the user's environment don't decide what is copied" {
    RCLONE_EXCLUDE='*.jpg' RCLONE_DRY_RUN=true sync_web
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "names that differ only in how they spell the same letters are copied, both" {
    printf composed >"$work/images/W1-I1/"$'\u00e9.jpg'
    printf decomposed >"$work/images/W1-I1/"$'e\u0301.jpg'
    sync_web -W
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
    printf changed | rclone --config /dev/null rcat "$TO/W1-I1/"$'e\u0301.jpg'
    sync_web
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "AWS_CA_BUNDLE is honoured" {
    AWS_CA_BUNDLE=$("$REPOSITORY/.venv/bin/python" -m certifi) sync_web
    [ "$status" -eq 0 ]
    AWS_CA_BUNDLE=$root/no-such-bundle sync_web
    [ "$status" -ne 0 ]
    [[ $output == *"no-such-bundle"* ]]
}

@test "REQUESTS_CA_BUNDLE is honoured as boto3 does it" {
    REQUESTS_CA_BUNDLE=$root/no-such-bundle sync_web
    [ "$status" -ne 0 ]
    [[ $output == *"no-such-bundle"* ]]
    AWS_CA_BUNDLE=$("$REPOSITORY/.venv/bin/python" -m certifi) REQUESTS_CA_BUNDLE=$root/no-such-bundle sync_web
    [ "$status" -eq 0 ]
}

@test "archive and web in one run; the web's failure keeps the RID off the list" {
    rclone --config /dev/null rmdir "seen:$bucket"
    sync_web -a "$root/archive/Archive"
    [ "$status" -eq 45 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: copy to the web: rclone ended with "*" and didn't copy everything to s3://$bucket/pre/fix/W1/images/"*"(exit status 45)" ]]
    diff -r "$work" "$root/archive/Archive0/00/W1"
    [ ! -e "$root/list" ]
}

@test "a work without images has nothing for the web" {
    rm -r "$work/images"
    sync_web -W
    [ "$status" -eq 0 ]
    [[ $output == *"WARNING"*"W1 has no folder images"* ]]
}

@test "a web copy of a work that has no images any more is deleted only with -W" {
    sync_web
    printf other | rclone --config /dev/null rcat "seen:$bucket/pre/fix/W1/other.jpg"
    rm -r "$work/images"
    sync_web
    [ "$status" -eq 0 ]
    NO_REFRESH_WEB=Yes sync_web -W
    [ "$status" -eq 0 ]
    on_web
    [ "$(find "$web" -type f | wc -l)" -eq 3 ]
    sync_web -W
    [ "$status" -eq 0 ]
    on_web
    [ "$(find "$web" -type f)" = "$web/pre/fix/W1/other.jpg" ]
}

@test "a web copy of a work without images that can't be deleted is a failure" {
    sync_web
    rm -r "$work/images"
    cat >"$root/stubs/rclone" <<'END'
#!/usr/bin/env bash
[[ $1 != delete ]] || exit 5
exec /usr/bin/rclone "$@"
END
    chmod +x "$root/stubs/rclone"
    sync_web -W
    [ "$status" -eq 45 ]
    [[ ${lines[-1]} == *"FAILED: copy to the web: rclone ended with 5 and didn't delete everything in s3://$bucket/pre/fix/W1/images/"* ]]
}

@test "control characters in names don't reach the terminal or the log" {
    printf x >"$work/images/"$'c0\e[31m c1\xc2\x9b31m sep\xe2\x80\xa8 ཨ.jpg'
    rclone --config /dev/null rmdir "seen:$bucket"
    sync_web
    [ "$status" -eq 45 ]
    [[ $output == *'c0'*'[31m c1?31m sep'*' ཨ.jpg: Failed to copy'* ]]
    for raw in $'\e' $'\xc2\x9b' $'\xe2\x80\xa8'; do
        run -1 grep -rqF "$raw" "$root/logs" - <<<"$output"
    done
}

@test "the web copy is changed only while the claim on the work holds" {
    sync_web
    on_web
    mv "$web" "$root/before"
    printf ONE >"$work/images/W1-I1/I10001.jpg"
    export claimFile=$root/claim
    touch --date='1 minute ago' "$claimFile"
    lacks_claim() {
        sync_web -W
        [ "$status" -eq 75 ]
        [[ ${lines[-1]} == *"FAILED: copy to the web: the claim on W1 has run out: expected $claimFile to be kept"* ]]
        on_web
        diff -r "$root/before" "$web"
    }
    lacks_claim
    mv "$work/images" "$root/images"
    lacks_claim
    mv "$root/images" "$work/images"
    touch --date='1 hour' "$claimFile"
    sync_web -W
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "rclone is ended when the claim runs out meanwhile, as without the archive nothing keeps others out" {
    printf '%s\n' '#!/bin/sh' 'exec sleep 600' >"$root/stubs/rclone"
    chmod +x "$root/stubs/rclone"
    export claimFile=$root/claim
    touch --date='4 seconds' "$claimFile"
    local began=$SECONDS
    sync_web
    [ "$status" -eq 75 ]
    [[ ${lines[-1]} == *"FAILED: copy to the web: the claim on W1 has run out"* ]]
    ((SECONDS - began < 60))
}

@test "what differs isn't copied once more when the claim has run out meanwhile" {
    export claimFile=$root/claim
    touch --date='1 hour' "$claimFile"
    { declare -p bucket && declare -f put_in_parts && echo put_in_parts I10001.jpg ONE && echo "rm $claimFile"; } | stub_rclone
    sync_web
    [ "$status" -eq 75 ]
    [[ ${lines[-1]} == *"FAILED: check of the web copy: the claim on W1 has run out"* ]]
}

@test "Amazon's buckets without access control lists are written to as well" {
    cat >"$root/stubs/rclone" <<<'#!/bin/sh
env | grep ^RCLONE_CONFIG_WEB_'
    chmod +x "$root/stubs/rclone"
    AWS_ENDPOINT_URL_S3='' sync_web
    [[ $output == *RCLONE_CONFIG_WEB_ACL=bucket-owner-full-control* ]]
    sync_web
    [[ $output != *RCLONE_CONFIG_WEB_ACL* ]]
}

# stub_rclone: rclone, after whose copy something happens to the bucket: the text is standard input.
stub_rclone() {
    {
        cat <<'END'
#!/usr/bin/env bash
/usr/bin/rclone "$@" || exit
[[ $1 == copy || $1 == sync ]] || exit 0
END
        # The script leaves nothing of the test's own remote to its rclone.
        declare -p "${!RCLONE_CONFIG_SEEN@}"
        cat
    } >"$root/stubs/rclone"
    chmod +x "$root/stubs/rclone"
}

@test "images that aren't on the web as they were copied are named" {
    stub_rclone <<'END'
printf ONE | /usr/bin/rclone --config /dev/null rcat "$TO/W1-I1/I10001.jpg"
/usr/bin/rclone --config /dev/null deletefile "$TO/W1-I1/I 1000'2 ཨ.jpg"
END
    sync_web
    [ "$status" -eq 46 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: check of the web copy: s3://$bucket/pre/fix/W1/images/ isn't what was copied there: 2 differ ("*"; sync again (exit status 46)" ]]
    [[ ${lines[-1]} == *"W1-I1/I10001.jpg"* && ${lines[-1]} == *"W1-I1/I 1000'2 ཨ.jpg"* ]]
    [ ! -e "$root/list" ]
    rm "$root/stubs/rclone"
    sync_web
    [ "$status" -eq 0 ]
}

@test "what only the web has is a difference with -W, and none without" {
    stub_rclone <<'END'
printf added | /usr/bin/rclone --config /dev/null rcat "$TO/added.jpg"
END
    sync_web
    [ "$status" -eq 0 ]
    sync_web -W
    [ "$status" -eq 46 ]
    [[ ${lines[-1]} == *"1 differ (added.jpg)"* ]]
}

# put_in_parts NAME TEXT: as programs do that tell the bucket no checksum of the whole.
put_in_parts() {
    "$REPOSITORY/.venv/bin/python" - "$ENDPOINT" "$bucket" "pre/fix/W1/images/W1-I1/$1" "$2" <<'END'
import sys
import boto3

endpoint, bucket, key, text = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
upload = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]}
part = s3.upload_part(**upload, PartNumber=1, Body=text.encode())
s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
END
}

@test "images whose checksum the bucket doesn't know are read back" {
    put_in_parts I10001.jpg one
    sync_web
    [ "$status" -eq 0 ]
    [[ $output == *"the bucket doesn't know the checksum of every image: reading them back"* ]]
}

@test "other images of the same size, whose checksum the bucket doesn't know, are replaced" {
    put_in_parts I10001.jpg ONE
    put_in_parts "I 1000'2 ཨ.jpg" TWO
    sync_web
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "images that are read back and stay different are named" {
    { declare -p bucket && declare -f put_in_parts && echo put_in_parts I10001.jpg ONE; } | stub_rclone
    sync_web
    [ "$status" -eq 46 ]
    [[ $output == *"copying once more what differs"* ]]
    [[ ${lines[-1]} == *"1 differ (W1-I1/I10001.jpg)"* ]]
}

@test "a web copy that is left alone, and lacks images, is told" {
    sync_web
    printf three >"$work/images/W1-I1/I10003.jpg"
    NO_REFRESH_WEB=Yes sync_web
    [ "$status" -eq 0 ]
    [[ $output == *"WARNING"*"the web copy lacks 1 of the images"* ]]
}

@test "a web copy that was begun is gone on with by the next try, whatever NO_REFRESH_WEB says" {
    cat >"$root/stubs/rclone" <<'END'
#!/bin/sh
[ "$1" = copy ] || exec /usr/bin/rclone "$@"
/usr/bin/rclone --exclude '*.jpg' "$@"
exit 1
END
    chmod +x "$root/stubs/rclone"
    printf tiff >"$work/images/W1-I1/I10003.tif"
    export NO_REFRESH_WEB=Yes claimFile=$root/claim
    touch --date='1 hour' "$claimFile"
    sync_web
    [ "$status" -eq 45 ]
    [[ ${lines[-1]} == *"; sync again, without NO_REFRESH_WEB until it has succeeded (exit status 45)" ]]
    on_web
    [ -e "$web/pre/fix/W1/images/W1-I1/I10003.tif" ]
    rm "$root/stubs/rclone"
    hash -r
    sync_web
    [ "$status" -eq 0 ]
    on_web
    diff -r "$work/images" "$web/pre/fix/W1/images"
}

@test "a link among the images is refused before anything is copied" {
    ln -s /etc/passwd "$work/images/W1-I1/I10003.jpg"
    sync_web
    [ "$status" -eq 42 ]
    [[ ${lines[-1]} == *"$work/images/W1-I1/I10003.jpg is a link or a device"* ]]
    on_web
    [ ! -e "$web/pre" ]
}

# start_until_rclone [BODY]: starts a sync whose rclone hangs, if it comes behind the stub's body, and
# waits until it does.
start_until_rclone() {
    printf '%s\n' '#!/bin/sh' "$@" "echo \$\$ >'$root/started'" 'exec sleep 600' >"$root/stubs/rclone"
    chmod +x "$root/stubs/rclone"
    "$REPOSITORY/bin/syncOneWork.sh" -w "s3://$bucket" -s "$root/list" "$work" >"$root/output" 2>&1 3>&- &
    script=$!
    until [[ -s $root/started ]]; do
        kill -0 "$script"
        sleep 0.05
    done
}

@test "rclone ends with the script that is killed" {
    start_until_rclone
    kill -KILL "$script"
    while kill -0 "$(cat "$root/started")" 2>/dev/null; do sleep 0.05; done
}

@test "stopped while the web copy is checked it says so in its log, and ends" {
    real=$(command -v rclone)
    start_until_rclone "[ \"\$1\" = check ] || exec '$real' \"\$@\""
    kill -TERM "$script"
    timeout 120 tail --pid "$script" -f /dev/null || { kill -KILL "$script" && false; }
    status=0
    wait "$script" || status=$?
    [ "$status" -eq 143 ]
    [[ $(tail -n 1 "$root/output") == "syncOneWork: W1: FAILED: check of the web copy: stopped by SIGTERM; run it again (exit status 143)" ]]
}

@test "a missing rclone is named with Debian's package, before anything is done" {
    for command in bash env basename cat date dirname mkdir realpath rm sed setpriv stdbuf tee; do
        ln -s "$(PATH=/usr/bin:/bin command -v "$command")" "$root/stubs/$command"
    done
    PATH=$root/stubs run -127 "$REPOSITORY/bin/syncOneWork.sh" -w "s3://$bucket" -s "$root/list" "$work"
    [[ ${lines[-1]} == *"FAILED: check of the commands: the command 'rclone' isn't on PATH"*"apt-get install rclone (exit status 127)" ]]
}
