#!/usr/bin/env bats
# syncOneWork.sh -w: real rclone against an S3 server on this machine.

bats_require_minimum_version 1.5.0

setup_file() {
    export REPOSITORY=$BATS_TEST_DIRNAME/../..
    export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing AWS_REGION=us-east-1
    export AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_CONFIG_FILE=/dev/null
    unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3
    "$REPOSITORY/.venv/bin/moto_server" -p 0 >"$BATS_FILE_TMPDIR/server" 2>&1 3>&- &
    export SERVER=$!
    local found=''
    until [[ -n $found ]]; do
        kill -0 "$SERVER"
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
    rclone --config /dev/null copy "seen:$bucket" "$web"
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

@test "AWS_CA_BUNDLE is honoured" {
    AWS_CA_BUNDLE=$("$REPOSITORY/.venv/bin/python" -m certifi) sync_web
    [ "$status" -eq 0 ]
    AWS_CA_BUNDLE=$root/no-such-bundle sync_web
    [ "$status" -ne 0 ]
    [[ $output == *"no-such-bundle"* ]]
}

@test "archive and web in one run; the web's failure keeps the RID off the list" {
    rclone --config /dev/null rmdir "seen:$bucket"
    sync_web -a "$root/archive/Archive"
    [ "$status" -ne 0 ]
    [[ ${lines[-1]} == "syncOneWork: W1: FAILED: copy to the web: rclone didn't copy everything to s3://$bucket/pre/fix/W1/images/"*"(exit status $status)" ]]
    diff -r "$work" "$root/archive/Archive0/00/W1"
    [ ! -e "$root/list" ]
}

@test "a work without images has nothing for the web" {
    rm -r "$work/images"
    sync_web -W
    [ "$status" -eq 0 ]
    [[ $output == *"WARNING"*"W1 has no folder images"* ]]
}

@test "a missing rclone is named with Debian's package" {
    for command in bash env basename cat date dirname find flock mkdir realpath tee; do
        ln -s "$(PATH=/usr/bin:/bin command -v "$command")" "$root/stubs/$command"
    done
    ln -s /bin/sh "$root/stubs/sh"
    PATH=$root/stubs run -127 "$REPOSITORY/bin/syncOneWork.sh" -w "s3://$bucket" -s "$root/list" "$work"
    [[ ${lines[-1]} == *"FAILED: copy to the web: the command 'rclone' isn't on PATH"*"apt-get install rclone"* ]]
}
