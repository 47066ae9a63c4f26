# shellcheck shell=bash
# Services: processes that go on after the script has ended. Source it after
# _common.sh, with RUN_DIR (PID files) and SERVICE_LOG_DIR (logs) set.
#
# A PID file holds the process's number, its start time and the boot's identity,
# so a number that the system has given to another process is never taken for the
# service. Every process of a service carries the PID file's path in its
# environment, so what a killed service leaves behind is found without names.

# What this script has started and is answerable for until keep_started_services.
STARTED_SERVICES=()

# The lock's file descriptor, which no service may inherit; empty without the lock.
LOCK_FD=

pid_file() { printf '%s/%s.pid' "$RUN_DIR" "$1"; }
service_log() { printf '%s/%s.log' "$SERVICE_LOG_DIR" "$1"; }

# identify PID: sets the caller's `identity` to number, start time (clock ticks since
# boot) and boot identity of a live process, and `ticks` to the start time alone.
identify() {
    local fields boot
    read_stat "$1" || return 1
    read -r boot </proc/sys/kernel/random/boot_id
    ticks=${fields[19]} identity="$1 ${fields[19]} $boot"
}

# read_stat PID: sets the caller's array `fields` to /proc/PID/stat from the state on;
# fails if the process has ended.
read_stat() {
    local stat=
    { IFS= read -r -d '' stat <"/proc/$1/stat"; } 2>/dev/null || [[ -n $stat ]] || return 1
    # The command's name, in parentheses, may hold spaces: count from behind it.
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]]
}

# find_service NAME: sets SERVICE_PID to the service's process number and SERVICE_AGE to
# the seconds it has lived; fails if it doesn't run. It is asked in loops, and has no
# command substitution: bash forgets some SIGINTs that come when one ends.
find_service() {
    local recorded identity ticks up
    { read -r recorded <"$RUN_DIR/$1.pid"; } 2>/dev/null || return 1
    [[ $recorded =~ ^[0-9]+\  ]] || return 1
    identify "${recorded%% *}" || return 1
    [[ $identity == "$recorded" ]] || return 1
    read -r up _ </proc/uptime
    SERVICE_PID=${recorded%% *}
    # Linux counts 100 ticks a second wherever it tells a program of them.
    # shellcheck disable=SC2034 # _airflow.sh asks for it
    SERVICE_AGE=$((${up%.*} - ticks / 100))
}

# service_processes NAME: prints the numbers of all live processes of the service.
service_processes() {
    local file pid
    local -A is_member=() children=()
    local -a queue=() fields
    while IFS= read -r file; do
        pid=${file#/proc/}
        queue+=("${pid%/environ}")
    done < <(grep -lszFx -- "GLACIER_SYNC_SERVICE=$(pid_file "$1")" /proc/[0-9]*/environ || true)
    # A task may give its command another environment: children count as well.
    for file in /proc/[0-9]*; do
        pid=${file#/proc/}
        if read_stat "$pid"; then children[${fields[1]}]+=" $pid"; fi
    done
    while ((${#queue[@]})); do
        pid=${queue[0]} queue=("${queue[@]:1}")
        [[ -z ${is_member[$pid]:-} ]] || continue
        is_member[$pid]=1
        if read_stat "$pid"; then printf '%s\n' "$pid"; fi
        read -ra fields <<<"${children[$pid]:-}"
        queue+=("${fields[@]}")
    done
}

# start_service NAME COMMAND…: starts it in a session of its own, with its output in
# its log; the log of the time before is kept as NAME.log.1.
start_service() {
    local name=$1 pid log identity ticks
    shift
    if find_service "$name"; then
        die "$name runs already (pid $SERVICE_PID): stop it before starting it anew"
    fi
    end_left_overs "$name"
    mkdir -p "$RUN_DIR" "$SERVICE_LOG_DIR" || die "can't make $RUN_DIR and $SERVICE_LOG_DIR: make their parent writable"
    log=$(service_log "$name")
    [[ ! -e $log ]] || mv -f "$log" "$log.1"
    put_off_signals
    (
        [[ -z $LOCK_FD ]] || exec {LOCK_FD}>&-
        # Bash lets what runs in the background ignore SIGINT, by which tasks are stopped.
        # SPT_NOENV keeps Airflow's process titles from overwriting the environment.
        exec env --default-signal=INT,QUIT "GLACIER_SYNC_SERVICE=$(pid_file "$name")" SPT_NOENV=1 \
            setsid "$@" </dev/null >"$log" 2>&1
    ) &
    pid=$!
    STARTED_SERVICES+=("$name")
    if identify "$pid"; then
        printf '%s\n' "$identity" >"$(pid_file "$name").tmp"
        mv -f "$(pid_file "$name").tmp" "$(pid_file "$name")"
    else
        printf '%s ended\n' "$pid" >"$(pid_file "$name")"
    fi
    take_signals
}

# put_off_signals, take_signals: a signal between the two is acted on by the second,
# so that no process is started without its PID file.
put_off_signals() {
    PUT_OFF_STATUS=
    trap 'PUT_OFF_STATUS=130' INT
    trap 'PUT_OFF_STATUS=143' TERM HUP
}
take_signals() {
    end_on_signals
    [[ -z $PUT_OFF_STATUS ]] || exit "$PUT_OFF_STATUS"
}

# end_on_signals: a signal ends the script through its EXIT trap.
end_on_signals() {
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# wait_for_services SECONDS CHECK NAME…: waits until `CHECK NAME` succeeds for each.
# Ends the script if one ends, or doesn't answer in time.
wait_for_services() {
    local check=$2 name deadline=$((SECONDS + $1)) seconds=$1
    shift 2
    for name; do
        until "$check" "$name"; do
            require_alive "$@"
            ((SECONDS < deadline)) || give_up "$name" "didn't answer within $seconds seconds"
            sleep 0.5
        done
    done
    require_alive "$@"
}

require_alive() {
    local name
    for name; do
        find_service "$name" || give_up "$name" "ended during its start"
    done
}

give_up() {
    local log
    log=$(service_log "$1")
    printf '  | %s\n' "the end of $log:" >&2
    tail -n 15 -- "$log" 2>/dev/null | sed 's/^/  | /' >&2 || true
    die "$1 $2: its log says why: $log"
}

# stop_services SECONDS NAME…: asks all of them to end, and lets them finish what
# they do for that long; whatever is then left of them is ended.
stop_services() {
    local deadline=$((SECONDS + $1)) name told=$SECONDS seconds=$1
    shift
    for name; do
        if find_service "$name"; then
            info "stopping $name (pid $SERVICE_PID)"
            kill -TERM "$SERVICE_PID" 2>/dev/null || true
        elif [[ -e $(pid_file "$name") ]]; then
            info "$name had ended already"
        fi
    done
    for name; do
        while find_service "$name" && ((SECONDS < deadline)); do
            sleep 0.2
            if ((SECONDS - told >= 10)); then
                told=$SECONDS
                info "$name still finishes what it does; waiting up to $((deadline - SECONDS)) seconds more"
            fi
        done
        if find_service "$name"; then
            warn "$name didn't end within $seconds seconds; ending it and what it runs"
        fi
        end_left_overs "$name"
        rm -f -- "$(pid_file "$name")"
    done
}

# end_left_overs NAME: ends every process of a service: asked first, killed after 10
# seconds.
end_left_overs() {
    local pids deadline=$((SECONDS + 10))
    mapfile -t pids < <(service_processes "$1")
    ((${#pids[@]})) || return 0
    warn "ending what $1 left running: ${pids[*]}"
    kill -TERM "${pids[@]}" 2>/dev/null || true
    while ((${#pids[@]} && SECONDS < deadline)); do
        sleep 0.2
        mapfile -t pids < <(service_processes "$1")
    done
    ((${#pids[@]})) || return 0
    warn "$1 takes no notice; killing ${pids[*]}"
    kill -KILL "${pids[@]}" 2>/dev/null || true
}

# stop_started_services SECONDS: stops what this script has started, last one first.
stop_started_services() {
    local index
    local -a names=()
    for ((index = ${#STARTED_SERVICES[@]} - 1; index >= 0; index--)); do
        names+=("${STARTED_SERVICES[index]}")
    done
    STARTED_SERVICES=()
    ((${#names[@]} == 0)) || stop_services "$1" "${names[@]}"
}

keep_started_services() { STARTED_SERVICES=(); }

# require_free_port PORT: ends the script if nothing could listen there.
require_free_port() {
    local problem
    problem=$("${PYTHON:-python3}" -c '
import socket, sys
with socket.socket() as one:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("127.0.0.1", int(sys.argv[1])))
        one.listen(1)
    except OSError as error:
        sys.exit(print(error.strerror))
' "$1") || die "python3 can't be run to test port $1: expected Debian's python3; install it with: apt-get install python3"
    [[ -z $problem ]] || die "port $1 on 127.0.0.1 can't be used ($problem): end what uses it, or choose another with --port" 2
}

# with_lock COMMAND…: runs it while no other script works on the same services.
with_lock() {
    mkdir -p "$RUN_DIR" || die "can't make $RUN_DIR: make its parent writable, or set GLACIER_SYNC_HOME"
    exec {LOCK_FD}>>"$RUN_DIR/lock"
    if ! flock -n "$LOCK_FD"; then
        info "waiting for another ${0##*/} to finish"
        flock -w 180 "$LOCK_FD" || die "another ${0##*/} still works on the services in $RUN_DIR: wait for it, or end it"
    fi
    "$@"
    exec {LOCK_FD}>&-
    LOCK_FD=
}
