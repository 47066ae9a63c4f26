#!/usr/bin/env bash
# Backs a deployment up: both databases and the configuration, while it runs.
BIN_DIR=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
for library in common deployment; do
    # shellcheck source=/dev/null
    source "$BIN_DIR/_$library.sh"
done

usage() {
    cat <<'END'
Usage: bin/backup.sh [-d DIR] FILE

Writes Airflow's database, the ledger, settings, secrets, DAGs and plugins of a running
deployment to FILE, a tar archive for bin/restore.sh. It holds secrets: keep it safe.
The archive's works, working data and logs aren't in it.

  -d, --dest DIR   the deployment (default: the current folder) [DEPLOY_DEST]
  -h, --help       this text

FILE appears when it is complete and checked; one of that name is replaced.
END
}

main() {
    local options dest=${DEPLOY_DEST:-.}
    strict_mode
    umask 077
    options=$(getopt -n backup.sh -o hd: -l help,dest: -- "$@") || die "the arguments aren't understood; see: bin/backup.sh --help" 2
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
        esac
        shift
    done
    shift
    (($# == 1)) || die "expected one file to write to, found $#; see: bin/backup.sh --help" 2
    FILE=$(readlink -m -- "$1")

    find_deployment_folder "$dest"
    require_docker
    [[ -d ${FILE%/*} && -w ${FILE%/*} ]] || die "${FILE%/*} is no folder that can be written to: choose another place for the backup"
    # shellcheck disable=SC2153 # find_deployment_folder sets it
    [[ -r $DEST/secrets/fernet-key ]] ||
        die "the secrets in $DEST can't be read: run this as user id $(env_value SYNC_ACCESS_UID), or as root"
    [[ -n $(in_deployment ps -q --status running postgres) ]] ||
        die "the database of $DEST doesn't run: start it with 'docker compose up -d --wait postgres' in $DEST"

    WORK_DIR=$(mktemp -d --tmpdir="${FILE%/*}" --suffix=.backup)
    trap 'rm -rf -- "$WORK_DIR" "$WORK_DIR.sums"' EXIT
    take_backup
    check_backup
    mv -f -- "$WORK_DIR/backup.tar" "$FILE"
    info "backed up $DEST to $FILE ($(stat -c %s -- "$FILE") bytes)"
}

take_backup() {
    local name
    local -a present=()
    mkdir "$WORK_DIR/databases"
    for name in "${DATABASES[@]}"; do
        in_deployment exec -T postgres pg_dump -U postgres --format=custom "$name" >"$WORK_DIR/databases/$name.dump" ||
            die "the database $name can't be dumped: pg_dump's message above says why"
    done
    for name in "${CONFIGURATION[@]}"; do [[ ! -e $DEST/$name ]] || present+=("$name"); done
    cp -a -- "${present[@]/#/$DEST/}" "$WORK_DIR/"
    (cd "$WORK_DIR" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum --) >"$WORK_DIR.sums"
    mv -- "$WORK_DIR.sums" "$WORK_DIR/CHECKSUMS"
    tar -C "$WORK_DIR" --numeric-owner -cf "$WORK_DIR/backup.tar" CHECKSUMS databases "${present[@]}"
}

# check_backup: what was written can be read.
check_backup() {
    local name
    tar -tf "$WORK_DIR/backup.tar" >/dev/null
    for name in "${DATABASES[@]}"; do
        in_deployment exec -T postgres pg_restore --list <"$WORK_DIR/databases/$name.dump" >/dev/null ||
            die "the dump of the database $name can't be read back: try again, and look at the disk"
    done
}

main "$@"
