#!/usr/bin/env bash
# Airflow on this machine, without Docker: database, admin, services, and the demo.
PROJECT_DIR=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=bin/_common.sh
source "$PROJECT_DIR/bin/_common.sh"
# shellcheck source=bin/_environment.sh
source "$PROJECT_DIR/bin/_environment.sh"
# shellcheck source=bin/_services.sh
source "$PROJECT_DIR/bin/_services.sh"
# shellcheck source=bin/_airflow.sh
source "$PROJECT_DIR/bin/_airflow.sh"

usage() {
    cat <<'END'
Usage: ./local-airflow.sh [--port N] COMMAND

  -u                        start everything: API server, scheduler, dag-processor, triggerer
  -d                        stop everything
  -w -u, -w -d              start, stop the API server alone
  -s -u, -s -d              start, stop scheduler, dag-processor and triggerer
  status                    what runs, and if it is well (exit status 3 if not)
  -a USER PASSWORD EMAIL    create an administrator, or give one a new password
  -r [-y]                   make Airflow's database anew; asks, unless -y (--yes) is given
  demo [--port N]           the main job from end to end, with sample works
  -h                        this text

  -p N, --port N            the API server's port on 127.0.0.1 (default 8090)

Environment: GLACIER_SYNC_HOME (state folder, default ~/.local/state/glacier-sync),
GLACIER_SYNC_AIRFLOW_PORT (as --port), GLACIER_SYNC_EMULATOR_PORT (the demo's emulator,
5005), GLACIER_SYNC_YES=1 (as --yes), PYTHON (a Python from 3.11 to 3.13),
GLACIER_SYNC_START_SECONDS (120) and GLACIER_SYNC_STOP_SECONDS (60): how long services
may take. AIRFLOW__… and AWS_… variables reach the services.
END
}

main() {
    strict_mode
    PORT=${GLACIER_SYNC_AIRFLOW_PORT:-8090} PORT_ASKED_FOR=
    YES=${GLACIER_SYNC_YES:-}
    parse_arguments "$@"

    require_command flock util-linux
    require_command setsid util-linux
    use_state_folder
    end_on_signals
    # Who is impatient presses Ctrl-C again, which must leave nothing running either.
    trap 'trap "" INT TERM HUP; stop_started_services 10' EXIT
    "command_$COMMAND" "${ARGUMENTS[@]}"
}

# parse_arguments ARGUMENT…: sets COMMAND, ARGUMENTS and SERVICES, or ends the script
# with 2.
parse_arguments() {
    COMMAND='' ARGUMENTS=() SERVICES=()
    while (($#)); do
        case $1 in
            -u) choose_command start ;;
            -d) choose_command stop ;;
            -w) SERVICES+=(api-server) ;;
            -s) SERVICES+=(scheduler dag-processor triggerer) ;;
            -r) choose_command reset ;;
            -y | --yes) YES=1 ;;
            -a)
                (($# >= 4)) || wrong_use "-a needs USER PASSWORD EMAIL"
                choose_command create_admin "${@:2:3}"
                shift 3
                ;;
            status) choose_command status ;;
            demo)
                choose_command demo "${@:2}"
                break
                ;;
            -p | --port)
                (($# >= 2)) || wrong_use "$1 needs a port"
                PORT=$2 PORT_ASKED_FOR=$2
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) wrong_use "found '$1', which is neither a command nor an option" ;;
        esac
        shift
    done
    check_arguments
}

choose_command() {
    [[ -z $COMMAND ]] || wrong_use "found two commands, $COMMAND and $1: expected one"
    COMMAND=$1 ARGUMENTS=("${@:2}")
}

check_arguments() {
    [[ ${#SERVICES[@]} -eq 0 || $COMMAND == start || $COMMAND == stop ]] ||
        wrong_use "-w and -s say what to start (-u) or to stop (-d): expected one of these"
    [[ -n $COMMAND ]] || wrong_use "found no command"
    [[ $PORT =~ ^[1-9][0-9]{0,4}$ && $PORT -lt 65536 ]] ||
        wrong_use "the port is '$PORT': expected a number from 1 to 65535"
}

wrong_use() { die "$1; ./local-airflow.sh -h shows the commands" 2; }

command_start() {
    with_lock start_airflow "${SERVICES[@]:-${AIRFLOW_SERVICES[@]}}"
    keep_started_services
    show_page
}

command_stop() {
    local -a services
    mapfile -t services < <(other_services)
    services=("${AIRFLOW_SERVICES[@]}" "${services[@]}")
    with_lock stop_airflow "${SERVICES[@]:-${services[@]}}"
}

command_status() { show_status || exit "$?"; }

command_create_admin() {
    [[ -n $1 && -n $2 && -n $3 ]] || wrong_use "-a needs USER PASSWORD EMAIL, none of them empty"
    with_lock create_admin "$@"
}

command_reset() {
    require_nothing_runs
    if [[ -z $YES ]]; then
        [[ -t 0 ]] || die "-r removes all of Airflow's records, and there is no terminal to ask on: add --yes if that is meant" 2
        local answer
        read -r -p "Remove all of Airflow's records (DAG runs, users) in $AIRFLOW_HOME? The ledger stays. [y/N] " answer
        [[ $answer == [yY]* ]] || die "nothing was changed"
    fi
    with_lock reset_database
}

command_demo() {
    local library=$PROJECT_DIR/bin/_demo.sh
    [[ -e $library ]] || die "$library is missing: expected it in a complete clone; get it with: git checkout bin/_demo.sh"
    # shellcheck source=/dev/null
    source "$library"
    demo "$@"
}

main "$@"
