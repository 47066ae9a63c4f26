# shellcheck shell=bash
# AWS credentials: only the named profiles leave the operator's files. Source it after
# _common.sh and _deploy_settings.sh.

# stage_aws_credentials: sets out the new aws-credentials and aws-config, if any are to be written.
stage_aws_credentials() {
    local profile
    local -a profiles
    if [[ -n $AWS_PROFILES ]]; then
        IFS=, read -ra profiles <<<"$AWS_PROFILES"
        # Both are written anew, even if one is empty now.
        touch "$WORK_DIR/aws-credentials" "$WORK_DIR/aws-config"
        for profile in "${profiles[@]}"; do stage_profile "$profile"; done
    elif [[ $MODE == dev && ! -s $DEST/secrets/aws-credentials ]]; then
        # The emulator takes any credentials.
        printf '[default]\naws_access_key_id = emulator\naws_secret_access_key = emulator\n' >"$WORK_DIR/aws-credentials"
    elif [[ ! -s $DEST/secrets/aws-credentials ]]; then
        wrong_use "--aws-profiles is missing: production needs the credentials profiles that $(intake_name) names"
    fi
}

# stage_profile NAME: takes a profile's two sections over.
stage_profile() {
    local credentials=${AWS_SHARED_CREDENTIALS_FILE:-${HOME:-/root}/.aws/credentials}
    local config=${AWS_CONFIG_FILE:-${HOME:-/root}/.aws/config} heading="profile $1" found
    [[ $1 != default ]] || heading=default
    found=$(
        section "$credentials" "$1"
        section "$config" "$heading"
    )
    [[ -n $found ]] ||
        die "the credentials profile '$1' is neither in $credentials nor in $config: add it there, or correct --aws-profiles"
    check_profile "$1" "$found"
    section "$credentials" "$1" >>"$WORK_DIR/aws-credentials"
    section "$config" "$heading" >>"$WORK_DIR/aws-config"
}

# check_profile NAME SECTIONS: it has to work inside a container.
check_profile() {
    local source_profile
    if grep -qE '^[[:space:]]*(credential_process|sso_[a-z_]+)[[:space:]]*=' <<<"$2"; then
        die "the credentials profile '$1' needs programs or logins of this machine, which no container has: expected aws_access_key_id and aws_secret_access_key, or a role with a source_profile"
    fi
    source_profile=$(sed -nE 's/^[[:space:]]*source_profile[[:space:]]*=[[:space:]]*([^[:space:]]+).*/\1/p' <<<"$2")
    if [[ -n $source_profile ]]; then
        [[ ,$AWS_PROFILES, == *,"$source_profile",* ]] ||
            die "the credentials profile '$1' is based on '$source_profile': name that in --aws-profiles as well"
    elif ! grep -qE '^[[:space:]]*aws_access_key_id[[:space:]]*=' <<<"$2"; then
        die "the credentials profile '$1' has no aws_access_key_id: add aws_access_key_id and aws_secret_access_key to it"
    fi
}

# section FILE HEADING: prints a section of an AWS file, if it is there.
section() {
    [[ -e $1 ]] || return 0
    [[ -r $1 ]] || die "$1 can't be read: make it readable, or name another with AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE"
    awk -v heading="$2" '
        /^[[:space:]]*\[/ {
            name = $0
            gsub(/^[[:space:]]*\[[[:space:]]*|[[:space:]]*\].*$/, "", name)
            gsub(/[[:space:]]+/, " ", name)
            wanted = (name == heading)
            if (wanted) { print "[" heading "]"; next }
        }
        wanted && NF { print }
    ' "$1"
}

intake_name() { basename -- "$(setting GLACIER_SYNC_INTAKE)"; }

# check_profiles: every profile that the list of queues names has to be there.
check_profiles() {
    local name intake profile credentials=$WORK_DIR/aws-credentials config=$WORK_DIR/aws-config
    name=$(intake_name)
    intake=$DEST/.config/$name
    [[ -e $intake ]] || intake=$WORK_DIR/config/$name
    [[ -e $intake ]] || die "the list of queues $name isn't in $DEST/.config: expected the file that GLACIER_SYNC_INTAKE names"
    [[ -e $credentials ]] || credentials=$DEST/secrets/aws-credentials config=$DEST/secrets/aws-config
    while IFS= read -r profile; do
        [[ -n $(
            section "$credentials" "$profile"
            section "$config" "profile $profile"
        ) ]] ||
            die "$name names the credentials profile '$profile', which isn't among those given: add it to --aws-profiles, or correct $name"
    done < <(sed -nE "s/^[[:space:]-]*profile:[[:space:]]*['\"]?([^'\"#[:space:]]+).*/\1/p" "$intake" | sort -u)
}
