#!/usr/bin/env bats
# deploy.sh --prod: archive, credentials, TLS.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # support/deployment.bash and bats set variables

bats_require_minimum_version 1.5.0

setup() {
    load support/deployment
    set_up_deployment
    production
}

# production: an archive that looks mounted, and credentials.
production() {
    archive=$BATS_TEST_TMPDIR/archive
    mkdir -p "$archive"/Archive{0..3} "$HOME/.aws"
    chmod 777 "$archive"/Archive{0..3}
    stub_command findmnt <<END
case "\$*" in
    *PROPAGATION*) echo shared ;;
    *) cat "$stub/mounted" ;;
esac
END
    echo "$archive" >"$stub/mounted"
    cat >"$HOME/.aws/credentials" <<'END'
[default]
aws_access_key_id = DEFAULTKEY
aws_secret_access_key = defaultsecret

[ap_northeast]
aws_access_key_id = NORTHEASTKEY
aws_secret_access_key = northeastsecret
[other]
aws_access_key_id = OTHERKEY
END
    cat >"$HOME/.aws/config" <<'END'
[profile ap_northeast]
region = ap-northeast-2
[profile role]
role_arn = arn:aws:iam::1:role/r
source_profile = default
[profile login]
sso_start_url = https://example.org
END
    prod=("${options[@]}" --prod --arch-root "$archive" --aws-profiles ap_northeast)
}

@test "production: settings, and only the named profiles" {
    run deploy "${prod[@]}"
    [ "$status" -eq 0 ]
    grep -qx DEPLOYMENT=prod "$dest/.env"
    grep -qx "COMPOSE_PROFILES=" "$dest/.env"
    grep -qx "ARCH_ROOT=$archive" "$dest/.env"
    grep -qx "ARCH_PROPAGATION=rslave" "$dest/.env"
    grep -qx "GLACIER_SYNC_ALLOW_SIMULATED_FAILURES=false" "$dest/.env"
    grep -qx "GLACIER_SYNC_INTAKE=/home/airflow/.config/intake-production.yml" "$dest/.env"
    grep -qx "#AWS_ENDPOINT_URL=http://emulator:5005" "$dest/.env"
    [ "$(cat "$dest/secrets/aws-credentials")" = "[ap_northeast]
aws_access_key_id = NORTHEASTKEY
aws_secret_access_key = northeastsecret" ]
    [ "$(cat "$dest/secrets/aws-config")" = "[profile ap_northeast]
region = ap-northeast-2" ]
    run ! grep -rqE 'DEFAULTKEY|OTHERKEY' "$dest"
    run deploy -d "$dest"
    [ "$status" -eq 0 ]
    grep -q NORTHEASTKEY "$dest/secrets/aws-credentials"
}

@test "dev and prod differ in .env and secrets only" {
    deploy "${prod[@]}" >/dev/null
    mv "$dest" "$BATS_TEST_TMPDIR/prod"
    deploy "${options[@]}" --dev >/dev/null
    run diff -rq "$dest" "$BATS_TEST_TMPDIR/prod"
    run ! grep -vE '/\.env|secrets|Only in .*: archive$' <<<"$output"
}

@test "a profile that is missing or can't work is an error before anything is changed" {
    without=("${options[@]}" --prod --arch-root "$archive")
    fails 2 "--aws-profiles is missing" "${without[@]}"
    fails 1 "the credentials profile 'none' is neither in" "${without[@]}" --aws-profiles none
    fails 1 "is based on 'default': name that" "${without[@]}" --aws-profiles ap_northeast,role
    fails 1 "needs programs or logins of this machine" "${without[@]}" --aws-profiles login
    fails 1 "names the credentials profile 'ap_northeast', which isn't among those given" "${without[@]}" --aws-profiles default
    run deploy "${without[@]}" --aws-profiles ap_northeast,default,role
    [ "$status" -eq 0 ]
    grep -q role_arn "$dest/secrets/aws-config"
}

@test "the archive has to be there, mounted, and writable for the user" {
    rmdir "$archive/Archive2"
    fails 1 "Archive2 isn't there: expected Archive0 to Archive3" "${prod[@]}"
    mkdir "$archive/Archive2"
    chmod 777 "$archive/Archive2"
    echo / >"$stub/mounted"
    fails 1 "is on this machine's root disk" "${prod[@]}"
    echo "$archive" >"$stub/mounted"
    chmod 500 "$archive/Archive3"
    fails 1 "the user id $(user_id) can't write to $archive/Archive3" "${prod[@]}"
}

@test "TLS: settings and secrets; certificate and key have to belong together" {
    for name in one two; do
        openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -addext subjectAltName=DNS:sync.example.org \
            -keyout "$BATS_TEST_TMPDIR/$name.key" -out "$BATS_TEST_TMPDIR/$name.crt" 2>/dev/null
    done
    fails 1 "doesn't belong to the certificate" "${options[@]}" --dev \
        --tls-cert "$BATS_TEST_TMPDIR/one.crt" --tls-key "$BATS_TEST_TMPDIR/two.key"
    fails 1 "names no host" "${options[@]}" --dev --tls-cert "$BATS_TEST_TMPDIR/one.key" --tls-key "$BATS_TEST_TMPDIR/one.key"
    run deploy "${options[@]}" --dev --tls-cert "$BATS_TEST_TMPDIR/one.crt" --tls-key "$BATS_TEST_TMPDIR/one.key" --bind 0.0.0.0
    [ "$status" -eq 0 ]
    [[ $output == *https://0.0.0.0* && $output != *"without TLS"* ]]
    grep -qx WEB_NAME=sync.example.org "$dest/.env"
    grep -qx WEB_SCHEME=https "$dest/.env"
    cmp "$BATS_TEST_TMPDIR/one.key" "$dest/secrets/tls-key"
}

@test "a page for other machines without TLS is warned of" {
    run deploy "${options[@]}" --dev --bind 0.0.0.0
    [ "$status" -eq 0 ]
    [[ $output == *"passwords travel without TLS"* ]]
}
