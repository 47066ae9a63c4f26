#!/usr/bin/env bash
# First start of the database: makes the cluster, the user and the database that the
# environment names; then becomes the server.
set -Eeuo pipefail

# value NAME DEFAULT: the variable, or what the file holds that NAME_FILE names.
value() {
    local file=$1_FILE
    if [[ -n ${!file:-} ]]; then
        cat -- "${!file}"
    else
        printf '%s' "${!1:-$2}"
    fi
}

as_the_database_user() {
    mkdir -p -- "$PGDATA"
    chown -R postgres:postgres -- "$PGDATA" /var/run/postgresql
    chmod 0700 -- "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
}

# initdb asks who it runs as; a user id that the image doesn't know is given a name.
name_this_user() {
    ! id -un >/dev/null 2>&1 || return 0
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=/etc/group
    printf 'postgres:x:%s:%s::/var/lib/postgresql:/bin/sh\n' "$(id -u)" "$(id -g)" >"$NSS_WRAPPER_PASSWD"
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD=libnss_wrapper.so
}

make_cluster() {
    local user database password
    mkdir -p -- "$PGDATA"
    chmod 0700 -- "$PGDATA"
    name_this_user
    user=$(value POSTGRES_USER postgres)
    database=$(value POSTGRES_DB "$user")
    password=$(value POSTGRES_PASSWORD '')
    [[ -n $password ]] || {
        echo 'entry.sh: no password was found: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE' >&2
        exit 1
    }
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") --auth=trust >/dev/null
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o '-c listen_addresses=' start >/dev/null
    [[ $database == postgres ]] || createdb --username="$user" --no-password -- "$database"
    pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
    unset LD_PRELOAD
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
[[ ${1:-} == postgres ]] || exec "$@"
[[ $(id -u) != 0 ]] || as_the_database_user "$@"
[[ -s $PGDATA/PG_VERSION ]] || make_cluster
exec postgres -c listen_addresses='*' "${@:2}"
