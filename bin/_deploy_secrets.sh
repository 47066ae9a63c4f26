# shellcheck shell=bash
# The deployment's secrets: made once, each a file that only the services' user can read.
# Source it after _common.sh and _deploy_files.sh.

# What is made up, with its length in bytes of randomness.
declare -A MADE_UP=(
    ["fernet-key"]=32
    ["jwt-secret"]=48
    ["api-secret"]=48
    ["postgres-password"]=24
    ["airflow-database-password"]=24
    ["ledger-database-password"]=24
    ["admin-password"]=15
)

write_secrets() {
    local name
    for name in "${!MADE_UP[@]}"; do make_up_secret "$name"; done
    write_database_url airflow
    write_database_url ledger
    write_given_secret tls-cert "$TLS_CERT"
    write_given_secret tls-key "$TLS_KEY"
    write_given_secret aws-credentials "$WORK_DIR/aws-credentials"
    write_given_secret aws-config "$WORK_DIR/aws-config"
    protect_secrets
}

# random_text BYTES: in the alphabet of URLs, as a Fernet key has to be.
random_text() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_'; }

# make_up_secret NAME: only if there is none. Its value is never changed here.
make_up_secret() {
    [[ ! -s $DEST/secrets/$1 ]] || return 0
    random_text "${MADE_UP[$1]}" >"$WORK_DIR/secret"
    install_file "$WORK_DIR/secret" "secrets/$1" 0600
    # shellcheck disable=SC2034 # show_next_steps shows it
    [[ $1 != admin-password || -n $DRY_RUN ]] || ADMIN_PASSWORD=$(<"$WORK_DIR/secret")
}

# write_database_url NAME: follows the password. No line end: Airflow would take it for a part of the name.
write_database_url() {
    [[ -s $DEST/secrets/$1-database-password ]] || return 0
    printf 'postgresql+psycopg2://%s:%s@postgres:5432/%s' "$1" "$(<"$DEST/secrets/$1-database-password")" "$1" >"$WORK_DIR/secret"
    install_file "$WORK_DIR/secret" "secrets/$1-database-url" 0600
}

# write_given_secret NAME FILE: what was given replaces what is there; Compose wants a file
# in any case.
write_given_secret() {
    if [[ -n $2 && -f $2 ]]; then
        install_file "$2" "secrets/$1" 0600
    elif [[ ! -e $DEST/secrets/$1 ]]; then
        install_file /dev/null "secrets/$1" 0600
    fi
}

# protect_secrets: whatever was put there by hand is the services' alone, too.
protect_secrets() {
    local file
    [[ -z $DRY_RUN ]] || return 0
    for file in "$DEST"/secrets/*; do
        if [[ $(stat -c '%a %u' -- "$file") != "600 $SYNC_UID" ]]; then
            own "$file"
            chmod 0600 -- "$file"
        fi
    done
}
