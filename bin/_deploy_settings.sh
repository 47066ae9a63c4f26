# shellcheck shell=bash
# The deployment's .env: what is in it, what belongs in it, writing it. Source it after
# _common.sh and _deploy_options.sh.

# What this run decides: goes into a new .env in any case, and into an old one as far as
# it was asked for.
declare -A SETTINGS=() ASKED_FOR=()

# env_value FILE NAME: prints a variable's value in a file like .env; fails without one.
env_value() {
    local line value
    line=$(grep -E "^[[:space:]]*(export[[:space:]]+)?$2=" -- "$1" 2>/dev/null | tail -n 1) || return 1
    value=${line#*=}
    case $value in
        \'*) value=${value#\'} value=${value%%\'*} ;;
        \"*) value=${value#\"} value=${value%%\"*} ;;
        *)
            value=${value%% #*}
            value=${value%"${value##*[![:space:]]}"}
            ;;
    esac
    printf '%s\n' "$value"
}

# env_line NAME VALUE: prints the line that gives the variable this value.
env_line() {
    local value=$2
    if [[ $value =~ [^[:alnum:]_./:,@%+=-] ]]; then
        [[ $value != *[\'$'\n']* ]] || die "$1 can't be '$value': quotes and line ends aren't possible in .env"
        value="'$value'"
    fi
    printf '%s=%s\n' "$1" "$value"
}

# find_deployment: sets IS_UPDATE, and takes MODE and SYNC_UID from a deployment that is there.
find_deployment() {
    local found
    IS_UPDATE=
    ENV_FILE=$DEST/.env
    [[ $DEST/ != "$SOURCE"/* ]] ||
        die "the deployment $DEST would be inside the source $SOURCE: choose a folder outside of it" 2
    if [[ -e $ENV_FILE ]]; then
        IS_UPDATE=1
        found=$(env_value "$ENV_FILE" DEPLOYMENT) || found=$MODE
        [[ -z $MODE || $MODE == "$found" ]] ||
            die "$DEST is a deployment of kind '$found', and '$MODE' was asked for: lay out a $MODE deployment in a folder of its own, so that their ledgers stay apart" 2
        MODE=$found
        found=$(env_value "$ENV_FILE" SYNC_ACCESS_UID) || found=
        [[ -z $SYNC_UID || -z $found || $SYNC_UID == "$found" ]] ||
            die "everything in $DEST belongs to user id $found, and $SYNC_UID was asked for: docs/operations.md tells how to change it" 2
        SYNC_UID=${found:-$SYNC_UID}
    elif [[ -d $DEST && -n $(ls -A -- "$DEST" 2>/dev/null) && ! -d $DEST/secrets ]]; then
        die "$DEST isn't empty and is no deployment: choose a new folder, or empty it"
    fi
    [[ -n $MODE ]] || wrong_use "--dev or --prod is missing"
}

# decide_settings: fills SETTINGS and ASKED_FOR.
decide_settings() {
    [[ -n $SYNC_UID ]] || SYNC_UID=$(default_uid)
    SETTINGS=(
        [DEPLOYMENT]=$MODE
        [COMPOSE_PROJECT_NAME]=$(project_name)
        [COMPOSE_AIRFLOW_IMAGE]=${COMPOSE_AIRFLOW_IMAGE:-bdrc-airflow}
        [SYNC_ACCESS_UID]=$SYNC_UID
    )
    if [[ $MODE == dev ]]; then
        SETTINGS[COMPOSE_PROFILES]=emulator
        SETTINGS[AWS_ENDPOINT_URL]=http://emulator:5005
        SETTINGS[STOP_GRACE_PERIOD]=1m
        SETTINGS[GLACIER_SYNC_ALLOW_SIMULATED_FAILURES]=true
    else
        SETTINGS[GLACIER_SYNC_INTAKE]=/home/airflow/.config/intake-production.yml
    fi
    [[ -z $PORT ]] || ask_for WEB_PORT "$PORT"
    [[ -z $BIND ]] || ask_for WEB_BIND "$BIND"
    [[ -z $ARCH_ROOT ]] || decide_archive
    [[ -z $TLS_CERT ]] || decide_tls
}

ask_for() { SETTINGS[$1]=$2 ASKED_FOR[$1]=1; }

decide_archive() {
    local propagation
    ask_for ARCH_ROOT "$ARCH_ROOT"
    # Docker refuses rslave where the folder's mount isn't shared.
    propagation=$(findmnt -no PROPAGATION -T "$(existing_parent "$ARCH_ROOT")" 2>/dev/null) || propagation=
    if [[ $propagation == *shared* ]]; then
        ask_for ARCH_PROPAGATION rslave
    else
        ask_for ARCH_PROPAGATION rprivate
    fi
}

decide_tls() {
    ask_for WEB_SCHEME https
    ask_for WEB_NAME "$(certified_name)"
    ask_for WEB_TLS_CERT /run/secrets/tls-cert
    ask_for WEB_TLS_KEY /run/secrets/tls-key
    ask_for WEB_COOKIE_SECURE True
}

# certified_name: prints a host name that the certificate is for.
certified_name() {
    local name
    require_command openssl openssl
    [[ -r $TLS_CERT ]] || die "the certificate $TLS_CERT can't be read: expected a file in PEM; correct --tls-cert"
    name=$(openssl x509 -in "$TLS_CERT" -noout -ext subjectAltName 2>/dev/null | grep -oE 'DNS:[^, ]+' | head -n 1) || name=
    name=${name#DNS:}
    [[ -n $name ]] ||
        die "the certificate $TLS_CERT names no host: expected a certificate in PEM with a DNS name (subjectAltName); correct --tls-cert"
    printf '%s\n' "${name/#\*/airflow}"
}

# default_uid: prints the user id of whoever deploys, never root's.
default_uid() {
    if ((EUID != 0)); then
        printf '%s\n' "$EUID"
    elif [[ ${SUDO_UID:-0} != 0 ]]; then
        printf '%s\n' "$SUDO_UID"
    else
        printf '1001\n'
    fi
}

# project_name: prints the folder's name in the alphabet of Compose.
project_name() {
    local name=${DEST##*/}
    name=${name,,}
    name=${name//[^a-z0-9_-]/-}
    name=${name##[_-]}
    printf '%s\n' "${name:-bdrc}"
}

# setting NAME: prints the value that will hold: the operator's, or what this run decides.
setting() {
    if [[ -n ${ASKED_FOR[$1]:-} ]]; then
        printf '%s\n' "${SETTINGS[$1]}"
    elif [[ -n $IS_UPDATE ]] && env_value "$ENV_FILE" "$1"; then
        return
    elif [[ -v SETTINGS[$1] ]]; then
        printf '%s\n' "${SETTINGS[$1]}"
    else
        env_value "$SOURCE/config/deployment.env" "$1"
    fi
}

# write_settings: makes .env, or adds to it what is new and changes what was asked for.
write_settings() {
    local staged=$WORK_DIR/env
    if [[ -n $IS_UPDATE ]]; then
        updated_settings >"$staged"
    else
        new_settings >"$staged"
    fi
    install_file "$staged" .env 0640
}

new_settings() {
    local line name
    while IFS= read -r line; do
        name=$(setting_of "$line")
        if [[ -n $name && -v SETTINGS[$name] ]]; then
            env_line "$name" "${SETTINGS[$name]}"
        else
            printf '%s\n' "$line"
        fi
    done <"$SOURCE/config/deployment.env"
}

# setting_of LINE: prints the variable that a line sets, or would set if it weren't commented out.
setting_of() {
    local pattern='^[[:space:]]*#?(export )?([A-Z][A-Z0-9_]*)='
    if [[ $1 =~ $pattern ]]; then printf '%s\n' "${BASH_REMATCH[2]}"; fi
}

updated_settings() {
    local line name
    local -A present=()
    while IFS= read -r line || [[ -n $line ]]; do
        name=$(setting_of "$line")
        # shellcheck disable=SC2034 # added_settings reads it by its name
        [[ -z $name ]] || present[$name]=1
        if [[ -n $name && -n ${ASKED_FOR[$name]:-} && $line != *([[:space:]])\#* ]]; then
            env_line "$name" "${SETTINGS[$name]}"
        else
            printf '%s\n' "$line"
        fi
    done <"$ENV_FILE"
    added_settings present
}

# added_settings PRESENT: prints those of the template's settings, with what is said about
# them, that aren't in the associative array of that name.
added_settings() {
    local -n there=$1
    local line name comment='' noted=''
    while IFS= read -r line; do
        name=$(setting_of "$line")
        if [[ -z $name ]]; then
            comment+=$line$'\n'
            [[ $line == '#'* ]] || comment=
            continue
        fi
        if [[ -z ${there[$name]:-} ]]; then
            [[ -n $noted ]] || printf '\n# --- added by deploy.sh on %(%F)T: new settings ---\n' -1
            noted=1
            printf '\n%s' "$comment"
            if [[ -v SETTINGS[$name] ]]; then env_line "$name" "${SETTINGS[$name]}"; else printf '%s\n' "$line"; fi
        fi
        comment=
    done <"$SOURCE/config/deployment.env"
}
