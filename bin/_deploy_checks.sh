# shellcheck shell=bash
# What has to be so before anything is changed. Source it after the other _deploy files.

MINIMUM_ENGINE=20.10
MINIMUM_COMPOSE=2.24.0
MINIMUM_FREE_MIB=5120

# check_requirements: nothing is changed here; the first that isn't met ends the script.
check_requirements() {
    check_source
    check_docker
    check_images
    check_project_name
    check_user
    check_space
    check_port
    check_archive
    [[ -z $TLS_CERT ]] || check_certificate
    [[ $(setting WEB_BIND) =~ ^127\.|^\[::1\]$ || $(setting WEB_SCHEME) == https ]] ||
        warn "the page can be reached from other machines, and passwords travel without TLS: give --tls-cert and --tls-key"
}

check_source() {
    local name
    for name in bdrc-docker-compose.yml airflow-docker/dags config/deployment.env config/intake.yml; do
        [[ -e $SOURCE/$name ]] || die "$SOURCE has no $name: expected a clone of Glacier Sync; correct --source" 2
    done
}

check_docker() {
    local engine compose
    require_command docker docker.io
    engine=$(docker version --format '{{.Server.Version}}' 2>"$WORK_DIR/error") ||
        die "no Docker engine answers ($(tail -n 1 "$WORK_DIR/error")): start it, or get the right to use it (group docker)"
    is_at_least "$engine" "$MINIMUM_ENGINE" || die "Docker's engine is $engine: expected $MINIMUM_ENGINE or newer; upgrade it"
    compose=$(docker compose version --short 2>/dev/null) ||
        die "'docker compose' doesn't work: expected Compose $MINIMUM_COMPOSE or newer; install Docker's plugin docker-compose-plugin"
    is_at_least "${compose#v}" "$MINIMUM_COMPOSE" || die "Docker Compose is $compose: expected $MINIMUM_COMPOSE or newer; upgrade it"
}

# is_at_least VERSION MINIMUM
is_at_least() { [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

check_images() {
    local image
    local -a images
    images=("$(setting COMPOSE_AIRFLOW_IMAGE)")
    [[ $(setting COMPOSE_PROFILES) != *emulator* ]] || images+=("${images[0]}-emulator")
    for image in "${images[@]}"; do
        docker image inspect "$image" >/dev/null 2>&1 ||
            die "the image $image isn't there: build it with ./bdrc-docker.sh, or name another with COMPOSE_AIRFLOW_IMAGE"
    done
}

# check_project_name: containers and the database's volume are told apart by it.
check_project_name() {
    local name others
    name=$(setting COMPOSE_PROJECT_NAME)
    others=$(docker ps -a --filter "label=com.docker.compose.project=$name" \
        --format '{{.Label "com.docker.compose.project.working_dir"}}' | grep -vxF -- "$DEST" | sort -u | head -n 1) || others=
    [[ -z $others ]] ||
        die "the deployment in $others is called '$name', too: choose a folder with another name than ${DEST##*/}"
    [[ ! -s $DEST/secrets/postgres-password ]] || return 0
    docker volume inspect "${name}_database" >/dev/null 2>&1 || return 0
    [[ -z $IS_UPDATE ]] ||
        die "$DEST/secrets/postgres-password is gone, and the volume ${name}_database has this deployment's ledger: write a new one as docs/operations.md tells under 'Changing secrets', then run this again; keep the volume"
    die "the volume ${name}_database holds the database of an earlier deployment, whose password isn't here: restore it with bin/restore.sh, choose a folder with another name, or remove it for good: docker volume rm ${name}_database"
}

check_user() {
    ((EUID == 0 || EUID == SYNC_UID)) ||
        die "files would have to be given to user id $SYNC_UID, and only root can: run this as root, or without --uid (then it is yours, $EUID)"
}

check_space() {
    local folder free
    folder=$(existing_parent "$DEST")
    free=$(df --output=avail -B 1M -- "$folder" | tail -n 1)
    ((free >= MINIMUM_FREE_MIB)) ||
        die "$folder has ${free// /} MiB free: expected $MINIMUM_FREE_MIB at least; free some, or deploy to another disk"
    [[ -w $folder || -d $DEST ]] || die "$folder can't be written to: choose another --dest, or get the permission"
}

# check_port: free, or this very deployment's.
check_port() {
    local port address
    port=$(setting WEB_PORT)
    address=$(setting WEB_BIND)
    case $address in
        0.0.0.0) address=127.0.0.1 ;;
        '[::]') address=::1 ;;
    esac
    answers "${address//[\[\]]/}" "$port" || return 0
    [[ -n $IS_UPDATE && -n $(docker ps -q --filter "label=com.docker.compose.project=$(setting COMPOSE_PROJECT_NAME)" --filter "publish=$port") ]] ||
        die "the port $port on $address is used by another program: stop that, or choose another with --port"
}

# answers ADDRESS PORT: something listens there.
answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# check_archive: in production it is mounted, has its four folders, and the services' user
# can write to them.
check_archive() {
    local root part
    [[ $MODE == prod && -z $INIT_ENV ]] || return 0
    root=$(setting ARCH_ROOT)
    [[ $root == /* ]] || wrong_use "--arch-root is missing: production needs the folder with Archive0 to Archive3"
    for part in "$root"/Archive{0..3}; do
        [[ -d $part ]] || die "the archive's folder $part isn't there: expected Archive0 to Archive3 in $root; is it mounted?"
        is_mounted "$part" || die "the archive's folder $part is on this machine's root disk: expected a mounted one; mount the archive first"
        is_writable "$part" || die "the user id $SYNC_UID can't write to $part ($(stat -c 'mode %a, owner %u, group %g' -- "$part")): give it the permission, or choose another with --uid"
    done
}

# is_mounted FOLDER: it, or a folder that it is in, is a mount other than the root disk.
is_mounted() {
    local target
    target=$(findmnt -no TARGET -T "$1") && [[ $target != / ]]
}

# is_writable FOLDER: for the user and group that the services run as. Only the folder
# itself counts: a container doesn't see the way to it.
is_writable() {
    if ((EUID == 0)); then
        (cd -- "$1" && setpriv --reuid "$SYNC_UID" --regid 0 --clear-groups --inh-caps=-all --bounding-set=-all test -w . -a -x .)
    else
        [[ -w $1 && -x $1 ]]
    fi
}

check_certificate() {
    [[ -r $TLS_KEY ]] || die "the key $TLS_KEY can't be read: expected a file in PEM; correct --tls-key"
    [[ $(openssl x509 -in "$TLS_CERT" -noout -pubkey) == "$(openssl pkey -in "$TLS_KEY" -passin pass: -pubout 2>/dev/null)" ]] ||
        die "the key $TLS_KEY doesn't belong to the certificate $TLS_CERT, or has a passphrase: expected its key without one"
    openssl x509 -in "$TLS_CERT" -noout -checkend 0 >/dev/null ||
        die "the certificate $TLS_CERT has run out: expected a valid one; renew it"
}

# show_next_steps: what remains to be done, and the password, this one time.
show_next_steps() {
    [[ -z $DRY_RUN ]] || return 0
    if [[ -n ${ADMIN_PASSWORD:-} ]]; then
        printf '\nThe page: %s://%s:%s, user admin, password %s\n(shown this once; it is in %s, for %s only)\n' \
            "$(setting WEB_SCHEME)" "$(setting WEB_BIND)" "$(setting WEB_PORT)" "$ADMIN_PASSWORD" \
            "$DEST/secrets/admin-password" "user id $SYNC_UID"
    fi
    printf '\nStart it, or apply what has changed:  cd %q && docker compose up -d --wait\n' "$DEST"
}
