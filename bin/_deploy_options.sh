# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is for the other _deploy files
# What deploy.sh is asked for. Source it after _common.sh.

usage() {
    cat <<'END'
Usage: ./deploy.sh [-s DIR] -d DIR --dev|--prod [OPTION]…

Lays out a deployment of the appliance, or updates one: a running one keeps running.

  -s, --source DIR        where DAGs, plugins, configuration and compose file come from
                          (default: the folder of this script)
  -d, --dest DIR          the deployment's folder
      --dev               with an AWS emulator, and the archive inside the deployment
      --prod              with Amazon's queues; needs --arch-root and --aws-profiles
  -i, --init-env DIR      make the archive's empty tree (Archive0/00 to Archive3/99) in DIR,
                          and use it as the archive
      --arch-root DIR     the folder with Archive0 to Archive3
      --uid N             the user id that everything runs as (default: yours; for root, that
                          of the user who called sudo, or 1001)
      --port N            the page's port (default 8089)
      --bind ADDRESS      the page's address (default 127.0.0.1)
      --tls-cert FILE     serve the page with TLS: certificate with its chain, in PEM
      --tls-key FILE      and its key
      --aws-profiles A,B  the credentials profiles to take from your AWS files
      --dry-run           only show what would change
  -h, --help              this text

On an update only -d is needed: what isn't given stays as it is.

Environment: each option as DEPLOY_<OPTION>, with DEPLOY_MODE=dev|prod and DEPLOY_DRY_RUN=1;
an option goes before its variable. COMPOSE_AIRFLOW_IMAGE names the image of a new deployment
(default: bdrc-airflow), AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE your AWS files.
END
}

wrong_use() { die "$1; see: ./deploy.sh --help" 2; }

# parse_arguments ARGUMENT…: sets SOURCE, DEST, MODE, INIT_ENV, ARCH_ROOT, SYNC_UID, PORT,
# BIND, TLS_CERT, TLS_KEY, AWS_PROFILES and DRY_RUN; empty is what wasn't asked for.
parse_arguments() {
    local options
    read_environment
    options=$(getopt -n deploy.sh -o hs:d:i: \
        -l help,source:,dest:,dev,prod,init-env:,arch-root:,uid:,port:,bind:,tls-cert:,tls-key:,aws-profiles:,dry-run \
        -- "$@") || wrong_use "the arguments aren't understood"
    eval set -- "$options"
    while [[ $1 != -- ]]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --dev | --prod) choose_mode "${1#--}" ;;
            --dry-run) DRY_RUN=1 ;;
            *)
                take_option "$1" "$2"
                shift
                ;;
        esac
        shift
    done
    shift
    (($# == 0)) || wrong_use "'$1' isn't an option"
    check_arguments
}

read_environment() {
    SOURCE=${DEPLOY_SOURCE:-$PROJECT_DIR}
    DEST=${DEPLOY_DEST:-} MODE=${DEPLOY_MODE:-} INIT_ENV=${DEPLOY_INIT_ENV:-}
    ARCH_ROOT=${DEPLOY_ARCH_ROOT:-} SYNC_UID=${DEPLOY_UID:-}
    PORT=${DEPLOY_PORT:-} BIND=${DEPLOY_BIND:-}
    TLS_CERT=${DEPLOY_TLS_CERT:-} TLS_KEY=${DEPLOY_TLS_KEY:-}
    AWS_PROFILES=${DEPLOY_AWS_PROFILES:-} DRY_RUN=${DEPLOY_DRY_RUN:-}
    MODE_OPTION=
}

choose_mode() {
    [[ -z $MODE_OPTION || $MODE_OPTION == "$1" ]] || wrong_use "--dev and --prod exclude each other"
    MODE_OPTION=$1 MODE=$1
}

take_option() {
    [[ -n $2 ]] || wrong_use "$1 needs a value"
    case $1 in
        -s | --source) SOURCE=$2 ;;
        -d | --dest) DEST=$2 ;;
        -i | --init-env) INIT_ENV=$2 ;;
        --arch-root) ARCH_ROOT=$2 ;;
        --uid) SYNC_UID=$2 ;;
        --port) PORT=$2 ;;
        --bind) BIND=$2 ;;
        --tls-cert) TLS_CERT=$2 ;;
        --tls-key) TLS_KEY=$2 ;;
        --aws-profiles) AWS_PROFILES=$2 ;;
    esac
}

check_arguments() {
    [[ -n $DEST ]] || wrong_use "-d (the deployment's folder) is missing"
    [[ $MODE =~ ^(dev|prod|)$ ]] || wrong_use "DEPLOY_MODE is '$MODE': expected dev or prod"
    [[ -z $SYNC_UID ]] || is_number "$SYNC_UID" 1 4294967294 ||
        wrong_use "the user id is '$SYNC_UID': expected a number other than 0, which is root's"
    [[ -z $PORT ]] || is_number "$PORT" 1 65535 || wrong_use "the port is '$PORT': expected a number from 1 to 65535"
    [[ -z $BIND || $BIND =~ ^[0-9.]+$|^\[[0-9a-fA-F:]+\]$ ]] ||
        wrong_use "the address is '$BIND': expected one of this machine's, such as 127.0.0.1, 0.0.0.0 or [::1]"
    [[ -n $TLS_CERT && -n $TLS_KEY || -z $TLS_CERT$TLS_KEY ]] || wrong_use "--tls-cert and --tls-key need each other"
    [[ -z $INIT_ENV || -z $ARCH_ROOT || $INIT_ENV == "$ARCH_ROOT" ]] ||
        wrong_use "--init-env and --arch-root name different folders"
    [[ -d $SOURCE ]] || wrong_use "the source '$SOURCE' is no folder: expected a clone of Glacier Sync"
    [[ -z $ARCH_ROOT || -d $ARCH_ROOT || -n $INIT_ENV ]] ||
        die "the archive root '$ARCH_ROOT' is no folder: expected the one with Archive0 to Archive3; is it mounted?"
    SOURCE=$(readlink -f -- "$SOURCE")
    DEST=$(readlink -m -- "$DEST")
    [[ -z $INIT_ENV ]] || INIT_ENV=$(readlink -m -- "$INIT_ENV") ARCH_ROOT=$INIT_ENV
    [[ -z $ARCH_ROOT ]] || ARCH_ROOT=$(readlink -m -- "$ARCH_ROOT")
}

# is_number TEXT LOWEST HIGHEST: a number in decimal, without leading zeros.
is_number() { [[ $1 =~ ^[1-9][0-9]{0,9}$ ]] && (($1 >= $2 && $1 <= $3)); }
