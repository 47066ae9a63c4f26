#!/usr/bin/env bash
# Prints what an image of the appliance is made of.
set -Eeuo pipefail

# shellcheck source-path=SCRIPTDIR source=_common.sh
source "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")/_common.sh"

usage() {
    cat <<'END'
Usage: sbom.sh [-h] [IMAGE]

Prints a software bill of materials (CycloneDX 1.6, JSON) of an image that bdrc-docker.sh
has built: its Python and Debian packages with their versions. IMAGE is bdrc-airflow
unless it's given, or set as COMPOSE_AIRFLOW_IMAGE. The image runs for that, without network.

Exit status: 0 printed; 1 the image can't be run; 2 wrong use; 127 a command is missing.
END
}

main() {
    local image=${1:-${COMPOSE_AIRFLOW_IMAGE:-bdrc-airflow}}
    strict_mode
    case $image in
        -h | --help) usage && exit 0 ;;
        -*) die "$image isn't an option: expected the name of an image; sbom.sh -h explains" 2 ;;
    esac
    (($# < 2)) || die "expected the name of one image, found $#; sbom.sh -h explains" 2
    require_command docker docker.io
    docker image inspect "$image" >/dev/null 2>&1 ||
        die "the engine has no image $image: build it with bdrc-docker.sh, or name another"
    docker run --rm --interactive --network none --read-only "$image" python - \
        <"$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")/_sbom.py" || die "the image $image can't tell: see above"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
