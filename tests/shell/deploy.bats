#!/usr/bin/env bats
# deploy.sh: options, the first run and later ones, what it refuses.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # support/deployment.bash and bats set variables

bats_require_minimum_version 1.5.0

setup() {
    load support/deployment
    set_up_deployment
}

@test "--help tells of every option" {
    run --separate-stderr deploy --help
    [ "$status" -eq 0 ]
    for option in -s -d --dev --prod -i --init-env --arch-root --uid --port --bind --tls-cert --tls-key --aws-profiles --dry-run; do
        [[ $output == *"$option"* ]]
    done
}

@test "wrong use ends with 2 and changes nothing" {
    fails 2 "-d (the deployment's folder) is missing" --dev
    fails 2 "--dev or --prod is missing" -d "$dest"
    fails 2 "exclude each other" "${options[@]}" --dev --prod
    fails 2 "isn't an option" "${options[@]}" --dev surplus
    fails 2 "aren't understood" "${options[@]}" --dev --nonsense
    fails 2 "the port is '070'" -d "$dest" --dev --port 070
    fails 2 "the port is '65536'" -d "$dest" --dev --port 65536
    fails 2 "the address is 'here'" "${options[@]}" --dev --bind here
    fails 2 "other than 0, which is root's" "${options[@]}" --dev --uid 0
    fails 2 "need each other" "${options[@]}" --dev --tls-cert x
    fails 2 "is no folder: expected a clone" "${options[@]}" --dev -s "$BATS_TEST_TMPDIR/nowhere"
    fails 2 "expected a clone of Glacier Sync" "${options[@]}" --dev -s "$HOME"
    fails 2 "would be inside the source" -d "$project/deployment" --dev
    fails 2 "--arch-root is missing" "${options[@]}" --prod --aws-profiles x
    fails 2 "name different folders" "${options[@]}" --dev -i "$HOME/a" --arch-root "$HOME/b"
}

@test "a new deployment: folders, files, modes and settings" {
    run --separate-stderr deploy "${options[@]}" --dev
    [ "$status" -eq 0 ]
    for folder in logs dags plugins processing processing/logs data zips zips/{incoming,watched,retention} .config; do
        [ "$(stat -c '%a %u' "$dest/$folder")" = "750 $(user_id)" ]
    done
    [ "$(stat -c '%a %u' "$dest/secrets")" = "700 $(user_id)" ]
    for file in "$dest"/secrets/*; do [ "$(stat -c '%a %u' "$file")" = "600 $(user_id)" ]; done
    [ -z "$(find "$dest" -perm -o+w)" ]
    cmp "$project/bdrc-docker-compose.yml" "$dest/docker-compose.yaml"
    for file in "$project"/airflow-docker/dags/*.py; do cmp "$file" "$dest/dags/${file##*/}"; done
    cmp "$stub/image/bdrc/site-sync.yml" "$dest/.config/bdrc/site-sync.yml"
    [ -f "$dest/.config/intake.yml" ]
    for folder in Archive0/24 Archive1/25 Archive3/99; do [ -d "$dest/archive/$folder" ]; done
    grep -qx 'DEPLOYMENT=dev' "$dest/.env"
    grep -qx 'COMPOSE_PROFILES=emulator' "$dest/.env"
    grep -qx "WEB_PORT=$web_port" "$dest/.env"
    grep -qx "SYNC_ACCESS_UID=$(user_id)" "$dest/.env"
    grep -qx 'AWS_ENDPOINT_URL=http://emulator:5005' "$dest/.env"
    [ -z "$(find "$dest" -name '*.tmp' -o -name __pycache__)" ]
}

@test "secrets are long, differ, and fit their purpose" {
    deploy "${options[@]}" --dev >/dev/null
    cd "$dest/secrets"
    [ "$(base64 -d < <(tr '_-' '/+' <fernet-key) | wc -c)" -eq 32 ]
    for name in jwt-secret api-secret; do [ "$(wc -c <$name)" -ge 64 ]; done
    for name in {postgres,airflow-database,ledger-database}-password; do [[ $(<"$name") =~ ^[A-Za-z0-9_-]{32}$ ]]; done
    [ -z "$(for name in fernet-key jwt-secret api-secret *-password; do echo "$(<"$name")"; done | sort | uniq -d)" ]
    [ "$(<airflow-database-url)" = "postgresql+psycopg2://airflow:$(<airflow-database-password)@postgres:5432/airflow" ]
}

@test "the admin's password is shown once" {
    run deploy "${options[@]}" --dev
    [[ $output == *"password $(<"$dest/secrets/admin-password")"* ]]
    run deploy "${options[@]}" --dev
    [ "$status" -eq 0 ]
    [[ $output != *"$(<"$dest/secrets/admin-password")"* ]]
}

@test "a second run changes nothing, and needs only -d" {
    deploy "${options[@]}" --dev >/dev/null
    before=$(snapshot)
    run --separate-stderr deploy -d "$dest"
    [ "$status" -eq 0 ]
    [[ $output != *make* && $output != *replace* ]]
    [ "$(snapshot)" = "$before" ]
}

@test "--dry-run shows what would change, and changes nothing" {
    run deploy "${options[@]}" --dev --dry-run
    [ "$status" -eq 0 ]
    [[ $output == *"would make $dest/.env"* ]]
    [ ! -e "$dest" ]
    deploy "${options[@]}" --dev >/dev/null
    echo changed >>"$dest/dags/glacier_staging_to_sync.py"
    before=$(snapshot)
    run deploy -d "$dest" --dry-run --bind 127.0.0.2
    [ "$status" -eq 0 ]
    [[ $output == *"would replace $dest/dags/glacier_staging_to_sync.py"* && $output == *"-changed"* ]]
    [[ $output == *"+WEB_BIND=127.0.0.2"* ]]
    [ "$(snapshot)" = "$before" ]
}

@test "an edited .env is kept, and gets what is new with a note" {
    deploy "${options[@]}" --dev >/dev/null
    sed -i -e '/^EMULATOR_PORT=/d' -e "s/^WEB_PORT=.*/WEB_PORT=$other_port # mine/" -e 's/^AIRFLOW_KEEP_DAYS=.*/#&/' "$dest/.env"
    echo "GLACIER_SYNC_WORKERS='3'" >>"$dest/.env"
    cp "$dest/.env" "$BATS_TEST_TMPDIR/edited"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    [ "$(head -c "$(stat -c %s "$BATS_TEST_TMPDIR/edited")" "$dest/.env")" = "$(cat "$BATS_TEST_TMPDIR/edited")" ]
    run tail -n +"$(($(wc -l <"$BATS_TEST_TMPDIR/edited") + 1))" "$dest/.env"
    [[ $output == *"added by deploy.sh"* && $output == *EMULATOR_PORT=5005* ]]
    [[ $output != *AIRFLOW_KEEP_DAYS* && $output != *WEB_PORT* ]]
}

@test "an option that is given again changes its line alone" {
    deploy "${options[@]}" --dev >/dev/null
    cp "$dest/.env" "$BATS_TEST_TMPDIR/before"
    deploy -d "$dest" --port "$other_port" >/dev/null
    run diff "$BATS_TEST_TMPDIR/before" "$dest/.env"
    [ "${#lines[@]}" -eq 4 ]
    [[ ${lines[1]} == "< WEB_PORT=$web_port" && ${lines[3]} == "> WEB_PORT=$other_port" ]]
}

@test "the template lists what the compose file asks for" {
    for name in $(grep -oE '\$\{[A-Z_]+' "$project/bdrc-docker-compose.yml" | tr -d '${' | sort -u); do
        case $name in
            COMPOSE_AIRFLOW_IMAGE) ;;
            COMPOSE_* | BASE_IMAGE | BIN | BUILD_CONFIG_ROOT | AUDIT_HOME | VERSION | REVISION) continue ;;
        esac
        grep -qE "^#?$name=" "$project/config/deployment.env" || {
            echo "$name is missing"
            return 1
        }
    done
}

@test "a changed DAG is replaced, a new one comes, a dropped one goes, others stay" {
    source=$BATS_TEST_TMPDIR/source
    mkdir -p "$source"
    cp -r "$project"/{bdrc-docker-compose.yml,airflow-docker,config} "$source/"
    echo one >"$source/airflow-docker/dags/first.py"
    echo two >"$source/airflow-docker/dags/second.py"
    deploy "${options[@]}" --dev -s "$source" >/dev/null
    inode=$(stat -c %i "$dest/dags/first.py")
    echo site >"$dest/dags/site.py"
    echo changed >"$source/airflow-docker/dags/first.py"
    rm "$source/airflow-docker/dags/second.py"
    mkdir "$source/airflow-docker/dags/deep"
    echo three >"$source/airflow-docker/dags/deep/third.py"
    run deploy -d "$dest" -s "$source"
    [ "$status" -eq 0 ]
    [ "$(cat "$dest/dags/first.py")" = changed ]
    [ "$(stat -c %i "$dest/dags/first.py")" != "$inode" ]
    [ ! -e "$dest/dags/second.py" ]
    [ "$(cat "$dest/dags/deep/third.py")" = three ]
    [ "$(cat "$dest/dags/site.py")" = site ]
}

@test "a DAG that was changed on the spot is replaced, and kept aside" {
    deploy "${options[@]}" --dev >/dev/null
    echo mine >"$dest/dags/glacier_staging_to_sync.py"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    [[ $output == *"was changed here: it is replaced"* ]]
    cmp "$project/airflow-docker/dags/glacier_staging_to_sync.py" "$dest/dags/glacier_staging_to_sync.py"
    [ "$(cat "$dest"/.replaced/dags/glacier_staging_to_sync.py.*)" = mine ]
}

@test "configuration: untouched is updated, changed stays with the new one beside" {
    deploy "${options[@]}" --dev >/dev/null
    echo 'audit: {pre: [mine]}' >"$dest/.config/bdrc/site-sync.yml"
    echo 'audit: {pre: [new]}' >"$stub/image/bdrc/site-sync.yml"
    echo 'MaximumImageFileSize=2K' >"$stub/image/bdrc/auditTool/user.properties"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    [[ $output == *"site-sync.yml was changed here and stays as it is"* ]]
    [ "$(cat "$dest/.config/bdrc/site-sync.yml")" = 'audit: {pre: [mine]}' ]
    cmp "$stub/image/bdrc/site-sync.yml" "$dest/.config/.new/bdrc/site-sync.yml"
    grep -q 2K "$dest/.config/bdrc/auditTool/user.properties"
    before=$(snapshot)
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    [ "$(snapshot)" = "$before" ]
}

@test "lost secrets are made anew, the others stay; what was put there is protected" {
    deploy "${options[@]}" --dev >/dev/null
    before=$(cat "$dest/secrets/fernet-key")
    password=$(cat "$dest/secrets/ledger-database-password")
    rm "$dest/secrets/ledger-database-password"
    echo x >"$dest/secrets/mine"
    chmod 644 "$dest/secrets/mine"
    deploy -d "$dest" >/dev/null
    [ "$(cat "$dest/secrets/fernet-key")" = "$before" ]
    [ "$(cat "$dest/secrets/ledger-database-password")" != "$password" ]
    grep -q "$(cat "$dest/secrets/ledger-database-password")" "$dest/secrets/ledger-database-url"
    [ "$(stat -c '%a %u' "$dest/secrets/mine")" = "600 $(user_id)" ]
}

@test "checks come before any change: engine, compose, images" {
    echo 19.03.1 >"$stub/engine"
    fails 1 "Docker's engine is 19.03.1: expected 20.10" "${options[@]}" --dev
    : >"$stub/engine"
    fails 1 "no Docker engine answers (cannot connect)" "${options[@]}" --dev
    echo 28.0.0 >"$stub/engine"
    echo 2.9.0 >"$stub/compose"
    fails 1 "Docker Compose is 2.9.0: expected 2.24.0" "${options[@]}" --dev
    : >"$stub/compose"
    rm "$stub/compose"
    fails 1 "'docker compose' doesn't work" "${options[@]}" --dev
    echo v2.30.0 >"$stub/compose"
    echo bdrc-airflow >"$stub/images"
    fails 1 "the image bdrc-airflow-emulator isn't there" "${options[@]}" --dev
    COMPOSE_AIRFLOW_IMAGE=mine fails 1 "the image mine isn't there" "${options[@]}" --dev
    [ ! -e "$dest" ]
}

@test "an image without configuration is told before any change, and leaves no container" {
    rm -r "$stub/image"
    fails 1 "the image bdrc-airflow has no configuration: expected one that bdrc-docker.sh has built" "${options[@]}" --dev
    [ ! -e "$dest" ]
    [ "$(cat "$stub/removed")" = c0ffee ]
}

@test "a password of the database that is gone costs no deployment its ledger" {
    deploy "${options[@]}" --dev
    touch "$stub/volume"
    rm "$dest/secrets/postgres-password"
    fails 1 "postgres-password is gone" "${options[@]}"
    [[ $output == *"keep the volume"* && $output != *"volume rm"* ]]
    head -c 24 /dev/urandom | base64 >"$dest/secrets/postgres-password"
    deploy "${options[@]}"
    [ "$(stat -c '%a %u' "$dest/secrets/postgres-password")" = "600 $(user_id)" ]
}

@test "checks come before any change: space, name, volume, folder" {
    stub_command df <<<'printf "Avail\n  100\n"'
    fails 1 "has 100 MiB free: expected 5120" "${options[@]}" --dev
    rm "$BATS_TEST_TMPDIR/bin/df"
    echo /elsewhere/deployment >"$stub/others"
    fails 1 "the deployment in /elsewhere/deployment is called 'deployment', too" "${options[@]}" --dev
    rm "$stub/others"
    touch "$stub/volume"
    fails 1 "holds the database of an earlier deployment" "${options[@]}" --dev
    rm "$stub/volume"
    mkdir "$dest"
    touch "$dest/something"
    fails 1 "isn't empty and is no deployment" "${options[@]}" --dev
}

@test "a port that another program uses is refused, one of a running deployment isn't" {
    coproc LISTENER { python3 -u -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1])
input()'; }
    read -r port <&"${LISTENER[0]}"
    fails 1 "the port $port on 127.0.0.1 is used by another program" -d "$dest" --dev --port "$port"
    deploy "${options[@]}" --dev >/dev/null
    sed -i "s/^WEB_PORT=.*/WEB_PORT=$port/" "$dest/.env"
    echo c0ffee >"$stub/own"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    echo >&"${LISTENER[1]}"
    wait "$LISTENER_PID" || true
}

@test "a user id that only root can give files to" {
    if ((EUID == 0)); then
        # Root can give files to anybody, and another user has to be let into the folders above these.
        deploy() {
            setpriv --securebits=+no_setuid_fixup --inh-caps=-all,+dac_override --ambient-caps=+dac_override \
                --reuid 1001 --regid 1001 --clear-groups "$project/deploy.sh" "$@"
        }
    fi
    fails 1 "only root can" "${options[@]}" --dev --uid $((EUID + 1002))
}

@test "another mode or user id than the deployment has is refused" {
    deploy "${options[@]}" --dev >/dev/null
    fails 2 "is a deployment of kind 'dev', and 'prod' was asked for" -d "$dest" --prod
    fails 2 "belongs to user id $(user_id), and 4242 was asked for" -d "$dest" --uid 4242
}

@test "the environment stands in for options, which go before it" {
    DEPLOY_DEST=$dest DEPLOY_MODE=dev DEPLOY_PORT=$other_port deploy --port "$web_port" >/dev/null
    grep -qx "WEB_PORT=$web_port" "$dest/.env"
    DEPLOY_MODE="test" fails 2 "DEPLOY_MODE is 'test'" "${options[@]}"
    DEPLOY_DEST=$BATS_TEST_TMPDIR/other DEPLOY_MODE=dev DEPLOY_DRY_RUN=1 DEPLOY_PORT=$other_port deploy >/dev/null
    [ ! -e "$BATS_TEST_TMPDIR/other" ]
}

@test "--init-env makes the archive's empty tree, and uses it" {
    deploy "${options[@]}" --dev -i "$BATS_TEST_TMPDIR/tree" >/dev/null
    [ "$(find "$BATS_TEST_TMPDIR/tree" -mindepth 2 -maxdepth 2 -type d | wc -l)" -eq 100 ]
    for folder in Archive0/08 Archive2/74; do [ -d "$BATS_TEST_TMPDIR/tree/$folder" ]; done
    grep -qx "ARCH_ROOT=$BATS_TEST_TMPDIR/tree" "$dest/.env"
    [ ! -e "$dest/archive" ]
}

@test "the folders of the second way in are made where the settings say, and on an update" {
    deploy "${options[@]}" --dev >/dev/null
    rm -r "$dest/zips"
    sed -i "s|^ZIPS_DIR=.*|ZIPS_DIR='$BATS_TEST_TMPDIR/the zips'|" "$dest/.env"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    for folder in incoming watched retention; do
        [ "$(stat -c '%a %u' "$BATS_TEST_TMPDIR/the zips/$folder")" = "750 $(user_id)" ]
    done
    [ ! -e "$dest/zips" ]
    sed -i '/^ZIPS_DIR=/d' "$dest/.env"
    deploy -d "$dest" >/dev/null
    grep -qx 'ZIPS_DIR=./zips' "$dest/.env"
    [ -d "$dest/zips/watched" ]
}

@test "a folder with a space in its name" {
    dest="$BATS_TEST_TMPDIR/two words"
    deploy -d "$dest" --port "$web_port" --dev -i "$BATS_TEST_TMPDIR/the tree" >/dev/null
    grep -qx "ARCH_ROOT='$BATS_TEST_TMPDIR/the tree'" "$dest/.env"
    grep -qx COMPOSE_PROJECT_NAME=two-words "$dest/.env"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    [[ $output != *make* && $output != *replace* ]]
}
