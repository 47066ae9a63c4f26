# shellcheck shell=bash
# Airflow on this machine: its settings, database, users and services. Source it after
# _common.sh, _environment.sh and _services.sh, with PROJECT_DIR (the clone), PORT and
# PORT_ASKED_FOR (the same, or empty if it is the default) set.

AIRFLOW_SERVICES=(api-server scheduler dag-processor triggerer)

# use_state_folder: everything of Airflow, the PID files and the logs are below it.
use_state_folder() {
    STATE_DIR=${GLACIER_SYNC_HOME:-${HOME:?expected HOME or GLACIER_SYNC_HOME to be set}/.local/state/glacier-sync}
    [[ $STATE_DIR == /* ]] || STATE_DIR=$PWD/$STATE_DIR
    RUN_DIR=$STATE_DIR/run
    SERVICE_LOG_DIR=$STATE_DIR/logs/services
    export GLACIER_SYNC_HOME=$STATE_DIR
    export AIRFLOW_HOME=$STATE_DIR/airflow
    AIRFLOW_DATABASE=$AIRFLOW_HOME/airflow.db
    ADMIN_PASSWORD_FILE=$AIRFLOW_HOME/admin.password
    # Messages, works and logs aren't everybody's to read. A folder that is there keeps its mode.
    # shellcheck disable=SC2174 # what is above the state folder isn't this script's
    { mkdir -p -m 700 "$STATE_DIR" && mkdir -p "$RUN_DIR" "$SERVICE_LOG_DIR" "$AIRFLOW_HOME"; } ||
        die "can't make folders in $STATE_DIR: make it writable for $(id -un), or set GLACIER_SYNC_HOME" 2
    chmod 700 "$AIRFLOW_HOME"
}

# airflow_environment: exports Airflow's settings. Where things are and who may read
# them is fixed; the rest is a default that the caller's environment goes before.
airflow_environment() {
    export PATH=$VENV_DIR/bin:$PATH
    # Tasks talk to the api-server, never by way of a proxy.
    export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY} no_proxy=127.0.0.1,localhost${no_proxy:+,$no_proxy}

    export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:///$AIRFLOW_DATABASE?timeout=60"
    export AIRFLOW__CORE__EXECUTOR=LocalExecutor
    export AIRFLOW__CORE__AUTH_MANAGER=airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager
    export AIRFLOW__CORE__EXECUTION_API_SERVER_URL=http://127.0.0.1:$PORT/execution/
    # Asking name servers for this machine's name can take longer than all the rest.
    export AIRFLOW__CORE__HOSTNAME_CALLABLE=socket.gethostname
    export AIRFLOW__LOGGING__BASE_LOG_FOLDER=$STATE_DIR/logs/airflow
    export AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY=$STATE_DIR/logs/airflow/dag_processor

    setting AIRFLOW__CORE__DAGS_FOLDER "$PROJECT_DIR/airflow-docker/dags"
    setting AIRFLOW__CORE__PLUGINS_FOLDER "$PROJECT_DIR/airflow-docker/plugins"
    setting AIRFLOW__CORE__LOAD_EXAMPLES False
    setting AIRFLOW__CORE__PARALLELISM 4
    setting AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL 30
    # An edit of a DAG file is live within seconds.
    setting AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL 10
    setting AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL 10
    setting AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES 1
    use_secrets
}

# setting NAME DEFAULT
setting() { export "$1=${!1:-$2}"; }

# use_secrets: what the services recognise each other by; made once.
use_secrets() {
    local file=$AIRFLOW_HOME/secrets.env name
    if [[ ! -e $file ]]; then
        (
            umask 077
            {
                printf 'AIRFLOW__API_AUTH__JWT_SECRET=%s\n' "$(random_text 48)"
                printf 'AIRFLOW__API__SECRET_KEY=%s\n' "$(random_text 48)"
                printf 'AIRFLOW__CORE__FERNET_KEY=%s\n' "$(random_text 32)"
            } >"$file.tmp"
            mv -f "$file.tmp" "$file"
        )
    fi
    # Airflow reads them when it needs them: an environment is told on, to every task.
    for name in AIRFLOW__API_AUTH__JWT_SECRET AIRFLOW__API__SECRET_KEY AIRFLOW__CORE__FERNET_KEY; do
        unset "$name"
        export "${name}_CMD=awk 'BEGIN { ORS = \"\" } sub(/^$name=/, \"\")' ${file@Q}"
    done
}

# random_text BYTES: in the alphabet of URLs, as a Fernet key has to be.
random_text() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'; }

# airflow_command ARGUMENT…: one command for run_airflow_commands.
airflow_command() { printf '%s\0' "$@" ''; }

# run_airflow_commands: runs the commands on standard input in one process.
run_airflow_commands() {
    local log=$SERVICE_LOG_DIR/airflow-commands.log
    "$VENV_DIR/bin/python" "$PROJECT_DIR/bin/_airflow_commands.py" >"$log" 2>&1 && return
    tail -n 15 -- "$log" | sed 's/^/  | /' >&2
    die "Airflow couldn't prepare its database: the lines above say why, all of them are in $log"
}

# prepare_database [admin]: brings database and pools up to date if they aren't; with
# `admin` somebody who can log in is made if there is nobody.
prepare_database() {
    local pools versions password='' complaints=$SERVICE_LOG_DIR/settings.log
    pools=$("$VENV_DIR/bin/python" -W ignore "$PROJECT_DIR/bin/_airflow_pools.py" 2>"$complaints") || die "$(<"$complaints")" 2
    versions=$(grep -oE '^apache-airflow(-providers-fab)?==[^ ]+' "$PROJECT_DIR/requirements.lock")

    # A database whose making was interrupted holds nothing yet, and can't be migrated.
    [[ ! -e $AIRFLOW_HOME/unfinished ]] || remove_database
    if [[ ${1:-} == admin ]] && ! somebody_can_log_in; then password=$(admin_password); fi
    if [[ -z $password && -e $AIRFLOW_DATABASE ]] &&
        [[ $(cat "$AIRFLOW_HOME/prepared" 2>/dev/null) == "$versions"$'\n'"$pools" ]]; then
        return
    fi

    info "preparing Airflow's database: takes about ten seconds"
    [[ -e $AIRFLOW_DATABASE ]] || touch "$AIRFLOW_HOME/unfinished"
    printf '%s\n' "$pools" >"$AIRFLOW_HOME/pools.json"
    {
        airflow_command db migrate
        airflow_command pools import "$AIRFLOW_HOME/pools.json"
        [[ -z $password ]] || create_user_command admin "$password" admin@localhost
    } | run_airflow_commands
    printf '%s\n' "$versions" "$pools" >"$AIRFLOW_HOME/prepared"
    rm -f -- "$AIRFLOW_HOME/unfinished"
}

remove_database() { rm -f -- "$AIRFLOW_DATABASE"{,-wal,-shm} "$AIRFLOW_HOME"/{prepared,unfinished}; }

somebody_can_log_in() {
    [[ -e $AIRFLOW_DATABASE ]] && "$VENV_DIR/bin/python" -c '
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=30)
sys.exit(not database.execute("SELECT 1 FROM ab_user LIMIT 1").fetchone())
' "$AIRFLOW_DATABASE"
}

# admin_password: prints the password of the user `admin` that this script made; makes
# it if need be.
admin_password() {
    if [[ ! -e $ADMIN_PASSWORD_FILE ]]; then
        (umask 077 && random_text 12 >"$ADMIN_PASSWORD_FILE.tmp")
        mv -f "$ADMIN_PASSWORD_FILE.tmp" "$ADMIN_PASSWORD_FILE"
    fi
    cat "$ADMIN_PASSWORD_FILE"
}

create_user_command() {
    airflow_command users create --role=Admin --username="$1" --password="$2" --email="$3" \
        --firstname="$1" --lastname=Admin
}

# create_admin USER PASSWORD EMAIL: a user that exists already gets this password.
create_admin() {
    ensure_environment
    airflow_environment
    prepare_database
    {
        create_user_command "$@"
        airflow_command users reset-password --username="$1" --password="$2"
    } | run_airflow_commands
    [[ $1 != admin ]] || rm -f -- "$ADMIN_PASSWORD_FILE"
    info "$1 can log in as an administrator"
}

# reset_database: makes an empty one; the user has agreed.
reset_database() {
    require_nothing_runs
    ensure_environment
    airflow_environment
    remove_database
    prepare_database
    info "Airflow's database is empty now; the ledger is untouched"
}

require_nothing_runs() {
    local name
    for name in "${AIRFLOW_SERVICES[@]}"; do
        if find_service "$name"; then
            die "$name runs (pid $SERVICE_PID) and uses the database: stop everything first, with: ./local-airflow.sh -d"
        fi
    done
}

# start_airflow NAME…: starts those services that don't run, and waits until they answer.
start_airflow() {
    local name
    local -a missing=()
    for name; do
        if find_service "$name"; then
            info "$name runs already (pid $SERVICE_PID)"
        else
            missing+=("$name")
        fi
    done
    ((${#missing[@]})) || die "nothing to start: $* run already; stop with: ./local-airflow.sh -d"
    use_port_of_what_runs
    [[ -z $PORT_ASKED_FOR || $PORT_ASKED_FOR == "$PORT" ]] ||
        die "what runs already counts on port $PORT, not $PORT_ASKED_FOR: stop everything first, with: ./local-airflow.sh -d" 2
    [[ " ${missing[*]} " != *' api-server '* ]] || require_free_port "$PORT"

    ensure_environment
    airflow_environment
    prepare_database admin
    printf '%s\n' "$PORT" >"$RUN_DIR/port"
    info "starting ${missing[*]}"
    for name in "${missing[@]}"; do start_airflow_service "$name"; done
    find_service api-server ||
        warn "tasks can't run until the API server does: start it with: ./local-airflow.sh -w -u"
    wait_for_services "${GLACIER_SYNC_START_SECONDS:-120}" service_is_well "${missing[@]}"
}

start_airflow_service() {
    local -a arguments
    case $1 in
        api-server) arguments=(--host 127.0.0.1 --port "$PORT" --workers 1) ;;
        # Logs are read from their files, so nobody has to serve them.
        scheduler | triggerer) arguments=(--skip-serve-logs) ;;
        dag-processor) arguments=() ;;
    esac
    start_service "$1" "$VENV_DIR/bin/airflow" "$1" "${arguments[@]}"
}

# service_is_well NAME: it answers, or its heartbeat is fresh. Without the api-server
# nobody can be asked: then a service is well that has lived for ten seconds.
service_is_well() {
    local answers=
    if [[ $1 == api-server ]] || find_service api-server; then answers=yes; fi
    find_service "$1" || return 1
    if [[ -n $answers ]]; then
        "${VENV_DIR:-$PROJECT_DIR/.venv}/bin/python" -S -E "$PROJECT_DIR/bin/_airflow_health.py" \
            "$PORT" "$1" "$((EPOCHSECONDS - SERVICE_AGE))" 2>"$SERVICE_LOG_DIR/health.log"
    else
        ((SERVICE_AGE >= 10))
    fi
}

# use_port_of_what_runs: services that work together share the port of the first one.
use_port_of_what_runs() {
    local name
    for name in "${AIRFLOW_SERVICES[@]}"; do
        if find_service "$name" && [[ -r $RUN_DIR/port ]]; then
            PORT=$(<"$RUN_DIR/port")
            return
        fi
    done
}

# stop_airflow NAME…: the api-server last, as tasks that come to their end report to it.
stop_airflow() {
    local name
    local -a first=() last=()
    for name; do
        [[ -e $(pid_file "$name") ]] || continue
        case $name in
            scheduler | dag-processor | triggerer) first+=("$name") ;;
            *) last+=("$name") ;;
        esac
    done
    ((${#first[@]} + ${#last[@]})) || info "nothing to stop: none of these run: $*"
    stop_services "${GLACIER_SYNC_STOP_SECONDS:-60}" "${first[@]}"
    stop_services "${GLACIER_SYNC_STOP_SECONDS:-60}" "${last[@]}"
}

# other_services: prints what else was started with this state folder (the demo's emulator).
other_services() {
    local file name
    for file in "$RUN_DIR"/*.pid; do
        name=${file##*/} name=${name%.pid}
        [[ ! -e $file || " ${AIRFLOW_SERVICES[*]} " == *" $name "* ]] || printf '%s\n' "$name"
    done
}

# show_status: a line for each service; fails with 3 unless all of Airflow's are well.
show_status() {
    local name pid state outcome=0
    local -a others
    mapfile -t others < <(other_services)
    use_port_of_what_runs
    for name in "${AIRFLOW_SERVICES[@]}" "${others[@]}"; do
        pid=- state=stopped
        if find_service "$name"; then
            pid=$SERVICE_PID state=running
            [[ " ${others[*]} " == *" $name "* ]] || state=$(service_is_well "$name" && echo healthy || echo "not answering")
        elif [[ -e $(pid_file "$name") ]]; then
            state='ended by itself'
        fi
        [[ $state == healthy || $state == running ]] || outcome=3
        printf '%-14s %-16s pid %-8s log %s\n' "$name" "$state" "$pid" "$(service_log "$name")"
    done
    printf '%-14s http://127.0.0.1:%s\n' page "$PORT"
    return "$outcome"
}

# show_page: where to look, how to log in, how to stop.
show_page() {
    printf '\nAirflow        http://127.0.0.1:%s\n' "$PORT"
    [[ ! -e $ADMIN_PASSWORD_FILE ]] ||
        printf 'log in as      admin, password %s (kept in %s)\n' "$(<"$ADMIN_PASSWORD_FILE")" "$ADMIN_PASSWORD_FILE"
    printf 'stop it        %s\n' "$(stop_command)"
}

# stop_command: as it has to be typed where nothing but the default is known.
stop_command() {
    [[ $STATE_DIR == "${HOME:-}/.local/state/glacier-sync" ]] || printf 'GLACIER_SYNC_HOME=%q ' "$STATE_DIR"
    printf './local-airflow.sh -d\n'
}
