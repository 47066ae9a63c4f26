# shellcheck shell=bash
# The virtual environment of the clone: .venv, made from the lock files. Source it
# after _common.sh, with PROJECT_DIR (the clone) set.

# ensure_environment [emulator|test|bench]: makes .venv, or brings it up to date, so that it
# holds requirements.lock and the package itself, for `emulator` also the AWS emulator's
# requirements, for `test` also the tests', for `bench` those of the benchmarks' as well.
# Does nothing if that is so already.
ensure_environment() {
    local -a locks=(requirements.lock)
    case ${1:-} in
        '') ;;
        emulator) locks+=(requirements-emulator.lock) ;;
        test) locks+=(requirements-emulator.lock requirements-test.lock) ;;
        bench) locks+=(requirements-emulator.lock requirements-test.lock requirements-bench.lock) ;;
        *) die "ensure_environment: expected nothing, 'emulator', 'test' or 'bench', found '$1'" 2 ;;
    esac
    VENV_DIR=$PROJECT_DIR/.venv
    ! environment_holds "${locks[@]}" || return 0

    require_python
    require_command flock util-linux
    local lock
    exec {lock}<"$PROJECT_DIR"
    flock -n "$lock" || info "waiting for another script that makes the environment"
    flock "$lock"
    if ! environment_holds "${locks[@]}"; then
        # What was there on top of it before stays, and is brought up to date as well.
        mapfile -t locks < <({ printf '%s\n' "${locks[@]}" && installed_locks; } | awk '!seen[$0]++')
        make_environment "${locks[@]}"
    fi
    exec {lock}>&-
}

# environment_facts LOCK…: prints what the environment is made from, a line each. The
# settings of tools in pyproject.toml are no part of it.
environment_facts() (
    cd "$PROJECT_DIR" || exit
    printf 'clone %s\n' "$PROJECT_DIR"
    printf 'project %s\n' "$(awk '/^\[/ { kept = /^\[(build-system|project|tool\.hatch)/ } kept' pyproject.toml | sha256sum)"
    sha256sum "$@"
)

# environment_holds LOCK…: all of it is installed, here, as these files say.
environment_holds() {
    local stamp=$VENV_DIR/installed
    [[ -r $stamp && -x $VENV_DIR/bin/python ]] || return 1
    ! environment_facts "$@" | grep -vxF -f "$stamp" >/dev/null
}

installed_locks() { sed -n 's/^[0-9a-f]*  \(requirements.*\.lock\)$/\1/p' "$VENV_DIR/installed" 2>/dev/null || true; }

# require_python: ends the script unless python3 (or $PYTHON) can make the environment.
require_python() {
    local python=${PYTHON:-python3} version
    require_command "$python" python3
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
        die "$python doesn't run: set PYTHON to a Python from 3.11 to 3.13"
    case $version in
        3.11 | 3.12 | 3.13) ;;
        *) die "$python is Python $version: expected 3.11, 3.12 or 3.13; set PYTHON to one of these" ;;
    esac
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python can't make virtual environments: expected Debian's package python3-venv; install it with: apt-get install python3-venv"
}

make_environment() {
    local began=$SECONDS lock
    local -a requirements=()
    for lock; do requirements+=(-r "$lock"); done
    info "installing $* into $VENV_DIR: takes about a minute"

    make_virtual_environment
    # Bytecode is compiled below, on all cores.
    in_environment pip install --quiet --no-compile --require-hashes "${requirements[@]}" ||
        die "pip couldn't install $*: its last lines above say why; correct that and run this again"
    in_environment pip install --quiet --no-deps --no-build-isolation --no-index --editable . ||
        die "pip couldn't install this project into $VENV_DIR: its last lines above say why"
    # So is our own, which isn't in there: where Python may write none, each start would compile it.
    in_environment compileall -q -j 0 "$VENV_DIR/lib" "$PROJECT_DIR/airflow-docker/glacier_sync" >/dev/null 2>&1 || true

    environment_facts "$@" >"$VENV_DIR/installed.tmp"
    mv -f "$VENV_DIR/installed.tmp" "$VENV_DIR/installed"
    info "installed $* in $((SECONDS - began)) seconds"
}

# make_virtual_environment: an environment that was made at another place, or whose
# Python is gone, is made anew; one that was interrupted is completed.
make_virtual_environment() {
    local -a options=()
    if [[ -e $VENV_DIR ]] && ! environment_is_of_this_place; then
        info "the environment in $VENV_DIR was made for another place or Python; making it anew"
        options=(--clear)
    fi
    rm -f -- "$VENV_DIR/installed"
    "${PYTHON:-python3}" -m venv "${options[@]}" "$VENV_DIR" ||
        die "python3 -m venv couldn't make $VENV_DIR: its last lines above say why"
}

environment_is_of_this_place() {
    local command
    command=$(grep '^command = ' "$VENV_DIR/pyvenv.cfg" 2>/dev/null) && [[ $command == *" $VENV_DIR" ]] &&
        "$VENV_DIR/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

in_environment() (
    cd "$PROJECT_DIR" && exec "$VENV_DIR/bin/python" -m "$@"
)
