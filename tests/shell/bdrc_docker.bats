#!/usr/bin/env bats
# bdrc-docker.sh: options, what it puts into the build directory, what it refuses. The
# engine is a stand-in that notes how it was called; tests/appliance builds for real.

bats_require_minimum_version 1.5.0

setup() {
    project=$(realpath "$BATS_TEST_DIRNAME/../..")
    build_dir=$BATS_TEST_TMPDIR/build
    calls=$BATS_TEST_TMPDIR/calls
    export HOME=$BATS_TEST_TMPDIR/home calls
    mkdir -p "$HOME" "$BATS_TEST_TMPDIR/commands" "$BATS_TEST_TMPDIR/site/bdrc/auditTool" "$BATS_TEST_TMPDIR/scripts"
    site=$BATS_TEST_TMPDIR/site
    scripts=$BATS_TEST_TMPDIR/scripts
    echo 'MaximumImageFileSize=1G' >"$site/bdrc/auditTool/user.properties"
    printf '#!/bin/sh\n' >"$scripts/syncOneWork.sh"
    chmod +x "$scripts/syncOneWork.sh"
    unset "${!BDRC_@}" "${!COMPOSE_@}" "${!PIP_@}" BASE_IMAGE BIN VERSION REVISION
    export PIP_CONFIG_FILE=/dev/null PATH=$BATS_TEST_TMPDIR/commands:$PATH
    : >"$calls"
    cat >"$BATS_TEST_TMPDIR/commands/docker" <<'END'
#!/usr/bin/env bash
echo "docker $*" >>"$calls"
case "$1 $2" in
    "compose --file")
        env | grep -E '^(COMPOSE_|BIN=|AUDIT_HOME=|BUILD_CONFIG_ROOT=|BASE_IMAGE=|VERSION=|REVISION=)' >"$calls.env"
        cat "$COMPOSE_PIP_CONF" >"$calls.pip"
        cat "$COMPOSE_CA_BUNDLE" >"$calls.ca"
        exit "${FAIL_BUILD:-0}"
        ;;
    "buildx build")
        destination=$(grep -o 'dest=[^ ]*' <<<"$*")
        mkdir -p "${destination#dest=}"
        cd "${destination#dest=}" || exit
        if [[ -n ${PROBLEM:-} ]]; then
            echo "$PROBLEM" >problem
        else
            echo locked >requirements.lock
            echo locked >requirements-emulator.lock
        fi
        ;;
esac
END
    chmod +x "$BATS_TEST_TMPDIR/commands/docker"
}

build() { run "$project/bdrc-docker.sh" -d "$build_dir" "$@"; }

# refused STATUS TEXT…: the last run ended so, said so, and nothing was built.
refused() {
    [ "$status" -eq "$1" ]
    shift
    local text
    for text; do
        [[ $output == *"$text"* ]] || {
            printf 'expected: %s\nfound: %s\n' "$text" "$output"
            return 1
        }
    done
    ! grep -q 'compose --file' "$calls"
}

docker_fails_at() { printf '#!/bin/sh\ntest "%s" != %s\n' "\$1" "$1" >"$BATS_TEST_TMPDIR/commands/docker"; }

variable() { sed -n "s/^$1=//p" "$calls.env"; }

@test "-h and --help explain, and build nothing" {
    local option
    for option in -h --help; do
        run --separate-stderr "$project/bdrc-docker.sh" "$option"
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "Usage: ./bdrc-docker.sh [OPTION…]"* ]]
        [ -z "$stderr" ]
    done
    [ ! -s "$calls" ]
}

@test "sourcing it does nothing" {
    run bash -c "source '$project/bdrc-docker.sh' && declare -F main"
    [ "$output" = main ]
}

@test "without options it builds in ~/tmp/compose-build, from what is here" {
    local default=$HOME/tmp/compose-build
    run "$project/bdrc-docker.sh"
    [ "$status" -eq 0 ]
    [ "$(variable COMPOSE_BUILD_DIR)" = "$default" ]
    [ "$(variable COMPOSE_AIRFLOW_IMAGE)" = bdrc-airflow ]
    [ "$(variable COMPOSE_BDRC_DOCKERFILE)" = Dockerfile-bdrc ]
    [ "$(variable COMPOSE_PY_REQS)" = requirements.lock ]
    [ "$(variable BASE_IMAGE)" = debian:trixie-slim ]
    [[ $(variable VERSION) =~ ^[0-9]+\.[0-9]+ ]]
    [[ $(variable REVISION) =~ ^[0-9a-f]{40}(-modified)?$|^unknown$ ]]
    cmp "$project/requirements.lock" "$default/requirements.lock"
    cmp "$project/requirements-emulator.lock" "$default/requirements-emulator.lock"
    cmp "$project/Dockerfile-bdrc" "$default/Dockerfile-bdrc"
    [ -x "$default/$(variable BIN)/syncOneWork.sh" ]
    cmp "$project/config/site-sync.yml" "$default/$(variable BUILD_CONFIG_ROOT)/bdrc/site-sync.yml"
    [ -f "$default/.config/bdrc/auditTool/user.properties" ]
    [ -d "$default/$(variable AUDIT_HOME)" ]
    [ -f "$default/source/airflow-docker/glacier_sync/__init__.py" ]
    [ -z "$(find "$default" -name __pycache__)" ]
}

@test "what follows -- goes to docker compose build" {
    build -- --no-cache bdrc-airflow
    [ "$status" -eq 0 ]
    grep -qx "docker compose --file $project/bdrc-docker-compose.yml --project-directory $build_dir --profile build build --no-cache bdrc-airflow" "$calls"
}

@test "an option goes before its variable, the variable before the default" {
    COMPOSE_BUILD_DIR=$BATS_TEST_TMPDIR/other run "$project/bdrc-docker.sh"
    [ "$(variable COMPOSE_BUILD_DIR)" = "$BATS_TEST_TMPDIR/other" ]
    COMPOSE_BUILD_DIR=$BATS_TEST_TMPDIR/other run "$project/bdrc-docker.sh" --build_dir "$build_dir"
    [ "$(variable COMPOSE_BUILD_DIR)" = "$build_dir" ]
    COMPOSE_AIRFLOW_IMAGE=mine BASE_IMAGE=debian:x build
    [ "$(variable COMPOSE_AIRFLOW_IMAGE)" = mine ]
    [ "$(variable BASE_IMAGE)" = debian:x ]
}

@test "every option has a variable that does the same" {
    local checksum
    echo 'requests' >"$BATS_TEST_TMPDIR/dags.txt"
    echo 'a package' >"$BATS_TEST_TMPDIR/audit.deb"
    echo '-----BEGIN CERTIFICATE-----' >"$BATS_TEST_TMPDIR/ca.pem"
    checksum=$(sha256sum <"$BATS_TEST_TMPDIR/audit.deb")
    checksum=${checksum%% *}
    build -r -m "$BATS_TEST_TMPDIR/dags.txt" -c "$site" --sync-scripts "$scripts" \
        --audit-tool-deb "$BATS_TEST_TMPDIR/audit.deb" --audit-tool-sha256 "$checksum" --ca-bundle "$BATS_TEST_TMPDIR/ca.pem"
    [ "$status" -eq 0 ]
    mv "$build_dir" "$BATS_TEST_TMPDIR/by-options"
    BDRC_REBUILD=yes BDRC_REQUIREMENTS=$BATS_TEST_TMPDIR/dags.txt BDRC_CONFIG_DIR=$site BDRC_SYNC_SCRIPTS=$scripts \
        BDRC_AUDIT_TOOL_DEB=$BATS_TEST_TMPDIR/audit.deb BDRC_AUDIT_TOOL_SHA256=${checksum^^} \
        COMPOSE_CA_BUNDLE=$BATS_TEST_TMPDIR/ca.pem build
    [ "$status" -eq 0 ]
    diff -r "$BATS_TEST_TMPDIR/by-options" "$build_dir"
    cmp "$BATS_TEST_TMPDIR/ca.pem" "$calls.ca"
    cmp "$BATS_TEST_TMPDIR/audit.deb" "$build_dir/audit/audit-tool.deb"
}

@test "wrong use is told, and nothing is done" {
    build --no-such-option
    refused 2 'not understood'
    build -m
    refused 2 'not understood'
    build -c ''
    refused 2 '-c has an empty value'
    build -m "$BATS_TEST_TMPDIR/missing.txt"
    refused 2 "-m: '$BATS_TEST_TMPDIR/missing.txt' can't be read"
    build -c "$BATS_TEST_TMPDIR/missing"
    refused 2 "-c: '$BATS_TEST_TMPDIR/missing' can't be read"
    build -c "$scripts"
    refused 2 'nothing that goes into the image'
    build --sync-scripts "$site"
    refused 2 'has no syncOneWork.sh'
    build --audit-tool-deb "$calls"
    refused 2 'needs --audit-tool-sha256'
    build --audit-tool-deb "$calls" --audit-tool-sha256 12
    refused 2 'expected 64 hexadecimal digits'
    build --audit-tool-sha256 "$(printf 'a%.0s' {1..64})"
    refused 2 'without --audit-tool-deb'
    build --ca-bundle "$calls"
    refused 2 'holds no certificate'
    [ ! -e "$build_dir" ]
}

@test "without an engine, its plugins or itself, docker's absence is told" {
    docker_fails_at info
    build
    refused 1 'no Docker engine answers'
    docker_fails_at compose
    build
    refused 1 'docker-compose-plugin'
    docker_fails_at buildx
    build
    refused 1 'docker-buildx-plugin'
    [ ! -e "$build_dir" ]
}

@test "a folder that isn't ours is left alone, with -r as well" {
    mkdir "$build_dir"
    echo precious >"$build_dir/file"
    build -r
    refused 2 "this script didn't make it"
    [ "$(ls -A "$build_dir")" = file ]
}

@test "the source tree is no build directory" {
    run "$project/bdrc-docker.sh" -d "$project/build"
    refused 2 'never written to'
    ln -s "$project/bin" "$BATS_TEST_TMPDIR/link"
    run "$project/bdrc-docker.sh" -d "$BATS_TEST_TMPDIR/link/build"
    refused 2 'never written to'
}

@test "an empty folder is taken; a second run replaces what it copies and keeps the rest; -r empties" {
    mkdir "$build_dir"
    build
    touch "$build_dir/kept" "$build_dir/bin/gone" "$build_dir/source/gone"
    build
    [ "$status" -eq 0 ]
    [ -e "$build_dir/kept" ]
    [ ! -e "$build_dir/bin/gone" ]
    [ ! -e "$build_dir/source/gone" ]
    build --rebuild
    [ "$status" -eq 0 ]
    [ ! -e "$build_dir/kept" ]
    [ -e "$build_dir/requirements.lock" ]
}

@test "two builds don't share a build directory" {
    build
    : >"$calls"
    exec {lock}<"$build_dir/.glacier-sync-build"
    flock "$lock"
    build
    refused 1 'another build uses'
}

@test "what it copies can be read by any user, whatever the modes and the umask here" {
    chmod 0700 "$scripts/syncOneWork.sh"
    (umask 077 && "$project/bdrc-docker.sh" -d "$build_dir" --sync-scripts "$scripts")
    [ -z "$(find "$build_dir"/{bin,source,.config} ! -type l ! -perm -o+r)" ]
    [ -z "$(find "$build_dir"/{bin,source,.config} -perm /o+w)" ]
    [ "$(stat -c %a "$build_dir/bin/syncOneWork.sh")" = 755 ]
}

@test "a failed build is told" {
    FAIL_BUILD=17 build
    [ "$status" -eq 1 ]
    [[ $output == *'the build failed'* ]]
}

@test "of the configuration only what is on the list is copied, over ours" {
    mkdir "$site/google"
    echo x >"$site/google/books.yml"
    build -c "$site"
    [ "$status" -eq 0 ]
    [[ $output == *'left out: google/books.yml'* ]]
    [ "$(cat "$build_dir/.config/bdrc/auditTool/user.properties")" = MaximumImageFileSize=1G ]
    cmp "$project/config/site-sync.yml" "$build_dir/.config/bdrc/site-sync.yml"
    [ ! -e "$build_dir/.config/google" ]
}

@test "what looks like a credential is refused, by name and by content, and isn't shown" {
    local file text
    for file in credentials aws/credentials bdrc/auditTool/key.pem .netrc id_ed25519; do
        mkdir -p "$(dirname "$site/$file")"
        echo x >"$site/$file"
        build -c "$site"
        refused 2 'looks like a credential' "$site/$file"
        rm "$site/$file"
    done
    for text in 'aws_secret_access_key = abc' 'id: AKIAABCDEFGHIJKLMNOP' 'password: hunter2' 'API_KEY=hunter2' \
        '-----BEGIN OPENSSH PRIVATE KEY-----'; do
        echo "$text" >"$site/bdrc/site-sync.yml"
        build -c "$site"
        refused 2 'looks like a credential' "$site/bdrc/site-sync.yml"
        [[ $output != *hunter2* ]]
    done
    [ ! -e "$build_dir" ]
}

@test "a link to a credential is one" {
    echo 'password=x' >"$BATS_TEST_TMPDIR/elsewhere"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$site/bdrc/auditTool/more.properties"
    build -c "$site"
    refused 2 'looks like a credential'
}

@test "a folder in the build directory is no input" {
    build
    : >"$calls"
    cp -r "$site" "$build_dir/site"
    build -c "$build_dir/site"
    refused 2 'is in the build directory'
}

@test "the site's sync scripts come beside the appliance's own" {
    echo site >"$scripts/helper.sh"
    mkdir "$scripts/.git"
    build --sync-scripts "$scripts"
    [ "$status" -eq 0 ]
    cmp "$scripts/syncOneWork.sh" "$build_dir/bin/syncOneWork.sh"
    [ -e "$build_dir/bin/helper.sh" ]
    [ -x "$build_dir/bin/check-service" ]
    [ ! -e "$build_dir/bin/.git" ]
    touch "$scripts/_common.sh"
    : >"$calls"
    build --sync-scripts "$scripts"
    refused 2 "has the name of one of the appliance's own"
}

@test "a package with another checksum is refused, and isn't kept" {
    echo package >"$BATS_TEST_TMPDIR/audit.deb"
    build --audit-tool-deb "$BATS_TEST_TMPDIR/audit.deb" --audit-tool-sha256 "$(printf 'a%.0s' {1..64})"
    refused 1 'has the SHA-256' 'expected aaaa'
    [ -z "$(ls "$build_dir/audit")" ]
}

@test "a package comes from a URL once, and goes with the option" {
    local checksum
    echo package >"$BATS_TEST_TMPDIR/audit.deb"
    checksum=$(sha256sum <"$BATS_TEST_TMPDIR/audit.deb")
    cat >"$BATS_TEST_TMPDIR/commands/curl" <<'END'
#!/usr/bin/env bash
echo "curl ${*: -1}" >>"$calls"
while [[ $1 != --output ]]; do shift; done
echo package >"$2"
END
    chmod +x "$BATS_TEST_TMPDIR/commands/curl"
    build --audit-tool-deb https://site.example/audit.deb --audit-tool-sha256 "${checksum%% *}"
    build --audit-tool-deb https://site.example/audit.deb --audit-tool-sha256 "${checksum%% *}"
    [ "$status" -eq 0 ]
    [ "$(grep -c '^curl https://site.example/audit.deb' "$calls")" -eq 1 ]
    [ -f "$build_dir/audit/audit-tool.deb" ]
    build
    [ -z "$(ls "$build_dir/audit")" ]
}

@test "requirements are merged and locked once, and again when they change" {
    echo 'requests' >"$BATS_TEST_TMPDIR/dags.txt"
    echo 'six' >"$scripts/requirements.txt"
    build -m "$BATS_TEST_TMPDIR/dags.txt" --sync-scripts "$scripts"
    [ "$status" -eq 0 ]
    [ "$(cat "$build_dir/requirements.lock")" = locked ]
    [ "$(cut -f 2 "$build_dir/requirements/sources")" = "requirements.txt
$BATS_TEST_TMPDIR/dags.txt
$scripts/requirements.txt" ]
    grep -q '^uv==' "$build_dir/requirements/uv.txt"
    grep -q -- '--hash' "$build_dir/requirements/uv.txt"
    build -m "$BATS_TEST_TMPDIR/dags.txt" --sync-scripts "$scripts"
    [[ $output == *'taking its lock'* ]]
    [ "$(grep -c 'buildx build' "$calls")" -eq 1 ]
    echo 'requests~=2.0' >"$BATS_TEST_TMPDIR/dags.txt"
    build -m "$BATS_TEST_TMPDIR/dags.txt" --sync-scripts "$scripts"
    [ "$(grep -c 'buildx build' "$calls")" -eq 2 ]
    build
    cmp "$project/requirements.lock" "$build_dir/requirements.lock"
    build -m "$BATS_TEST_TMPDIR/dags.txt" --sync-scripts "$scripts"
    [ "$(cat "$build_dir/requirements.lock")" = locked ]
}

@test "requirements that contradict each other end it, and aren't taken for locked next time" {
    echo 'requests' >"$BATS_TEST_TMPDIR/dags.txt"
    PROBLEM='these contradict: a line 1, b line 2' build -m "$BATS_TEST_TMPDIR/dags.txt"
    refused 1 'these contradict: a line 1, b line 2'
    PROBLEM='still' build -m "$BATS_TEST_TMPDIR/dags.txt"
    refused 1 still
}

@test "pip's settings reach the build, without paths of this machine, and nothing stays" {
    mkdir "$BATS_TEST_TMPDIR/tmp"
    cat >"$BATS_TEST_TMPDIR/pip.conf" <<END
[global]
index-url = https://user:hunter2@packages.example/simple
cert = $BATS_TEST_TMPDIR/ca.pem
cache-dir = /here/alone
[install]
timeout = 7
END
    echo '-----BEGIN CERTIFICATE-----' >"$BATS_TEST_TMPDIR/ca.pem"
    export TMPDIR=$BATS_TEST_TMPDIR/tmp PIP_CONFIG_FILE=$BATS_TEST_TMPDIR/pip.conf PIP_EXTRA_INDEX_URL=https://more.example
    build
    [ "$status" -eq 0 ]
    grep -qx 'index-url = https://user:hunter2@packages.example/simple' "$calls.pip"
    grep -qx 'extra-index-url = https://more.example' "$calls.pip"
    grep -qx 'timeout = 7' "$calls.pip"
    cmp "$BATS_TEST_TMPDIR/ca.pem" "$calls.ca"
    [[ $output != *hunter2* ]]
    [ -z "$(ls -A "$TMPDIR")" ]
    run ! grep -q '/here' "$calls.pip"
    run ! grep -rq hunter2 "$build_dir"
}

@test "secrets are removed when the build fails, too" {
    mkdir "$BATS_TEST_TMPDIR/tmp"
    TMPDIR=$BATS_TEST_TMPDIR/tmp FAIL_BUILD=1 build
    [ "$status" -eq 1 ]
    [ -z "$(ls -A "$BATS_TEST_TMPDIR/tmp")" ]
}

@test "settings of pip that can't be read are told" {
    echo 'no section' >"$BATS_TEST_TMPDIR/pip.conf"
    COMPOSE_PIP_CONF=$BATS_TEST_TMPDIR/pip.conf build
    refused 1 "pip's settings can't be"
}

@test "nothing is written to the source tree" {
    local clone=$BATS_TEST_TMPDIR/clone before
    mkdir "$clone"
    (cd "$project" && tar --exclude=__pycache__ -cf - -- *.* LICENSE airflow-docker bin config Dockerfile-bdrc) | tar -C "$clone" -xf -
    echo requests >"$BATS_TEST_TMPDIR/dags.txt"
    before=$(find "$clone" -printf '%p %T@ %m %s\n' | sort)
    run "$clone/bdrc-docker.sh" -d "$build_dir" -c "$site" --sync-scripts "$scripts" -m "$BATS_TEST_TMPDIR/dags.txt"
    [ "$status" -eq 0 ]
    [ "$before" = "$(find "$clone" -printf '%p %T@ %m %s\n' | sort)" ]
}
