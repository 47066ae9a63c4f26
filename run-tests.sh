#!/usr/bin/env bash
# All checks and tests: lint, types, rooms, shell and Python. Installs what it needs.
PROJECT_DIR=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=bin/_common.sh
source "$PROJECT_DIR/bin/_common.sh"
# shellcheck source=bin/_environment.sh
source "$PROJECT_DIR/bin/_environment.sh"

usage() {
    cat <<'END'
Usage: ./run-tests.sh [ARGUMENT…]            all checks and tests; the arguments go to pytest
       ./run-tests.sh --faults [ARGUMENT…]   the tests of faults alone, or those of a PATH
                                             among the arguments; the long ones too
       ./run-tests.sh --bench [ARGUMENT…]    the benchmarks; --bench --help tells more
       ./run-tests.sh lock                   makes the lock files anew from requirements*.txt

All of it runs even if something fails. Exit status: 0 if all passed, 1 if not.
As root it installs the Debian packages that are needed; else it says what is missing.
END
}

# Python without a suffix, which ruff doesn't find by itself.
PYTHON_SCRIPTS=(bin/init-appliance bin/check-service)

# A command that a test needs, its Debian package, and what is skipped without it.
NEEDED_COMMANDS=(
    'bats       bats        the tests of the shell scripts'
    'postgres   postgresql  the tests of the ledger on PostgreSQL'
    'rsync      rsync       the tests of syncing into the archive'
    'rclone     rclone      the tests of syncing web images'
    'zip        zip         the tests of the zips that it writes'
    'debootstrap debootstrap the tests of the appliance, where no image can be pulled'
)

# The same for what Glacier Sync is measured beside.
BENCH_COMMANDS=(
    'rclone     rclone      its downloads'
    'rsync      rsync       its copies'
    '7zz        7zip        its unpacking'
    'eatmydata  eatmydata   our own times without flushing to the disk'
    'exiftool   libimage-exiftool-perl its reading of images'
)

main() {
    strict_mode
    cd "$PROJECT_DIR"
    case ${1:-} in
        -h | --help) usage ;;
        lock)
            enter_environment test
            make_locks
            ;;
        --bench)
            enter_environment bench
            ensure_debian_packages "${BENCH_COMMANDS[@]}"
            python -m tests.bench "${@:2}"
            ;;
        --faults)
            enter_environment test
            ensure_debian_packages "${NEEDED_COMMANDS[@]}"
            # Without a path pytest takes what it has as testpaths.
            pytest -o testpaths=tests/faults "$@"
            ;;
        *)
            enter_environment test
            ensure_debian_packages "${NEEDED_COMMANDS[@]}"
            run_all "$@"
            show_summary
            ;;
    esac
}

enter_environment() {
    ensure_environment "$1"
    export PATH=$PROJECT_DIR/.venv/bin:$PATH
}

run_all() {
    OUTPUT_DIR=$(mktemp -d)
    trap 'rm -rf -- "$OUTPUT_DIR"' EXIT
    NAMES=() OUTCOMES=() TIMES=()
    local -a scripts
    mapfile -d '' -t scripts < <(shell_scripts)

    step "ruff check" ruff check . "${PYTHON_SCRIPTS[@]}"
    step "ruff format" ruff format --check . "${PYTHON_SCRIPTS[@]}"
    step "mypy" mypy
    step "rooms" lint-imports
    step "shellcheck" shellcheck --external-sources "${scripts[@]}"
    step "shfmt" shfmt -i 4 -ci -d "${scripts[@]}"
    if has bats; then
        # Some tests wait for processes without an end of their own.
        export BATS_TEST_TIMEOUT=600
        step "bats" bats tests/shell
    elif [[ -n ${CI:-} ]]; then
        # There nobody would notice that they never run.
        note "bats" FAILED 0
    else
        note "bats" skipped 0
    fi
    # Two processes, since one often waits; the longest of the tests come first. -n 0 is one.
    step "pytest" pytest -n 2 --no-loadscope-reorder --dist loadfile "$@"
}

# shell_scripts: prints the paths of our scripts, each ended by a zero byte.
shell_scripts() {
    find . \( -path ./.git -o -path ./.venv \) -prune -o \
        -type f \( -name '*.sh' -o -name '*.bats' -o -path ./.ci/run -o -path ./bin/housekeeping \) -print0
}

# step NAME COMMAND…: runs it, shows its output, and notes how it ended.
step() {
    local name=$1 began=$SECONDS outcome=passed
    shift
    printf '\n== %s: %s\n' "$name" "${*:1:3}"
    "$@" 2>&1 | tee "$OUTPUT_DIR/$name" || outcome=FAILED
    note "$name" "$outcome" "$((SECONDS - began))"
}

note() {
    NAMES+=("$1") OUTCOMES+=("$2") TIMES+=("$3")
}

# show_summary: a line for each step with the last thing it said; fails if one failed.
show_summary() {
    local index last
    printf '\n== summary\n'
    for index in "${!NAMES[@]}"; do
        last=$(grep -v '^[[:space:]]*$' "$OUTPUT_DIR/${NAMES[index]}" 2>/dev/null | tail -n 1 || true)
        printf '%-12s %-8s %4d s  %.100s\n' "${NAMES[index]}" "${OUTCOMES[index]}" "${TIMES[index]}" "$last"
    done
    sed -n 's/^not ok/bats: not ok/p' "$OUTPUT_DIR/bats" 2>/dev/null || true
    [[ " ${OUTCOMES[*]} " != *' FAILED '* ]] || exit 1
}

# has COMMAND: Debian keeps PostgreSQL's server off PATH.
has() {
    command -v -- "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

# ensure_debian_packages 'COMMAND PACKAGE PURPOSE'…: what is missing is installed, or named.
ensure_debian_packages() {
    local needed name package purpose
    local -a missing=()
    for needed; do
        read -r name package purpose <<<"$needed"
        if has "$name"; then continue; fi
        if ((EUID == 0)) && command -v apt-get >/dev/null; then
            missing+=("$package")
        else
            warn "the command '$name' is missing, so $purpose are skipped: install it with: apt-get install $package"
        fi
    done
    ((${#missing[@]})) || return 0
    info "installing Debian packages: ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "${missing[@]}"; } >/dev/null ||
        warn "apt-get couldn't install ${missing[*]}: what needs them is skipped"
}

# make_locks: each lock keeps to the versions of the ones before it.
make_locks() {
    compile_lock requirements
    compile_lock requirements-emulator -c requirements.lock
    compile_lock requirements-test -c requirements.lock -c requirements-emulator.lock
    compile_lock requirements-bench -c requirements.lock -c requirements-test.lock
}

compile_lock() {
    info "making $1.lock"
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header \
        "$1.txt" "${@:2}" --output-file "$1.lock"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
