#!/usr/bin/env bats
# The shell library: messages, requirements, strict mode.

bats_require_minimum_version 1.5.0

setup() {
    library=$BATS_TEST_DIRNAME/../../bin/_common.sh
    script=$BATS_TEST_TMPDIR/some-script.sh
    printf '#!/usr/bin/env bash\nsource %q\n' "$library" >"$script"
    chmod +x "$script"
}

@test "sourcing the library changes no option, trap or output" {
    cat >>"$script" <<'END'
[[ $- != *e* && $- != *u* && -z $(trap) ]] && echo unchanged
END
    run env --default-signal "$script"
    [ "$status" -eq 0 ]
    [ "$output" = unchanged ]
}

@test "messages name level and script, and leave standard output free" {
    cat >>"$script" <<'END'
info one two
warn three
END
    run --separate-stderr "$script"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [[ ${stderr_lines[0]} =~ ^[0-9-]{10}\ [0-9:]{8}\ INFO\ some-script.sh:\ one\ two$ ]]
    [[ ${stderr_lines[1]} == *" WARNING some-script.sh: three" ]]
}

@test "die ends the script with the status it is given, else 1" {
    echo 'die "found X, expected Y: do Z" "$@"' >>"$script"
    run "$script"
    [ "$status" -eq 1 ]
    [[ $output == *" ERROR some-script.sh: found X, expected Y: do Z" ]]
    run "$script" 75
    [ "$status" -eq 75 ]
}

@test "a required command that is missing is named with its package" {
    cat >>"$script" <<'END'
require_command bash bash
require_command no-such-command some-package
echo unreachable
END
    run -127 "$script"
    [[ $output == *"'no-such-command' isn't on PATH"*"apt-get install some-package" ]]
}

@test "in strict mode a failing command ends the script, with its file, line and text" {
    cat >>"$script" <<'END'
strict_mode
inner() { cat /no/such/file; }
inner
echo unreachable
END
    run --separate-stderr "$script"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"$script, line 4: the command failed with exit status 1: cat /no/such/file"* ]]
}

@test "in strict mode an unset variable and a failure inside a pipe end the script" {
    cat >>"$script" <<'END'
strict_mode
echo "$no_such_variable"
echo unreachable
END
    run --separate-stderr "$script"
    [ "$status" -ne 0 ]
    [ -z "$output" ]
    printf 'source %q\nstrict_mode\nfalse | cat\necho unreachable\n' "$library" >"$script"
    run --separate-stderr bash "$script"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
}
