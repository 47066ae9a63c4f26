# shellcheck shell=bash
# shellcheck disable=SC2034 # backup.sh and restore.sh use what is set here
# A deployment, as backup.sh and restore.sh see it. Source it after _common.sh.

DATABASES=(airflow ledger)

# What a backup holds beside the databases.
CONFIGURATION=(.env .config secrets dags plugins docker-compose.yaml docker-compose.override.yaml .deployed)

# in_deployment ARGUMENT…: docker compose, for the deployment in DEST. From there it takes
# the site's docker-compose.override.yaml, too.
in_deployment() { (cd -- "$DEST" && docker compose "$@"); }

# sql STATEMENT: runs it as the database's superuser, over the socket inside the container;
# it travels on standard input, as it may hold a password.
sql() { in_deployment exec -T postgres psql -qAtX -v ON_ERROR_STOP=1 -U postgres <<<"$1"; }

require_docker() {
    require_command docker docker.io
    docker compose version >/dev/null 2>&1 ||
        die "'docker compose' doesn't work: expected Docker's plugin docker-compose-plugin; install it"
}

# find_deployment_folder DIR: sets DEST.
find_deployment_folder() {
    DEST=$(readlink -m -- "$1")
    [[ -f $DEST/docker-compose.yaml && -f $DEST/.env ]] ||
        die "$DEST is no deployment: expected a folder that deploy.sh has made, with docker-compose.yaml and .env; name it with -d" 2
}

# env_value NAME: prints a setting of the deployment that is a plain word.
env_value() { sed -nE "s/^$1=['\"]?([^'\"#[:space:]]*).*/\1/p" "$DEST/.env" | tail -n 1; }
