# shellcheck shell=bash
# The image's requirements: ours, merged with the DAGs' and the sync scripts' own. Source
# it after _build.sh.

# assemble_requirements: puts requirements.lock and requirements-emulator.lock into the
# build directory. Without requirements of the site's they are ours, as they are.
assemble_requirements() {
    local -a site=()
    local inputs
    [[ -z $REQUIREMENTS ]] || site+=("$REQUIREMENTS")
    [[ -z $SYNC_SCRIPTS || ! -f $SYNC_SCRIPTS/requirements.txt ]] || site+=("$SYNC_SCRIPTS/requirements.txt")
    if ((${#site[@]} == 0)); then
        cp -- "$PROJECT_DIR/requirements.lock" "$PROJECT_DIR/requirements-emulator.lock" "$BUILD_DIR/"
        rm -rf -- "$BUILD_DIR/requirements" "$BUILD_DIR/requirements.inputs"
        return 0
    fi

    gather_requirements "${site[@]}"
    inputs=$(cd -- "$BUILD_DIR/requirements" && printf '%s\n' "$BASE_IMAGE" && sha256sum -- *)
    if [[ $inputs == "$(cat "$BUILD_DIR/requirements.inputs" 2>/dev/null)" ]]; then
        info "the requirements are those of the last build: taking its lock"
        return 0
    fi
    rm -f -- "$BUILD_DIR/requirements.inputs"
    lock_requirements
    printf '%s\n' "$inputs" >"$BUILD_DIR/requirements.inputs"
}

# gather_requirements FILE…: everything that the lock is made from.
gather_requirements() {
    local file number=0 folder=$BUILD_DIR/requirements
    replace_folder requirements
    cp -- "$PROJECT_DIR"/requirements{,-emulator}.{txt,lock} "$PROJECT_DIR/bin/_lock_requirements.py" "$folder/"
    # The resolver's own version is locked with the tests' requirements.
    awk '/^[^ #]/ { wanted = /^uv==/ } wanted && !/#/' "$PROJECT_DIR/requirements-test.lock" >"$folder/uv.txt"
    printf 'requirements.txt\trequirements.txt\n' >"$folder/sources"
    for file; do
        number=$((number + 1))
        cp -- "$file" "$folder/site-$number.txt"
        printf 'site-%s.txt\t%s\n' "$number" "$file" >>"$folder/sources"
    done
    chmod -R u=rwX,go=rX -- "$folder"
}

# lock_requirements: resolves them for the image's Python, in a build that makes no image.
lock_requirements() {
    local locked=$BUILD_DIR/locked
    info "locking the requirements of $(cut -f 2 "$BUILD_DIR/requirements/sources" | paste -sd ' ')"
    rm -rf -- "$locked"
    docker buildx build --file "$BUILD_DIR/Dockerfile-bdrc" --target locked \
        --build-arg "BASE_IMAGE=$BASE_IMAGE" \
        --secret "id=pip_conf,src=$COMPOSE_PIP_CONF" --secret "id=ca_bundle,src=$COMPOSE_CA_BUNDLE" \
        --output "type=local,dest=$locked" "$BUILD_DIR" ||
        die "the requirements couldn't be locked: Docker's last lines above say why"
    [[ ! -e $locked/problem ]] || die "$(<"$locked/problem")"
    mv -f -- "$locked"/requirements{,-emulator}.lock "$BUILD_DIR/"
    rmdir -- "$locked"
}
