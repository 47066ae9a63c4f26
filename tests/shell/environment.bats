#!/usr/bin/env bats
# bin/_environment.sh: when the virtual environment is made, completed, or left as it is.
# shellcheck disable=SC2016 # texts of scripts expand when they run

bats_require_minimum_version 1.5.0

setup() {
    CLONE=$BATS_TEST_TMPDIR/clone
    mkdir -p "$CLONE"
    for file in pyproject.toml requirements.lock requirements-emulator.lock requirements-test.lock; do
        echo "# $file" >"$CLONE/$file"
    done
    # pip is what takes the time in making an environment, and isn't called here.
    export PYTHON=$BATS_TEST_TMPDIR/python3
    printf '#!/bin/sh\n[ "$2" != venv ] || set -- "$@" --without-pip\nexec python3 "$@"\n' >"$PYTHON"
    chmod +x "$PYTHON"
}

# in_clone TEXT: runs it with the library; what pip and others would do in the
# environment is noted in the file `calls` instead.
in_clone() {
    cat >"$BATS_TEST_TMPDIR/script.sh" <<END
source "$BATS_TEST_DIRNAME/../../bin/_common.sh"
source "$BATS_TEST_DIRNAME/../../bin/_environment.sh"
PROJECT_DIR=$CLONE
strict_mode
in_environment() { echo "\$*" >>"$CLONE/calls"; }
$1
END
    bash "$BATS_TEST_TMPDIR/script.sh"
}

@test "the environment is made from the lock file, and then left as it is" {
    run in_clone ensure_environment
    [ "$status" -eq 0 ]
    [ -x "$CLONE/.venv/bin/python" ]
    grep -q -- '--require-hashes -r requirements.lock$' "$CLONE/calls"
    grep -q -- '--editable .$' "$CLONE/calls"
    rm "$CLONE/calls"
    run in_clone ensure_environment
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ ! -e "$CLONE/calls" ]
}

@test "the emulator's and the tests' requirements come on top, and contain what is below" {
    run in_clone ensure_environment
    run in_clone 'ensure_environment emulator'
    grep -q -- '-r requirements.lock -r requirements-emulator.lock$' "$CLONE/calls"
    run in_clone 'ensure_environment test'
    grep -q -- '-r requirements.lock -r requirements-emulator.lock -r requirements-test.lock$' "$CLONE/calls"
    rm "$CLONE/calls"
    run in_clone 'ensure_environment; ensure_environment emulator; ensure_environment test'
    [ "$status" -eq 0 ]
    [ ! -e "$CLONE/calls" ]
    run in_clone 'ensure_environment tests'
    [ "$status" -eq 2 ]
}

@test "an installation that failed or was interrupted is completed the next time" {
    run in_clone 'in_environment() { [[ $1 != pip ]]; }; ensure_environment'
    [ "$status" -eq 1 ]
    [[ $output == *"pip couldn't install requirements.lock"* ]]
    run in_clone 'in_environment() { kill -KILL $$; }; ensure_environment'
    [ "$status" -ne 0 ]
    run in_clone ensure_environment
    [ "$status" -eq 0 ]
    [ -s "$CLONE/calls" ]
}

@test "a lock file that has changed is installed" {
    run in_clone ensure_environment
    rm "$CLONE/calls"
    echo "# changed" >>"$CLONE/requirements.lock"
    run in_clone ensure_environment
    [ "$status" -eq 0 ]
    [ -s "$CLONE/calls" ]
}

@test "what was installed on top of a lock file that has changed is kept up with it" {
    run in_clone 'ensure_environment emulator'
    rm "$CLONE/calls"
    echo "# changed" >>"$CLONE/requirements.lock"
    run in_clone ensure_environment
    grep -q -- '-r requirements.lock -r requirements-emulator.lock$' "$CLONE/calls"
}

@test "of pyproject.toml the package counts, not the settings of tools" {
    printf '[project]\nname = "one"\n[tool.ruff]\nline-length = 100\n' >"$CLONE/pyproject.toml"
    run in_clone ensure_environment
    rm "$CLONE/calls"
    sed -i 's/100/120/' "$CLONE/pyproject.toml"
    run in_clone ensure_environment
    [ ! -e "$CLONE/calls" ]
    sed -i 's/one/two/' "$CLONE/pyproject.toml"
    run in_clone ensure_environment
    [ -s "$CLONE/calls" ]
}

@test "the environment of a clone that was moved is made anew" {
    run in_clone ensure_environment
    touch "$CLONE/.venv/of-the-old-place"
    mv "$CLONE" "$CLONE-moved"
    CLONE=$CLONE-moved run in_clone ensure_environment
    [ "$status" -eq 0 ]
    [[ $output == *"was made for another place"* ]]
    [ -x "$CLONE-moved/.venv/bin/python" ]
    [ ! -e "$CLONE-moved/.venv/of-the-old-place" ]
}

@test "a Python that is missing, too old, or can't make environments is one clear line" {
    PYTHON=$BATS_TEST_TMPDIR/python run -127 in_clone ensure_environment
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"apt-get install python3" ]]

    printf '#!/bin/sh\necho 3.9\n' >"$BATS_TEST_TMPDIR/python"
    chmod +x "$BATS_TEST_TMPDIR/python"
    PYTHON=$BATS_TEST_TMPDIR/python run in_clone ensure_environment
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"is Python 3.9: expected 3.11, 3.12 or 3.13; set PYTHON to one of these" ]]

    printf '#!/bin/sh\ncase $2 in *ensurepip*) exit 1 ;; esac\necho 3.11\n' >"$BATS_TEST_TMPDIR/python"
    PYTHON=$BATS_TEST_TMPDIR/python run in_clone ensure_environment
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"install it with: apt-get install python3-venv" ]]
    [ ! -e "$CLONE/.venv" ]
}
