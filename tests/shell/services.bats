#!/usr/bin/env bats
# bin/_services.sh: starting, watching and stopping processes by their PID files.
# shellcheck disable=SC2016 # texts of scripts expand when they run

bats_require_minimum_version 1.5.0

setup() {
    FOLDER=$(mktemp -d)
    SERVER=$BATS_TEST_DIRNAME/support/service.py
}

teardown() {
    in_script 'for file in "$RUN_DIR"/*.pid; do stop_services 1 "$(basename "$file" .pid)"; done' || true
    rm -rf -- "$FOLDER"
}

# write_script TEXT: a script of its own that uses the library.
write_script() {
    cat >"$FOLDER/script.sh" <<END
source "$BATS_TEST_DIRNAME/../../bin/_common.sh"
source "$BATS_TEST_DIRNAME/../../bin/_services.sh"
FOLDER=$FOLDER RUN_DIR=$FOLDER/run SERVICE_LOG_DIR=$FOLDER/logs
strict_mode
end_on_signals
serve() { start_service "\$1" python3 "$SERVER" "\$FOLDER/\$1" "\${@:2}"; }
is_up() { [[ -e \$FOLDER/\$1 ]]; }
$1
END
}

# in_script TEXT: its services get none of the file descriptors that bats waits for.
in_script() {
    write_script "$1"
    bash "$FOLDER/script.sh" 3>&- 4>&-
}

# is_alive PID: a process whose parent hasn't taken notice of its end is dead all the same.
is_alive() { [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [^ZX]* ]]; }

@test "a service runs on after its script, is found, and is stopped" {
    run in_script 'serve one; wait_for_services 20 is_up one'
    [ "$status" -eq 0 ]
    run in_script 'find_service one; printf "%s\n" "$SERVICE_PID"'
    [ "$status" -eq 0 ]
    is_alive "$output"
    pid=$output
    run in_script 'stop_services 20 one'
    [ "$status" -eq 0 ]
    [[ $output != *WARNING* ]]
    run ! is_alive "$pid"
    [ ! -e "$FOLDER/run/one.pid" ]
}

@test "its session, its signals and its file descriptors are its own" {
    run in_script 'with_lock serve one; wait_for_services 20 is_up one'
    pid=$(cut -d' ' -f1 "$FOLDER/run/one.pid")
    read -ra stat <"/proc/$pid/stat"
    [ "${stat[5]}" -eq "$pid" ]
    # SIGINT (bit 1) is not ignored.
    (((0x$(awk '/^SigIgn/ {print $2}' "/proc/$pid/status") & 2) == 0))
    run in_script 'with_lock echo free'
    [ "$output" = free ]
}

@test "it isn't started twice" {
    in_script 'serve one; wait_for_services 20 is_up one'
    recorded=$(<"$FOLDER/run/one.pid")
    run in_script 'serve one'
    [ "$status" -eq 1 ]
    [[ $output == *"one runs already (pid ${recorded%% *})"* ]]
    [ "$(<"$FOLDER/run/one.pid")" = "$recorded" ]
    is_alive "${recorded%% *}"
}

@test "a process that got the service's old number is left alone" {
    mkdir -p "$FOLDER/run"
    sleep 300 3>&- &
    stranger=$!
    for recorded in "$stranger 1 $(</proc/sys/kernel/random/boot_id)" \
        "$(cut -d' ' -f1,22 "/proc/$stranger/stat") another-boot" "$stranger" "nonsense" ""; do
        printf '%s\n' "$recorded" >"$FOLDER/run/one.pid"
        run in_script 'find_service one'
        [ "$status" -ne 0 ]
        run in_script 'stop_services 5 one'
        [ "$status" -eq 0 ]
        kill -0 "$stranger"
    done
    printf '%s 1 boot\n' "$stranger" >"$FOLDER/run/one.pid"
    run in_script 'serve one; wait_for_services 20 is_up one'
    [ "$status" -eq 0 ]
    kill -0 "$stranger"
    kill "$stranger"
}

@test "a service that is killed is seen as ended, and can be started again" {
    in_script 'serve one; wait_for_services 20 is_up one'
    kill -KILL "$(cut -d' ' -f1 "$FOLDER/run/one.pid")"
    rm "$FOLDER/one"
    run in_script 'until ! find_service one; do sleep 0.1; done; serve one; wait_for_services 20 is_up one; find_service one'
    [ "$status" -eq 0 ]
}

@test "what a killed service leaves behind is ended before the next start" {
    in_script 'serve one --children; wait_for_services 20 is_up one'
    kill -KILL "$(cut -d' ' -f1 "$FOLDER/run/one.pid")"
    mapfile -t children <"$FOLDER/one.children"
    [ "${#children[@]}" -eq 2 ]
    for child in "${children[@]}"; do is_alive "$child"; done
    run in_script 'stop_services 20 one'
    [ "$status" -eq 0 ]
    [[ $output == *"ending what one left running"* ]]
    for child in "${children[@]}"; do run ! is_alive "$child"; done
}

@test "a service that ignores being asked is killed, with a warning" {
    in_script 'serve one --deaf; wait_for_services 20 is_up one'
    pid=$(cut -d' ' -f1 "$FOLDER/run/one.pid")
    run in_script 'stop_services 1 one'
    [ "$status" -eq 0 ]
    [[ $output == *"one didn't end within 1 seconds"* ]]
    [[ $output == *"killing $pid"* ]]
    run in_script 'find_service one'
    [ "$status" -ne 0 ]
}

@test "a service that ends at once: the message names the log and shows its end" {
    run in_script 'start_service one bash -c "echo the reason why; exit 3"; wait_for_services 20 is_up one'
    [ "$status" -eq 1 ]
    [[ $output == *"  | the reason why"* ]]
    [[ $output == *"one ended during its start"*"$FOLDER/logs/one.log"* ]]
}

@test "a service that doesn't answer: the message names the log, and it is stopped with the script" {
    run in_script 'trap "stop_started_services 5" EXIT; serve one; wait_for_services 1 false one'
    [ "$status" -eq 1 ]
    [[ $output == *"one didn't answer within 1 seconds"*"$FOLDER/logs/one.log"* ]]
    [ ! -e "$FOLDER/run/one.pid" ]
}

@test "a script that is interrupted stops what it started, and nothing else" {
    in_script 'serve before; wait_for_services 20 is_up before'
    for signal in INT TERM HUP; do
        write_script 'trap "stop_started_services 5" EXIT; serve one; wait_for_services 60 false one'
        # What bash runs in the background ignores SIGINT, and under nohup SIGHUP too.
        env --default-signal=INT,TERM,HUP bash "$FOLDER/script.sh" 3>&- 4>&- &
        script=$!
        until [ -s "$FOLDER/run/one.pid" ]; do sleep 0.1; done
        service=$(cut -d' ' -f1 "$FOLDER/run/one.pid")
        kill "-$signal" "$script"
        ended=0
        wait "$script" || ended=$?
        ((ended == 130 || ended == 143))
        run ! is_alive "$service"
        [ ! -e "$FOLDER/run/one.pid" ]
    done
    run in_script 'find_service before'
    [ "$status" -eq 0 ]
}

@test "the log of the time before is kept" {
    in_script 'ended() { [[ -s $FOLDER/logs/one.log ]] && ! find_service one; }
        for text in first second; do
            start_service one echo "$text"
            until ended; do sleep 0.1; done
        done'
    [ "$(<"$FOLDER/logs/one.log.1")" = first ]
    [ "$(<"$FOLDER/logs/one.log")" = second ]
}

@test "a port that is taken is one clear line" {
    load support/ports
    port=$(free_ports 1)
    python3 -c '
import socket, sys, time
taken = socket.create_server(("127.0.0.1", int(sys.argv[1])))
open(sys.argv[2], "w").close()
time.sleep(600)' "$port" "$FOLDER/taken" 3>&- &
    until [ -e "$FOLDER/taken" ]; do
        kill -0 $!
        sleep 0.1
    done
    run in_script "require_free_port $port"
    kill $!
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"port $port on 127.0.0.1 can't be used (Address already in use)"* ]]
    wait $! || true
    run in_script "require_free_port $port"
    [ "$status" -eq 0 ]
}

@test "two scripts take turns" {
    in_script 'with_lock bash -c "touch $FOLDER/locked; until [[ -e $FOLDER/go-on ]]; do sleep 0.1; done; echo first >>$FOLDER/turns"' &
    first=$!
    until [ -e "$FOLDER/locked" ]; do sleep 0.1; done
    (
        until grep -q 'waiting for another' "$FOLDER/second"; do sleep 0.1; done
        touch "$FOLDER/go-on"
    ) 2>/dev/null 3>&- &
    watcher=$!
    in_script 'with_lock bash -c "echo second >>$FOLDER/turns"' >"$FOLDER/second" 2>&1
    # Not for all: bats has a process of its own here, which ends a test that takes too long.
    wait "$first" "$watcher"
    output=$(<"$FOLDER/second")
    [[ $output == *"waiting for another"* ]]
    [ "$(tr '\n' ' ' <"$FOLDER/turns")" = "first second " ]
}
