#!/usr/bin/env bats
# backup.sh and restore.sh, as far as they go without a Docker engine.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # support/deployment.bash and bats set variables

bats_require_minimum_version 1.5.0

setup() {
    load support/deployment
    set_up_deployment
}

@test "backup.sh and restore.sh: wrong use changes nothing" {
    for script in backup restore; do
        run "$project/bin/$script.sh" --help
        [ "$status" -eq 0 ]
        run "$project/bin/$script.sh" -d "$dest"
        [ "$status" -eq 2 ]
        [[ $output == *"expected one"* ]]
    done
    run "$project/bin/backup.sh" -d "$HOME" "$HOME/backup.tar"
    [ "$status" -eq 2 ]
    [[ $output == *"is no deployment"* ]]
    run "$project/bin/restore.sh" -d "$dest" "$HOME/none.tar"
    [ "$status" -eq 2 ]
    echo nonsense >"$HOME/bad.tar"
    run "$project/bin/restore.sh" -d "$dest" "$HOME/bad.tar"
    [ "$status" -eq 2 ]
    [[ $output == *"is no backup"* ]]
    [ ! -e "$dest" ]
}
