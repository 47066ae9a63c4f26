# shellcheck shell=bash
# The demo: sample works through the whole main job. Source it after _airflow.sh.

EMULATOR_PORT=${GLACIER_SYNC_EMULATOR_PORT:-5005}
DEMO_STATE='' DEMO_USER='' DEMO_PASSWORD_FILE=''

# demo [-p N|--port N]: sets everything up, runs the main job, and leaves the page up.
demo() {
    read_demo_arguments "$@"
    local outcome=0
    require_no_settings
    ensure_environment emulator
    with_lock start_demo
    "$VENV_DIR/bin/python" -m glacier_sync.demo follow --airflow "http://127.0.0.1:$PORT" \
        --user "$DEMO_USER" --password-file "$DEMO_PASSWORD_FILE" || outcome=$?
    # A verdict of 1 on the works is an outcome to look at; anything else leaves nothing running.
    ((outcome <= 1)) || exit "$outcome"
    keep_started_services
    show_demo_page
    exit "$outcome"
}

read_demo_arguments() {
    while (($#)); do
        case $1 in
            -p | --port)
                (($# >= 2)) || wrong_use "$1 needs a port"
                # shellcheck disable=SC2034 # start_airflow reads it
                PORT=$2 PORT_ASKED_FOR=$2
                shift
                ;;
            *) wrong_use "demo: found '$1': expected nothing, or --port N" ;;
        esac
        shift
    done
    check_arguments
}

# require_no_settings: what a file of theirs names, an archive or a ledger, isn't for samples.
require_no_settings() {
    [[ ! -s $STATE_DIR/.env ]] ||
        die "$STATE_DIR/.env has settings of yours, by which the demo could write to your archive and ledger: give it a state folder of its own, with: GLACIER_SYNC_HOME=$STATE_DIR-demo ./local-airflow.sh demo" 2
}

start_demo() {
    stop_earlier_demo
    require_free_port "$PORT"
    demo_environment
    start_emulator
    "$VENV_DIR/bin/python" -m glacier_sync.demo prepare
    choose_user
    start_airflow "${AIRFLOW_SERVICES[@]}"
}

# choose_user: the administrator that this script made; where somebody made their own,
# a user of the demo's beside it.
choose_user() {
    DEMO_USER=admin DEMO_PASSWORD_FILE=$ADMIN_PASSWORD_FILE
    if [[ -e $ADMIN_PASSWORD_FILE ]] || ! somebody_can_log_in; then return; fi
    DEMO_USER=demo DEMO_PASSWORD_FILE=$AIRFLOW_HOME/demo.password
    [[ ! -e $DEMO_PASSWORD_FILE ]] || return 0
    (umask 077 && random_text 12 >"$DEMO_PASSWORD_FILE.tmp")
    create_admin demo "$(<"$DEMO_PASSWORD_FILE.tmp")" demo@localhost
    mv -f "$DEMO_PASSWORD_FILE.tmp" "$DEMO_PASSWORD_FILE"
}

show_demo_page() {
    show_page
    [[ $DEMO_USER == admin ]] ||
        printf 'log in as      %s, password %s (kept in %s)\n' "$DEMO_USER" "$(<"$DEMO_PASSWORD_FILE")" "$DEMO_PASSWORD_FILE"
}

# stop_earlier_demo: only a demo has an emulator. Services that run without one have
# other settings, and aren't ours to stop.
stop_earlier_demo() {
    local name
    if find_service emulator; then
        info "the demo of before still runs; stopping it first"
        stop_airflow "${AIRFLOW_SERVICES[@]}" emulator
    fi
    for name in "${AIRFLOW_SERVICES[@]}"; do
        if find_service "$name"; then
            die "$name runs already (pid $SERVICE_PID), with settings of its own: stop everything first, with: ./local-airflow.sh -d" 2
        fi
    done
}

# demo_environment: nothing of the caller's own AWS reaches the demo, nor the other way
# round; waiting times suit works of a few kilobytes.
demo_environment() {
    DEMO_STATE=$STATE_DIR/demo
    mkdir -p "$DEMO_STATE"
    unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL_SQS
    export AWS_ENDPOINT_URL=http://127.0.0.1:$EMULATOR_PORT
    export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo AWS_EC2_METADATA_DISABLED=true
    export AWS_CONFIG_FILE=$DEMO_STATE/aws-config AWS_SHARED_CREDENTIALS_FILE=$DEMO_STATE/aws-credentials
    local name
    for name in LEDGER_URL DATA_DIR ARCHIVE_PARENT WEB_PARENT LOG_DIR BIN_DIR SITE_CONFIG_DIR MAX_OBJECTS_PER_RUN; do
        unset "GLACIER_SYNC_$name" "GLACIER_SYNC_${name}_FILE"
    done
    export GLACIER_SYNC_INTAKE=$DEMO_STATE/intake.yml
    export GLACIER_SYNC_SQS_WAIT_SECONDS=2
    export GLACIER_SYNC_INTAKE_RETRY_SECONDS=10 GLACIER_SYNC_TASK_RETRY_SECONDS=10
    export GLACIER_SYNC_MAX_UNBAGGINGS=2 GLACIER_SYNC_MAX_SYNCS=2
}

start_emulator() {
    require_free_port "$EMULATOR_PORT"
    info "starting the AWS emulator on port $EMULATOR_PORT"
    start_service emulator "$VENV_DIR/bin/glacier-sync" emulator --port "$EMULATOR_PORT" --restore-delay 2
    wait_for_services 60 emulator_answers emulator
}

emulator_answers() { grep -q "^AWS_ENDPOINT_URL=" "$SERVICE_LOG_DIR/$1.log" 2>/dev/null; }
