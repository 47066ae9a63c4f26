# shellcheck shell=bash
# Folders and files of a deployment. Source it after _common.sh and _deploy_settings.sh.
# Every change goes through the functions here, which with --dry-run only tell of it.

# The files that deploy.sh has written, each with its checksum: what differs from that
# was changed by somebody else.
RECORD=.deployed

FOLDERS=(logs dags plugins processing processing/logs data secrets .config)

# changes TEXT: tells of a change; fails if it isn't to be made.
changes() {
    if [[ -n $DRY_RUN ]]; then
        printf 'would %s\n' "$1"
        return 1
    fi
    printf '%s\n' "$1"
}

# own PATH…: gives paths to the user that everything runs as.
own() { ((EUID != 0)) || chown -h -- "$SYNC_UID" "$@"; }

# make_folder PATH [MODE]
make_folder() {
    [[ ! -d $1 ]] || return 0
    changes "make $1" || return 0
    (umask 022 && mkdir -p -- "$(dirname -- "$1")")
    mkdir -m "${2:-0750}" -- "$1"
    own "$1"
}

make_folders() {
    local folder
    make_folder "$DEST"
    for folder in "${FOLDERS[@]}"; do
        if [[ $folder == secrets ]]; then make_folder "$DEST/$folder" 0700; else make_folder "$DEST/$folder"; fi
    done
}

# make_zips_folders: the folders of the second way in, where the settings say.
make_zips_folders() {
    local folder
    folder=$(setting ZIPS_DIR)
    [[ $folder == /* ]] || folder=$DEST/${folder#./}
    make_folder "$folder"
    make_folder "$folder/incoming"
    make_folder "$folder/watched"
    make_folder "$folder/retention"
}

# make_archive_tree: the archive's empty tree, where one was asked for, and in a
# development deployment that keeps its archive inside.
make_archive_tree() {
    local root number
    if [[ -n $INIT_ENV ]]; then
        root=$INIT_ENV
    elif [[ $MODE == dev && $(setting ARCH_ROOT) == ./archive ]]; then
        root=$DEST/archive
    else
        return 0
    fi
    [[ ! -d $root/Archive3/99 ]] || return 0
    changes "make the archive's empty tree in $root" || return 0
    for ((number = 0; number < 100; number++)); do
        printf '%s/Archive%d/%02d\0' "$root" $((number / 25)) "$number"
    done | (umask 022 && xargs -0 mkdir -p --)
    own "$root" "$root"/Archive[0-3] "$root"/Archive[0-3]/[0-9][0-9]
}

# install_file STAGED NAME MODE: replaces DEST/NAME atomically, if it differs.
install_file() {
    local target=$DEST/$2 temporary verb="replace"
    [[ -e $target ]] || verb="make"
    if [[ -f $target ]] && cmp -s -- "$1" "$target"; then
        return 0
    fi
    if ! changes "$verb $target"; then
        [[ $2 == secrets/* || $verb == make ]] || diff -u --label "$2" --label "$2, new" -- "$target" "$1" || true
        return 0
    fi
    # In the target's folder, and under a name that no program takes for its own.
    temporary=$(dirname -- "$target")/.$(basename -- "$target").tmp
    cp -- "$1" "$temporary"
    chmod "$3" -- "$temporary"
    own "$temporary"
    mv -f -- "$temporary" "$target"
}

# install_files: compose file, DAGs and plugins are the product's: a copy that was changed
# is kept aside. Configuration is the site's: one that was changed stays.
install_files() {
    : >"$WORK_DIR/record"
    install_product_file "$SOURCE/bdrc-docker-compose.yml" docker-compose.yaml
    install_tree "$SOURCE/airflow-docker/dags" dags install_product_file
    install_tree "$SOURCE/airflow-docker/plugins" plugins install_product_file
    install_tree "$WORK_DIR/config" .config install_configuration_file
    remove_dropped_files
    LC_ALL=C sort -o "$WORK_DIR/record" -- "$WORK_DIR/record"
    [[ -n $DRY_RUN ]] || install_file "$WORK_DIR/record" "$RECORD" 0600 >/dev/null
}

# install_tree FROM TO FUNCTION: calls FUNCTION with each file and its name in the deployment.
install_tree() {
    local file folder
    local -a files
    [[ -d $1 ]] || return 0
    mapfile -d '' files < <(cd -- "$1" && find . -name __pycache__ -prune -o -name '.?*' -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z)
    for file in "${files[@]}"; do
        folder=$2/$file
        make_parents "${folder%/*}"
        "$3" "$1/$file" "$2/$file"
    done
}

# make_parents NAME: makes a folder in the deployment, and those it is in.
make_parents() {
    [[ ! -d $DEST/$1 ]] || return 0
    [[ $1 != */* ]] || make_parents "${1%/*}"
    [[ -n $DRY_RUN ]] || make_folder "$DEST/$1"
}

install_product_file() {
    local kept
    if was_changed "$2" && ! cmp -s -- "$1" "$DEST/$2"; then
        kept=.replaced/$2.$(printf '%(%Y%m%d-%H%M%S)T' -1)
        warn "$DEST/$2 was changed here: it is replaced, and what it was is kept in $DEST/$kept"
        if [[ -z $DRY_RUN ]]; then
            make_parents "${kept%/*}" >/dev/null
            cp -p -- "$DEST/$2" "$DEST/$kept"
        fi
    fi
    install_file "$1" "$2" 0640
    record "$1" "$2"
}

install_configuration_file() {
    if [[ -e $DEST/$2 ]] && ! cmp -s -- "$1" "$DEST/$2" && { was_changed "$2" || ! is_recorded "$2"; }; then
        warn "$DEST/$2 was changed here and stays as it is; the new one: diff $DEST/$2 $DEST/.config/.new/${2#.config/}"
        make_parents "$(dirname -- ".config/.new/${2#.config/}")"
        install_file "$1" ".config/.new/${2#.config/}" 0640
        # The record keeps the checksum of what was last put there.
        if is_recorded "$2"; then printf '%s  %s\n' "$(recorded_sum "$2")" "$2" >>"$WORK_DIR/record"; fi
        return 0
    fi
    install_file "$1" "$2" 0640
    record "$1" "$2"
}

# record FILE NAME: notes down that this is what deploy.sh puts there.
record() {
    local sum
    sum=$(sha256sum <"$1")
    printf '%s  %s\n' "${sum%% *}" "$2" >>"$WORK_DIR/record"
}

# recorded_sum NAME: prints the checksum of what was last put there, or nothing.
recorded_sum() {
    [[ ! -e $DEST/$RECORD ]] || awk -v name="$1" 'substr($0, 67) == name { print $1 }' "$DEST/$RECORD"
}

is_recorded() { [[ -n $(recorded_sum "$1") ]]; }

# was_changed NAME: it isn't what deploy.sh has put there.
was_changed() {
    local sum recorded
    [[ -f $DEST/$1 ]] || return 1
    recorded=$(recorded_sum "$1")
    sum=$(sha256sum <"$DEST/$1")
    [[ -n $recorded && ${sum%% *} != "$recorded" ]]
}

# remove_dropped_files: DAGs and plugins that the source has no longer.
remove_dropped_files() {
    local name
    local -a names=()
    [[ ! -e $DEST/$RECORD ]] || mapfile -t names < <(cut -c 67- -- "$DEST/$RECORD" | grep -E '^(dags|plugins)/' || true)
    for name in "${names[@]}"; do
        if [[ -e $DEST/$name ]] && ! grep -qxF -- "$name" < <(cut -c 67- -- "$WORK_DIR/record"); then
            if was_changed "$name"; then
                warn "$DEST/$name isn't in the source any longer, but was changed here: it stays"
            elif changes "remove $DEST/$name"; then
                rm -f -- "$DEST/$name"
            fi
        fi
    done
}

# stage_configuration: what .config is to hold. The site's part is what the image was
# built with; the queues are the source's.
stage_configuration() {
    local container name copied=yes
    mkdir -p "$WORK_DIR/config" "$WORK_DIR/image"
    container=$(docker create "$(setting COMPOSE_AIRFLOW_IMAGE)")
    docker cp "$container:/opt/glacier-sync/config/." "$WORK_DIR/image" >/dev/null || copied=
    docker rm "$container" >/dev/null
    [[ -n $copied ]] ||
        die "the image $(setting COMPOSE_AIRFLOW_IMAGE) has no configuration: expected one that bdrc-docker.sh has built; build it anew"
    for name in bdrc site-sync.yml; do
        [[ ! -e $WORK_DIR/image/$name ]] || cp -r -- "$WORK_DIR/image/$name" "$WORK_DIR/config/"
    done
    for name in intake.yml intake-production.yml; do
        cp -- "$SOURCE/config/$name" "$WORK_DIR/config/" ||
            die "$SOURCE/config/$name can't be read: expected the list of queues; correct --source"
    done
}

# existing_parent PATH: prints the nearest folder on its way that exists.
existing_parent() {
    local path=$1
    until [[ -d $path ]]; do path=$(dirname -- "$path"); done
    printf '%s\n' "$path"
}
