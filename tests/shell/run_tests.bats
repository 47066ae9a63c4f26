#!/usr/bin/env bats
# run-tests.sh: what its options run.
# shellcheck disable=SC2329 # run-tests.sh calls what setup puts in the place of its functions

setup() {
    # shellcheck source=run-tests.sh
    source "$BATS_TEST_DIRNAME/../../run-tests.sh"
    ensure_environment() { echo "environment $*"; }
    ensure_debian_packages() { printf 'command %s\n' "${@%% *}"; }
    step() { echo "step ${*:2}"; }
    show_summary() { echo summary; }
    pytest() { echo "pytest <$(printf '%s|' "$@")>"; }
    python() { echo "python $*"; }
    make_locks() { echo locks; }
}

@test "without an option everything runs, with the arguments for pytest" {
    run main -k ledger
    [ "$status" -eq 0 ]
    [[ $output == *"environment test"* ]]
    [[ $output == *"command bats"* ]]
    [[ $output == *"step mypy"* ]]
    [[ $output == *"step pytest -n 2 --no-loadscope-reorder --dist loadfile -k ledger"* ]]
    [[ $output == *summary ]]
}

@test "without bats the tests of the scripts are skipped, and failed in CI" {
    has() { [ "$1" != bats ]; }
    note() { echo "note $*"; }
    CI='' run main
    [[ $output == *"note bats skipped 0"* ]]
    CI=true run main
    [[ $output == *"note bats FAILED 0"* ]]
}

@test "--faults runs the tests of faults alone, the long ones too" {
    run main --faults -x
    [ "$status" -eq 0 ]
    [[ $output == *"environment test"* ]]
    [[ $output == *"pytest <-o|testpaths=tests/faults|--faults|-x|>" ]]
    [[ $output != *step* ]]
}

@test "--faults with a path runs that path alone" {
    run main --faults tests/faults/test_kinds.py
    [ "$status" -eq 0 ]
    [[ $output == *"pytest <-o|testpaths=tests/faults|--faults|tests/faults/test_kinds.py|>" ]]
}

@test "--bench runs the benchmarks with their own requirements and programs" {
    run main --bench --quick start
    [ "$status" -eq 0 ]
    [[ $output == *"environment bench"* ]]
    [[ $output == *"command 7zz"* ]]
    [[ $output == *"python -m tests.bench --quick start" ]]
    [[ $output != *step* ]]
}

@test "lock makes the locks and runs nothing else" {
    run main lock
    [ "$status" -eq 0 ]
    [[ $output == *locks ]]
    [[ $output != *step* ]]
}

@test "the usage tells every option" {
    run main --help
    [ "$status" -eq 0 ]
    for word in --faults --bench lock; do
        [[ $output == *"./run-tests.sh $word"* ]]
    done
    [[ $output != *environment* ]]
}
