#!/usr/bin/env bats
# local-airflow.sh: its commands, on real services of Airflow.

bats_require_minimum_version 1.5.0

setup() {
    export GLACIER_SYNC_HOME=$BATS_TEST_TMPDIR/state
    export AIRFLOW__CORE__DAGS_FOLDER=$BATS_TEST_TMPDIR/dags
    unset GLACIER_SYNC_YES GLACIER_SYNC_AIRFLOW_PORT
    mkdir -p "$AIRFLOW__CORE__DAGS_FOLDER"
    load support/ports
    PORT=$(free_ports 1)
}

teardown() {
    GLACIER_SYNC_STOP_SECONDS=5 airflow -d >/dev/null 2>&1 || true
}

# airflow ARGUMENT…: services get none of the file descriptors that bats waits for.
airflow() { "$BATS_TEST_DIRNAME/../../local-airflow.sh" "$@" </dev/null 3>&- 4>&-; }

pid_of() { cut -d' ' -f1 "$GLACIER_SYNC_HOME/run/$1.pid"; }

# can_log_in USER PASSWORD
can_log_in() {
    python3 - "http://127.0.0.1:$PORT/auth/token" "$@" <<'END'
import json, sys, urllib.error, urllib.request
url, username, password = sys.argv[1:]
body = json.dumps({"username": username, "password": password}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
try:
    print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).status)
except urllib.error.HTTPError as error:
    sys.exit(f"{error}")
END
}

# listening_addresses PID: prints the local addresses, in hexadecimal as the kernel has
# them, that the process listens on.
listening_addresses() {
    local inodes
    inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n' | paste -sd '|')
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" | awk -v inodes="^($inodes)\$" '$4 == "0A" && $10 ~ inodes { print $2 }'
}

# processes_left: prints the processes of services of this state folder.
processes_left() { grep -lsz "^GLACIER_SYNC_SERVICE=$GLACIER_SYNC_HOME/" /proc/[0-9]*/environ || true; }

@test "help and wrong use" {
    run airflow -h
    [ "$status" -eq 0 ]
    [[ $output == *"-a USER PASSWORD EMAIL"* ]]
    while read -ra arguments; do
        run airflow "${arguments[@]}"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
    done <<'END'

-w
-u -d
-w -r
-a admin
-p
-p 70000 -u
-p 08 -u
--unknown
END
    [ ! -e "$GLACIER_SYNC_HOME" ]
}

@test "the reset asks; where nobody can answer it is refused" {
    run airflow -r
    [ "$status" -eq 2 ]
    [[ $output == *"add --yes"* ]]
    [ ! -e "$GLACIER_SYNC_HOME/airflow/airflow.db" ]
}

@test "a port that is taken is one clear line, and nothing is started" {
    python3 -c 'import socket, sys, time; s = socket.create_server(("127.0.0.1", int(sys.argv[1]))); time.sleep(60)' \
        "$PORT" 3>&- &
    until (exec 5<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; do sleep 0.1; done
    run airflow -u -p "$PORT"
    kill "$!"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"port $PORT on 127.0.0.1 can't be used"* ]]
    [ -z "$(ls "$GLACIER_SYNC_HOME/run/"*.pid 2>/dev/null)" ]
}

@test "a state folder that can't be made is one clear line" {
    touch "$BATS_TEST_TMPDIR/file"
    GLACIER_SYNC_HOME=$BATS_TEST_TMPDIR/file run airflow -u -p "$PORT"
    [ "$status" -eq 2 ]
    [[ ${lines[-1]} == *"set GLACIER_SYNC_HOME" ]]
}

@test "a setting that is wrong is one clear line, and nothing is started" {
    GLACIER_SYNC_MAX_SYNCS=many run airflow -u -p "$PORT"
    [ "$status" -eq 2 ]
    [[ ${lines[-1]} == *"GLACIER_SYNC_MAX_SYNCS"* ]]
    [ -z "$(ls "$GLACIER_SYNC_HOME/run/"*.pid 2>/dev/null)" ]
}

@test "a line that is no setting is told by its number, and nothing is started" {
    mkdir -p "$GLACIER_SYNC_HOME"
    printf '# mine\nno setting\n' >"$GLACIER_SYNC_HOME/.env"
    run airflow -u -p "$PORT"
    [ "$status" -eq 2 ]
    [[ ${lines[-1]} == *"$GLACIER_SYNC_HOME/.env, line 2, is no setting: expected NAME=value"* ]]
    [ -z "$(ls "$GLACIER_SYNC_HOME/run/"*.pid 2>/dev/null)" ]
}

@test "the demo leaves alone what a file of the user's names" {
    mkdir -p "$GLACIER_SYNC_HOME"
    echo "GLACIER_SYNC_ARCHIVE_PARENT=$BATS_TEST_TMPDIR/mine/Archive" >"$GLACIER_SYNC_HOME/.env"
    run airflow demo -p "$PORT"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$GLACIER_SYNC_HOME/.env has settings of yours"*"GLACIER_SYNC_HOME="* ]]
    [ -z "$(ls "$GLACIER_SYNC_HOME/run/"*.pid 2>/dev/null)" ]
}

@test "-u on a fresh machine, a killed scheduler, and -d" {
    GLACIER_SYNC_MAX_DOWNLOADS=7 AWS_PROFILE=some-profile run airflow -u -p "$PORT"
    [ "$status" -eq 0 ]
    [[ $output == *"http://127.0.0.1:$PORT"* ]]
    password=$GLACIER_SYNC_HOME/airflow/admin.password
    [[ $output == *"password $(<"$password")"* ]]
    [ "$(stat -c %a "$password" "$GLACIER_SYNC_HOME/airflow/secrets.env" | sort -u)" = 600 ]
    [ "$(stat -c %a "$GLACIER_SYNC_HOME")" = 700 ]
    can_log_in admin "$(<"$password")"
    run ! can_log_in admin admin

    run airflow status
    [ "$status" -eq 0 ]
    [ "$(grep -c ' healthy ' <<<"$output")" -eq 4 ]
    [[ $output == *"http://127.0.0.1:$PORT"* ]]
    for service in api-server scheduler dag-processor triggerer; do
        grep -qz '^AWS_PROFILE=some-profile$' "/proc/$(pid_of "$service")/environ"
    done
    cut -d= -f2- "$GLACIER_SYNC_HOME/airflow/secrets.env" >"$BATS_TEST_TMPDIR/secrets"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/secrets")" -eq 3 ]
    for file in $(processes_left); do
        run ! grep -qFf "$BATS_TEST_TMPDIR/secrets" "$file" "${file%environ}cmdline"
    done
    # Nothing but the api-server listens, and that on 127.0.0.1 alone.
    [ "$(for file in $(processes_left); do listening_addresses "$(tr -dc 0-9 <<<"$file")"; done | sort -u)" = \
        "$(printf '0100007F:%04X' "$PORT")" ]
    sizes=$(python3 -c 'import sqlite3, sys; print(dict(sqlite3.connect(sys.argv[1]).execute("SELECT pool, slots FROM slot_pool")))' \
        "$GLACIER_SYNC_HOME/airflow/airflow.db")
    [[ $sizes == *"'downloads': 7"* && $sizes == *"'syncs': 1"* && $sizes == *"'unbaggings': 1"* ]]

    run airflow -u
    [ "$status" -eq 1 ]
    [[ ${lines[-1]} == *"nothing to start"* ]]
    run airflow -r --yes
    [ "$status" -eq 1 ]
    [[ $output == *"stop everything first"* ]]

    server=$(pid_of api-server)
    kill -KILL "$(pid_of scheduler)"
    until ! airflow status | grep -q '^scheduler *healthy'; do sleep 0.2; done
    run airflow status
    [ "$status" -eq 3 ]
    [[ $output == *"scheduler      ended by itself"* ]]
    run airflow -u
    [ "$status" -eq 0 ]
    [ "$(pid_of api-server)" = "$server" ]
    run airflow status
    [ "$status" -eq 0 ]

    run airflow -d
    [ "$status" -eq 0 ]
    [ -z "$(processes_left)" ]
    run airflow status
    [ "$status" -eq 3 ]
    [ "$(grep -c ' stopped ' <<<"$output")" -eq 4 ]
    run airflow -d
    [ "$status" -eq 0 ]
}

@test "the sequence of commands that users know" {
    # What an interrupted first start leaves is no obstacle.
    mkdir -p "$GLACIER_SYNC_HOME/airflow"
    echo "half of a database" >"$GLACIER_SYNC_HOME/airflow/airflow.db"
    touch "$GLACIER_SYNC_HOME/airflow/unfinished"
    export GLACIER_SYNC_AIRFLOW_PORT=$PORT

    run airflow -r -y
    [ "$status" -eq 0 ]
    run airflow -a archivist 'a "pass" word' archivist@example.org
    [ "$status" -eq 0 ]
    run airflow -w -u
    [ "$status" -eq 0 ]
    [[ $output != *password* ]]
    can_log_in archivist 'a "pass" word'
    run airflow -a archivist another archivist@example.org
    [ "$status" -eq 0 ]
    can_log_in archivist another
    run airflow -s -u
    [ "$status" -eq 0 ]
    run airflow status
    [ "$status" -eq 0 ]
    run airflow -w -d
    [ "$status" -eq 0 ]
    run airflow status
    [ "$status" -eq 3 ]
    [[ $output == *"api-server     stopped"* ]]
    kill -0 "$(pid_of scheduler)"
    run airflow -s -d
    [ "$status" -eq 0 ]
    [ -z "$(processes_left)" ]
}

@test "a start that is interrupted leaves nothing running" {
    env --default-signal=INT "$BATS_TEST_DIRNAME/../../local-airflow.sh" -u -p "$PORT" >"$BATS_TEST_TMPDIR/output" 2>&1 3>&- 4>&- &
    script=$!
    until [ -s "$GLACIER_SYNC_HOME/run/triggerer.pid" ]; do
        kill -0 "$script"
        sleep 0.1
    done
    kill -INT "$script"
    ended=0
    wait "$script" || ended=$?
    [ "$ended" -eq 130 ]
    [ -z "$(processes_left)" ]
    [ -z "$(ls "$GLACIER_SYNC_HOME/run/"*.pid 2>/dev/null)" ]
}
