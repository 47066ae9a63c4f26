#!/usr/bin/env bats
# sbom.sh: what it refuses. What it prints of a real image is tested with the image.

setup() {
    project=$(realpath "$BATS_TEST_DIRNAME/../..")
    mkdir "$BATS_TEST_TMPDIR/commands"
    printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/commands/docker"
    chmod +x "$BATS_TEST_TMPDIR/commands/docker"
    PATH=$BATS_TEST_TMPDIR/commands:$PATH
}

@test "-h explains" {
    run "$project/bin/sbom.sh" -h
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "Usage: sbom.sh [-h] [IMAGE]" ]]
}

@test "what is no image's name is wrong use" {
    run "$project/bin/sbom.sh" --nothing
    [ "$status" -eq 2 ]
    [[ $output == *"--nothing isn't an option: expected the name of an image"* ]]
    run "$project/bin/sbom.sh" one two
    [ "$status" -eq 2 ]
    [[ $output == *"expected the name of one image, found 2"* ]]
}

@test "an image that isn't there is told, and how it's made" {
    run "$project/bin/sbom.sh" gone
    [ "$status" -eq 1 ]
    [[ $output == *"the engine has no image gone: build it with bdrc-docker.sh, or name another"* ]]
    COMPOSE_AIRFLOW_IMAGE=of-the-site run "$project/bin/sbom.sh"
    [[ $output == *"the engine has no image of-the-site:"* ]]
}

@test "an environment that isn't ours is no image of Glacier Sync" {
    run /usr/bin/python3 -S "$project/bin/_sbom.py"
    [ "$status" -eq 1 ]
    [[ $output == *"has no glacier-sync: expected an image of Glacier Sync; name that one" ]]
}
