#!/usr/bin/env bash
# Restores a deployment from a backup: both databases and the configuration.
BIN_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
for library in common deployment; do
    # shellcheck source=/dev/null
    source "$BIN_DIR/_$library.sh"
done

usage() {
    cat <<'END'
Usage: bin/restore.sh [-d DIR] [-y] FILE

Puts a deployment back to what bin/backup.sh has written to FILE, and starts it. The folder
may be a running deployment, a broken one, or new. The services stop meanwhile; a database
is replaced only after all of the backup's has been read in. Configuration that is replaced
is kept in DIR/.replaced.

  -d, --dest DIR   the deployment (default: the current folder) [DEPLOY_DEST]
  -y, --yes        don't ask [GLACIER_SYNC_YES=1]
  -h, --help       this text
END
}

main() {
    local options dest=${DEPLOY_DEST:-.}
    strict_mode
    umask 077
    YES=${GLACIER_SYNC_YES:-}
    options=$(getopt -n restore.sh -o hd:y -l help,dest:,yes -- "$@") || die "the arguments aren't understood; see: bin/restore.sh --help" 2
    eval set -- "$options"
    while [[ $1 != -- ]]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            -d | --dest)
                dest=$2
                shift
                ;;
            -y | --yes) YES=1 ;;
        esac
        shift
    done
    shift
    (($# == 1)) || die "expected one backup to restore, found $#; see: bin/restore.sh --help" 2
    FILE=$1 DEST=$(readlink -m -- "$dest")
    WORK_DIR=$(mktemp -d)
    trap 'rm -rf -- "$WORK_DIR"' EXIT

    # No impact yet.
    require_docker
    read_backup
    check_destination
    ask

    # From here on the deployment changes.
    stop_services
    restore_configuration
    start_database
    restore_databases
    in_deployment up -d --wait
    info "$DEST is what it was when $FILE was written, and runs"
}

read_backup() {
    [[ -r $FILE ]] || die "the backup $FILE can't be read: expected a file that bin/backup.sh has written" 2
    tar -C "$WORK_DIR" --numeric-owner -xpf "$FILE" 2>/dev/null && [[ -f $WORK_DIR/CHECKSUMS && -f $WORK_DIR/docker-compose.yaml ]] ||
        die "$FILE is no backup of a deployment: expected a file that bin/backup.sh has written" 2
    (cd "$WORK_DIR" && sha256sum --quiet -c CHECKSUMS >&2) ||
        die "the backup $FILE is damaged: the files named above aren't what was backed up; nothing was changed; use another backup"
}

check_destination() {
    local uid image
    uid=$(DEST=$WORK_DIR env_value SYNC_ACCESS_UID)
    image=$(DEST=$WORK_DIR env_value COMPOSE_AIRFLOW_IMAGE)
    ((EUID == 0 || EUID == uid)) || die "the deployment belongs to user id $uid: run this as that user, or as root"
    docker image inspect "$image" >/dev/null 2>&1 || die "the image $image isn't there: build it with ./bdrc-docker.sh, or load it"
    [[ -e $DEST/docker-compose.yaml || ! -d $DEST || -z $(ls -A -- "$DEST") ]] ||
        die "$DEST isn't empty and is no deployment: choose a new folder, or the deployment's"
}

ask() {
    local answer
    [[ -z $YES ]] || return 0
    [[ -t 0 ]] || die "restoring replaces both databases and the configuration of $DEST: say so with --yes" 2
    read -rp "Replace both databases and the configuration of $DEST? [y/N] " answer
    [[ $answer == [yY]* ]] || die "nothing was changed" 1
}

# stop_services: all but the database; tasks that run may finish.
stop_services() {
    local -a running
    [[ -e $DEST/docker-compose.yaml && -e $DEST/.env ]] || return 0
    mapfile -t running < <(in_deployment ps --services --status running | grep -vx postgres || true)
    ((${#running[@]} == 0)) || in_deployment stop "${running[@]}"
}

restore_configuration() {
    local name kept
    kept=$DEST/.replaced/$(printf '%(%Y%m%d-%H%M%S)T' -1)
    mkdir -p -- "$DEST"
    for name in "${CONFIGURATION[@]}"; do
        if [[ -e $DEST/$name ]]; then
            mkdir -p -- "$kept"
            mv -- "$DEST/$name" "$kept/"
        fi
        [[ ! -e $WORK_DIR/$name ]] || cp -a -- "$WORK_DIR/$name" "$DEST/"
    done
    make_folders
}

# make_folders: what the services write to.
make_folders() {
    local folder uid
    uid=$(env_value SYNC_ACCESS_UID)
    for folder in logs processing processing/logs data zips zips/{incoming,watched,retention}; do
        [[ -d $DEST/$folder ]] || install -d -m 0750 -- "$DEST/$folder"
        ((EUID != 0)) || chown "$uid" -- "$DEST/$folder"
    done
    [[ $(env_value ARCH_ROOT) != ./archive || -d $DEST/archive ]] ||
        (umask 022 && mkdir -p "$DEST"/archive/Archive{0..3} && { ((EUID != 0)) || chown -R "$uid" "$DEST/archive"; })
}

# start_database: with the backup's password.
start_database() {
    in_deployment up -d --wait postgres
    sql "ALTER ROLE postgres PASSWORD '$(<"$DEST/secrets/postgres-password")'"
}

# restore_databases: both are read in beside the present ones, then take their places.
restore_databases() {
    local name
    for name in "${DATABASES[@]}"; do
        info "restoring the database $name"
        sql "SELECT 'CREATE ROLE $name LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$name') \\gexec"
        sql "DROP DATABASE IF EXISTS ${name}_restored"
        sql "CREATE DATABASE ${name}_restored OWNER $name TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        sql "REVOKE CONNECT ON DATABASE ${name}_restored FROM PUBLIC"
        in_deployment exec -T postgres pg_restore -U postgres --exit-on-error --no-owner --role="$name" \
            --dbname="${name}_restored" <"$WORK_DIR/databases/$name.dump" ||
            die "the database $name can't be read in: pg_restore's message above says why; the present one is untouched"
    done
    for name in "${DATABASES[@]}"; do
        sql "DROP DATABASE IF EXISTS ${name}_before_upgrade"
        sql "DROP DATABASE IF EXISTS $name WITH (FORCE)"
        sql "ALTER DATABASE ${name}_restored RENAME TO $name"
    done
}

main "$@"
