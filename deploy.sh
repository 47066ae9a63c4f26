#!/usr/bin/env bash
# Lays out a deployment of the appliance, or updates one.
PROJECT_DIR=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
for library in common deploy_options deploy_settings deploy_files deploy_secrets deploy_aws deploy_checks; do
    # shellcheck source=/dev/null
    source "$PROJECT_DIR/bin/_$library.sh"
done

main() {
    strict_mode
    umask 077
    WORK_DIR=$(mktemp -d)
    trap 'rm -rf -- "$WORK_DIR"' EXIT
    parse_arguments "$@"

    # No impact yet: everything is read, decided and checked.
    find_deployment
    decide_settings
    check_requirements
    stage_configuration
    stage_aws_credentials
    check_profiles

    # From here on the deployment changes.
    make_folders
    make_zips_folders
    make_archive_tree
    write_secrets
    install_files
    write_settings
    show_next_steps
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    main "$@"
fi
