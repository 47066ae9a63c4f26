# shellcheck shell=bash
# Putting together what the image is built from. Source it after _common.sh, with
# PROJECT_DIR (the clone) and BUILD_DIR set, and the options as bdrc-docker.sh names them.

# A folder with this file in it is ours: it may be emptied.
readonly BUILD_MARKER=.glacier-sync-build

# What of a site's configuration folder goes into the image.
readonly -a CONFIGURATION_LIST=(bdrc/auditTool bdrc/site-sync.yml)

# What of bin/ the appliance's services run, whosever sync scripts they call.
readonly -a APPLIANCE_SCRIPTS=(_common.sh check-service housekeeping init-appliance)

# The engine takes no build secret that is larger.
readonly LARGEST_SECRET=512000

# --- checks that change nothing -------------------------------------------------------

check_docker() {
    require_command docker docker.io
    docker compose version >/dev/null 2>&1 || die \
        "'docker compose' doesn't work: expected Docker's Compose plugin, version 2; install Docker's package docker-compose-plugin"
    docker buildx version >/dev/null 2>&1 || die \
        "'docker buildx' doesn't work: expected Docker's Buildx plugin; install Docker's package docker-buildx-plugin"
    docker info >/dev/null 2>&1 || die \
        "no Docker engine answers: start it, or let the user $(id -un) use it; 'docker info' says more"
}

# check_file NAME PATH: a file that an option names can be read.
check_file() {
    [[ -z $2 || (-f $2 && -r $2) ]] || die "$1: '$2' can't be read: expected a file" 2
}

# check_folder NAME PATH: a folder that an option names can be read, and isn't one that
# this script writes to.
check_folder() {
    [[ -n $2 ]] || return 0
    [[ -d $2 && -r $2 && -x $2 ]] || die "$1: '$2' can't be read: expected a folder" 2
    ! is_within "$2" "$BUILD_DIR" ||
        die "$1: '$2' is in the build directory $BUILD_DIR, where everything is replaced; keep it elsewhere" 2
}

# is_within PATH FOLDER
is_within() {
    [[ $(realpath -m -- "$1")/ == "$(realpath -m -- "$2")"/* ]]
}

check_build_directory() {
    ! is_within "$BUILD_DIR" "$PROJECT_DIR" ||
        die "-d: '$BUILD_DIR' is in the source tree $PROJECT_DIR, which is never written to; choose another" 2
    [[ -e $BUILD_DIR ]] || return 0
    [[ -d $BUILD_DIR && -w $BUILD_DIR ]] || die "-d: '$BUILD_DIR' can't be written to: expected a folder of yours" 2
    [[ -e $BUILD_DIR/$BUILD_MARKER || -z $(find "$BUILD_DIR" -mindepth 1 -print -quit) ]] ||
        die "-d: '$BUILD_DIR' holds files but no $BUILD_MARKER, so this script didn't make it; choose an empty folder, or one that isn't there" 2
}

check_sync_scripts() {
    local script
    check_folder --sync-scripts "$SYNC_SCRIPTS"
    [[ -n $SYNC_SCRIPTS ]] || return 0
    [[ -x $SYNC_SCRIPTS/syncOneWork.sh ]] ||
        die "--sync-scripts: '$SYNC_SCRIPTS' has no syncOneWork.sh that can be run; expected the folder of the site's sync scripts" 2
    for script in "${APPLIANCE_SCRIPTS[@]}"; do
        [[ ! -e $SYNC_SCRIPTS/$script ]] ||
            die "--sync-scripts: '$SYNC_SCRIPTS/$script' has the name of one of the appliance's own scripts; rename it" 2
    done
    refuse_credentials --sync-scripts "$SYNC_SCRIPTS"
}

check_configuration() {
    local entry
    check_folder -c "$CONFIG_DIR"
    [[ -n $CONFIG_DIR ]] || return 0
    refuse_credentials -c "$CONFIG_DIR" '(password|passwd|secret|token|api_?key)[[:space:]]*[:=][[:space:]]*[^[:space:]]'
    for entry in "${CONFIGURATION_LIST[@]}"; do
        [[ ! -e $CONFIG_DIR/$entry ]] || return 0
    done
    die "-c: '$CONFIG_DIR' has nothing that goes into the image; expected ${CONFIGURATION_LIST[*]}" 2
}

# refuse_credentials OPTION FOLDER [PATTERN]: ends the script if a file's name, or its
# text, looks like a credential; PATTERN is one more text to look for.
refuse_credentials() {
    local found
    found=$(
        find -L "$2" -type f \( -iname '*credential*' -o -iname '*secret*' -o -iname '*password*' \
            -o -iname '*.pem' -o -iname '*.key' -o -iname '*.p12' -o -iname '*.pfx' -o -iname '*.jks' \
            -o -name 'id_rsa*' -o -name 'id_ed25519*' -o -name 'id_ecdsa*' -o -name .netrc -o -name .pgpass \
            -o -name .pypirc -o -name .htpasswd -o -name .env \) -print
        grep -RlIiE -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' -e 'aws_(secret_access_key|session_token)' \
            -e '(AKIA|ASIA)[A-Z0-9]{16}' ${3:+-e "$3"} -- "$2" || (($? == 1))
    )
    [[ -z $found ]] || die \
        "$1: this looks like a credential: $(sort -u <<<"$found" | head -n 3 | paste -sd ' '); an image is no place for one: take it out of that folder, and give it to the deployment" 2
}

check_audit_tool() {
    [[ -n $AUDIT_TOOL_DEB$AUDIT_TOOL_SHA256 ]] || return 0
    [[ -n $AUDIT_TOOL_DEB ]] || die '--audit-tool-sha256 is of no use without --audit-tool-deb' 2
    [[ $AUDIT_TOOL_SHA256 =~ ^[0-9a-fA-F]{64}$ ]] ||
        die "--audit-tool-deb needs --audit-tool-sha256: expected 64 hexadecimal digits, found '$AUDIT_TOOL_SHA256'; take them from where the package is published" 2
    case $AUDIT_TOOL_DEB in
        http://* | https://*) require_command curl curl ;;
        *) check_file --audit-tool-deb "$AUDIT_TOOL_DEB" ;;
    esac
}

check_ca_bundle() {
    check_file --ca-bundle "$CA_BUNDLE"
    [[ -n $CA_BUNDLE ]] || return 0
    grep -q -e '-----BEGIN CERTIFICATE-----' -- "$CA_BUNDLE" ||
        die "--ca-bundle: '$CA_BUNDLE' holds no certificate: expected certificates in PEM form" 2
    (($(wc -c <"$CA_BUNDLE") < LARGEST_SECRET)) ||
        die "--ca-bundle: '$CA_BUNDLE' is larger than $LARGEST_SECRET bytes, which no build takes: expected your proxy's certificates" 2
}

# --- the build directory --------------------------------------------------------------

# take_build_directory: makes it ours, and empties it first if that's asked for.
take_build_directory() {
    local lock
    mkdir -p -- "$BUILD_DIR"
    [[ -e $BUILD_DIR/$BUILD_MARKER ]] || : >"$BUILD_DIR/$BUILD_MARKER"
    exec {lock}<"$BUILD_DIR/$BUILD_MARKER"
    flock -n "$lock" || die "another build uses $BUILD_DIR: wait for its end, or choose another with -d"
    [[ -z $REBUILD ]] || find "$BUILD_DIR" -mindepth 1 ! -path "$BUILD_DIR/$BUILD_MARKER" -delete
}

# replace_folder NAME: makes a folder of the build directory anew, empty.
replace_folder() {
    rm -rf -- "${BUILD_DIR:?}/$1"
    mkdir -p -- "$BUILD_DIR/$1"
}

# copy_tree FOLDER NAME [PATH…]: copies a folder's paths (all of it) into the build
# directory's folder NAME. What versions it and what Python leaves behind stay out.
copy_tree() {
    local from=$1 to=$BUILD_DIR/$2
    shift 2
    (($#)) || set -- .
    tar -C "$from" --dereference --exclude-vcs --exclude=__pycache__ --exclude='*.pyc' -cf - -- "$@" |
        tar -C "$to" --no-same-owner -xf -
    # Whatever the modes here are, any user of the image can read it and nobody write.
    chmod -R u=rwX,go=rX -- "$to"
}

copy_dockerfile() {
    cp -- "$PROJECT_DIR/Dockerfile-bdrc" "$BUILD_DIR/"
}

copy_library() {
    replace_folder source
    copy_tree "$PROJECT_DIR" source pyproject.toml README.md LICENSE airflow-docker/glacier_sync
}

# copy_sync_scripts: the appliance's own scripts, and the site's sync scripts or ours.
copy_sync_scripts() {
    replace_folder bin
    copy_tree "$PROJECT_DIR/bin" bin "${APPLIANCE_SCRIPTS[@]}"
    if [[ -n $SYNC_SCRIPTS ]]; then
        copy_tree "$SYNC_SCRIPTS" bin
    else
        copy_tree "$PROJECT_DIR/bin" bin syncOneWork.sh _sync_archive.sh _sync_web.sh
    fi
}

# copy_configuration: ours, and over it what the site has of the list.
copy_configuration() {
    local entry left_out
    replace_folder .config/bdrc
    copy_tree "$PROJECT_DIR/config" .config bdrc/auditTool
    copy_tree "$PROJECT_DIR/config" .config/bdrc site-sync.yml
    [[ -n $CONFIG_DIR ]] || return 0
    for entry in "${CONFIGURATION_LIST[@]}"; do
        [[ ! -e $CONFIG_DIR/$entry ]] || {
            rm -rf -- "$BUILD_DIR/.config/$entry"
            copy_tree "$CONFIG_DIR" .config "$entry"
        }
    done
    left_out=$(cd -- "$CONFIG_DIR" && find -L . -type f ! -path './bdrc/auditTool/*' ! -path ./bdrc/site-sync.yml -printf '%P ')
    [[ -z $left_out ]] || warn "-c: only ${CONFIGURATION_LIST[*]} go into the image; left out: $left_out"
}

# copy_audit_tool: the site's package, if it's the one that the checksum belongs to.
copy_audit_tool() {
    local package=$BUILD_DIR/audit/audit-tool.deb found
    [[ -n $AUDIT_TOOL_DEB ]] || {
        replace_folder audit
        return 0
    }
    ! has_checksum "$package" || return 0
    replace_folder audit
    case $AUDIT_TOOL_DEB in
        http://* | https://*)
            info "downloading $AUDIT_TOOL_DEB"
            curl --fail --location --silent --show-error ${CA_BUNDLE:+--cacert "$CA_BUNDLE"} \
                --output "$package.part" -- "$AUDIT_TOOL_DEB" ||
                die "--audit-tool-deb: $AUDIT_TOOL_DEB can't be downloaded: curl's message above says why"
            ;;
        *) cp -- "$AUDIT_TOOL_DEB" "$package.part" ;;
    esac
    has_checksum "$package.part" || {
        found=$(sha256sum <"$package.part")
        rm -f -- "$package.part"
        die "--audit-tool-deb: $AUDIT_TOOL_DEB has the SHA-256 ${found%% *}, expected ${AUDIT_TOOL_SHA256,,}: it isn't the package that the checksum was published for"
    }
    chmod 0644 -- "$package.part"
    mv -f -- "$package.part" "$package"
}

has_checksum() {
    [[ -f $1 ]] && sha256sum --check --status <<<"${AUDIT_TOOL_SHA256,,}  $1"
}

# --- secrets: what the build reads and no layer keeps ---------------------------------

# make_secrets: pip's settings and the CA bundle, as files that end with the script.
make_secrets() {
    local folder bundle
    require_command python3 python3
    folder=$(mktemp -d)
    # shellcheck disable=SC2064 # The folder's name as it is now.
    trap "rm -rf -- '$folder'" EXIT
    : >"$folder/ca-bundle.pem"
    export COMPOSE_PIP_CONF=$folder/pip.conf COMPOSE_CA_BUNDLE=$folder/ca-bundle.pem
    bundle=$(PIP_CONFIG_FILE=${PIP_CONF:-${PIP_CONFIG_FILE:-}} python3 "$PROJECT_DIR/bin/_pip_settings.py" "$COMPOSE_PIP_CONF") ||
        die "pip's settings can't be used: see above"
    if [[ -z $CA_BUNDLE && -r $bundle ]]; then
        info "without --ca-bundle, the build takes pip's: $bundle"
        CA_BUNDLE=$bundle
        check_ca_bundle
    fi
    [[ -z $CA_BUNDLE ]] || cat -- "$CA_BUNDLE" >"$COMPOSE_CA_BUNDLE"
}
