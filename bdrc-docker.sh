#!/usr/bin/env bash
# Builds the appliance's images.
set -Eeuo pipefail

PROJECT_DIR=$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")
readonly PROJECT_DIR
# shellcheck source-path=SCRIPTDIR source=bin/_common.sh
source "$PROJECT_DIR/bin/_common.sh"
# shellcheck source-path=SCRIPTDIR source=bin/_build.sh
source "$PROJECT_DIR/bin/_build.sh"
# shellcheck source-path=SCRIPTDIR source=bin/_build_requirements.sh
source "$PROJECT_DIR/bin/_build_requirements.sh"

usage() {
    cat <<'END'
Usage: ./bdrc-docker.sh [OPTION…] [-- ARGUMENTS OF docker compose build]

Puts everything that the appliance's images are built from into a build directory, and
builds them: bdrc-airflow, and bdrc-airflow-emulator for development without AWS. After
`--` options and services of `docker compose build` can follow: `-- bdrc-airflow` builds
that image alone, `-- --no-cache` builds anew.

An option goes before its environment variable, in brackets here, and that before the default.

  -r, --rebuild              empty the build directory first [BDRC_REBUILD=yes]
  -m, --requirements FILE    requirements of the site's DAGs; they are merged with ours,
                             resolved and locked [BDRC_REQUIREMENTS]
  -d, --build_dir DIR        the build directory [COMPOSE_BUILD_DIR];
                             default: ~/tmp/compose-build
  -c, --config_dir DIR       the site's configuration; of it, bdrc/auditTool/ and
                             bdrc/site-sync.yml go into the image [BDRC_CONFIG_DIR]
      --sync-scripts DIR     the site's sync scripts instead of ours: a syncOneWork.sh,
                             and maybe a requirements.txt [BDRC_SYNC_SCRIPTS]
      --audit-tool-deb FILE|URL
                             the site's audit tool instead of ours [BDRC_AUDIT_TOOL_DEB]
      --audit-tool-sha256 HEX
                             that package's checksum [BDRC_AUDIT_TOOL_SHA256]
      --ca-bundle FILE       certificates that a proxy or package index needs, PEM
                             [COMPOSE_CA_BUNDLE]; default: what pip is set to here
  -h, --help                 this text

Also read: BASE_IMAGE (default debian:trixie-slim), COMPOSE_AIRFLOW_IMAGE (the image's
name), and COMPOSE_PIP_CONF (a pip.conf; default: pip's settings here). The build reads
pip's settings and the certificates as secrets: no image holds them.

Exit status: 0 built; 1 something failed; 2 wrong use, nothing was done; 127 a command is missing.
END
}

wrong_use() { die "$1; bdrc-docker.sh -h explains" 2; }

main() {
    strict_mode
    read_command_line "$@"

    # Nothing is changed up to the last check.
    check_build_directory
    check_sync_scripts
    check_configuration
    check_file -m "$REQUIREMENTS"
    check_audit_tool
    check_ca_bundle
    check_docker

    take_build_directory
    copy_dockerfile
    copy_library
    copy_sync_scripts
    copy_configuration
    make_secrets
    copy_audit_tool
    assemble_requirements
    build_images
}

read_command_line() {
    local options
    require_command getopt util-linux
    options=$(getopt --name bdrc-docker.sh --options hrm:d:c: \
        --longoptions help,rebuild,requirements:,build_dir:,build-dir:,config_dir:,config-dir: \
        --longoptions sync-scripts:,audit-tool-deb:,audit-tool-sha256:,ca-bundle: \
        -- "$@") || wrong_use 'the options were not understood: see above'
    eval set -- "$options"

    REBUILD=${BDRC_REBUILD:-}
    REQUIREMENTS=${BDRC_REQUIREMENTS:-}
    BUILD_DIR=${COMPOSE_BUILD_DIR:-$HOME/tmp/compose-build}
    CONFIG_DIR=${BDRC_CONFIG_DIR:-}
    SYNC_SCRIPTS=${BDRC_SYNC_SCRIPTS:-}
    AUDIT_TOOL_DEB=${BDRC_AUDIT_TOOL_DEB:-}
    AUDIT_TOOL_SHA256=${BDRC_AUDIT_TOOL_SHA256:-}
    CA_BUNDLE=${COMPOSE_CA_BUNDLE:-}
    PIP_CONF=${COMPOSE_PIP_CONF:-}
    BASE_IMAGE=${BASE_IMAGE:-debian:trixie-slim}
    while [[ $1 != -- ]]; do
        case $1 in
            -h | --help) usage && exit 0 ;;
            -r | --rebuild) REBUILD=yes && shift && continue ;;
        esac
        [[ -n $2 ]] || wrong_use "$1 has an empty value"
        case $1 in
            -m | --requirements) REQUIREMENTS=$2 ;;
            -d | --build_dir | --build-dir) BUILD_DIR=$2 ;;
            -c | --config_dir | --config-dir) CONFIG_DIR=$2 ;;
            --sync-scripts) SYNC_SCRIPTS=$2 ;;
            --audit-tool-deb) AUDIT_TOOL_DEB=$2 ;;
            --audit-tool-sha256) AUDIT_TOOL_SHA256=$2 ;;
            --ca-bundle) CA_BUNDLE=$2 ;;
        esac
        shift 2
    done
    shift
    BUILD_ARGUMENTS=("$@")
    BUILD_DIR=$(realpath -m -- "$BUILD_DIR")
}

# build_images: what bdrc-docker-compose.yml reads is exported; a .env has no say.
build_images() {
    export BASE_IMAGE COMPOSE_AIRFLOW_IMAGE=${COMPOSE_AIRFLOW_IMAGE:-bdrc-airflow}
    export COMPOSE_BUILD_DIR=$BUILD_DIR COMPOSE_BDRC_DOCKERFILE=Dockerfile-bdrc
    export COMPOSE_PY_REQS=requirements.lock BIN=bin AUDIT_HOME=audit BUILD_CONFIG_ROOT=.config
    VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$PROJECT_DIR/airflow-docker/glacier_sync/__init__.py")
    REVISION=$(revision)
    export VERSION REVISION

    info "building $COMPOSE_AIRFLOW_IMAGE $VERSION ($REVISION) from $BUILD_DIR"
    docker compose --file "$PROJECT_DIR/bdrc-docker-compose.yml" --project-directory "$BUILD_DIR" \
        --profile build build "${BUILD_ARGUMENTS[@]}" ||
        die "the build failed: Docker's last lines above say why"
    info "built $COMPOSE_AIRFLOW_IMAGE $VERSION; deploy.sh lays out a deployment of it"
}

# revision: prints the commit that the clone is at, and whether it was changed since.
revision() {
    local commit
    commit=$(git -C "$PROJECT_DIR" rev-parse HEAD 2>/dev/null) || {
        echo unknown
        return
    }
    [[ -z $(git -C "$PROJECT_DIR" --no-optional-locks status --porcelain 2>/dev/null) ]] || commit+=-modified
    echo "$commit"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
