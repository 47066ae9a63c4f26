# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # the tests use what is set here, and bats sets status and output
# For tests of deployments without a Docker engine: `docker` is a stub that answers what a
# test sets out. A test file loads this, and calls set_up_deployment in its setup.
load support/ports

set_up_deployment() {
    project=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    dest=$BATS_TEST_TMPDIR/deployment
    stub=$BATS_TEST_TMPDIR/stub
    export STUB=$stub HOME=$BATS_TEST_TMPDIR/home
    mkdir -p "$stub/image/bdrc/auditTool" "$BATS_TEST_TMPDIR/bin" "$HOME"
    unset "${!DEPLOY_@}" "${!COMPOSE_@}" AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE SUDO_UID
    echo 28.0.0 >"$stub/engine"
    echo 2.30.0 >"$stub/compose"
    printf 'bdrc-airflow\nbdrc-airflow-emulator\n' >"$stub/images"
    echo 'audit: {pre: []}' >"$stub/image/bdrc/site-sync.yml"
    echo 'MaximumImageFileSize=1K' >"$stub/image/bdrc/auditTool/user.properties"
    stub_command docker <<'END'
case "$*" in
    version*) [[ -s $STUB/engine ]] && cat "$STUB/engine" || { echo "cannot connect" >&2; exit 1; } ;;
    'compose version'*) [[ -s $STUB/compose ]] && cat "$STUB/compose" ;;
    'image inspect '*) grep -qxF -- "$3" "$STUB/images" ;;
    'ps -a '*) cat "$STUB/others" 2>/dev/null ;;
    'ps -q '*) cat "$STUB/own" 2>/dev/null ;;
    'volume inspect '*) [[ -e $STUB/volume ]] ;;
    'create '*) echo c0ffee ;;
    'cp '*) cp -r "$STUB/image/." "$3" ;;
    'rm '*) echo "$2" >>"$STUB/removed" ;;
    *) echo "unexpected: docker $*" >&2; exit 9 ;;
esac
END
    # deploy.sh really looks whether anything answers there.
    { read -r web_port && read -r other_port; } < <(free_ports 2)
    options=(-d "$dest" --port "$web_port")
}

# stub_command NAME: makes a command of standard input, on PATH.
stub_command() {
    {
        echo '#!/usr/bin/env bash'
        cat
    } >"$BATS_TEST_TMPDIR/bin/$1"
    chmod +x "$BATS_TEST_TMPDIR/bin/$1"
    PATH=$BATS_TEST_TMPDIR/bin:${PATH#"$BATS_TEST_TMPDIR/bin:"}
}

deploy() { "$project/deploy.sh" "$@"; }

user_id() { if ((EUID == 0)); then echo 1001; else echo "$EUID"; fi; }

# snapshot: what there is in the deployment, with content, modes and times.
snapshot() { (cd "$dest" && find . -printf '%P %m %U %T@\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

# fails STATUS TEXT ARGUMENT…: deploy.sh ends so, says so, and has changed nothing.
fails() {
    local status_expected=$1 text=$2 before=none after=none
    shift 2
    if [[ -d $dest ]]; then before=$(snapshot); fi
    run deploy "$@"
    if [[ -d $dest ]]; then after=$(snapshot); fi
    [ "$status" -eq "$status_expected" ] || {
        echo "status $status: $output"
        return 1
    }
    [[ $output == *"$text"* ]] || {
        echo "$output"
        return 1
    }
    [ "$before" = "$after" ]
}
