# Shared by the scripts of Cluster/, Chaos/ and Tests/: places, ports, the build. Sourced, not run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLUSTER_DIR=${WARREN_CLUSTER_DIR:-$ROOT/.cluster}
PORT_OFFSET=${WARREN_PORT_OFFSET:-0}

die() { echo "${0##*/}: $*" >&2; exit 1; }
[[ $PORT_OFFSET =~ ^(0|[1-9][0-9]{0,4})$ && $PORT_OFFSET -le 30000 ]] || die "WARREN_PORT_OFFSET takes a number up to 30000"

# help_if_asked "$@": prints the comment block at the top of the calling script.
help_if_asked() {
    local argument
    for argument in "$@"; do
        case $argument in
        -h | --help)
            sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
            exit 0
            ;;
        esac
    done
}

amqp_port() { echo $((5671 + $1 + PORT_OFFSET)); }
http_port() { echo $((15671 + $1 + PORT_OFFSET)); }
peer_port() { echo $((25671 + $1 + PORT_OFFSET)); }
node_dir() { echo "$CLUSTER_DIR/node-$1"; }

# The numbers of the nodes that this cluster has, one per line.
cluster_nodes() {
    local dir
    for dir in "$CLUSTER_DIR"/node-*/; do
        [ -f "$dir/warren.conf" ] && basename "$dir" | sed 's/node-//'
    done | sort -n
}

require_node() {
    [[ ${1:-} =~ ^[1-9][0-9]*$ ]] || die "a node is named by its number, not '${1:-}'"
    [ -f "$(node_dir "$1")/warren.conf" ] || die "there is no node $1; start the cluster with Cluster/up"
}

# The pid of a running node; fails when it does not run.
node_pid() {
    local pid
    pid=$(cat "$(node_dir "$1")/pid" 2>/dev/null) || return 1
    [ -r "/proc/$pid/stat" ] && grep -qz -- "$(node_dir "$1")/warren.conf" "/proc/$pid/cmdline" 2>/dev/null || return 1
    # A zombie waits for its parent and serves nobody.
    [ "$(process_state "$pid")" != Z ] || return 1
    echo "$pid"
}

# await_release N: a process that was killed holds the node's data until its last write has returned.
await_release() {
    local lock
    lock=$(node_data "$1")/lock
    [ ! -e "$lock" ] || flock --shared --wait 10 "$lock" true || die "$(node_data "$1") is still in use"
}

# The state of a process as in proc(5): T is stopped, Z a zombie.
process_state() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1; }

node_state() { process_state "$(cat "$(node_dir "$1")/pid")"; }

# --- A node's own disk: its data on a loop-mounted ext4, so that a script can fill or freeze it and nothing else.

node_data() { echo "$(node_dir "$1")/data"; }
node_image() { echo "$(node_dir "$1")/disk.img"; }
has_own_disk() { mountpoint -q "$(node_data "$1")"; }

# as_root COMMAND...: as it is for root, else by sudo when that asks for no password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }

# require_root WHAT: that can be done by root only.
require_root() { can_be_root || die "$1 by root only; run it as root"; }

# Mounts the disk that a node was given, if it was given one. Nothing is left in the directory below: a node that starts
# without the mount must find no older copy of its data.
mount_own_disk() {
    [ -f "$(node_image "$1")" ] && ! has_own_disk "$1" || return 0
    require_root "a node's disk can be mounted"
    rm -rf "$(node_data "$1")"
    mkdir "$(node_data "$1")"
    as_root mount -o loop "$(node_image "$1")" "$(node_data "$1")" || die "the disk of node $1 cannot be mounted"
}

# Takes the mount away; the data stays in the image.
unmount_own_disk() {
    has_own_disk "$1" || return 0
    local attempt
    # The last threads of a node that was killed may keep files open for a moment.
    for attempt in {1..50}; do
        ! as_root umount "$(node_data "$1")" 2>/dev/null || return 0
        sleep 0.1
    done
    die "$(node_data "$1") cannot be unmounted"
}

# give_own_disk N: moves a node's data to a file system of its own, of 1 GiB, or of four times the data when that is
# more. A node that runs is stopped for it and started again.
give_own_disk() {
    local node=$1 dir data image used size was_running=no
    require_root "a node's disk can be mounted"
    mount_own_disk "$node"
    if has_own_disk "$node"; then return 0; fi
    command -v mkfs.ext4 >/dev/null || die "mkfs.ext4 is missing; on Debian and Ubuntu: apt-get install e2fsprogs"
    dir=$(node_dir "$node") data=$(node_data "$node") image=$(node_image "$node")
    if node_pid "$node" >/dev/null; then was_running=yes; fi
    [ $was_running = no ] || "$ROOT/Cluster/node" "$node" stop
    mkdir -p "$data"
    used=$(du -sm "$data" | cut -f1)
    size=$((used * 4 > 1024 ? used * 4 : 1024))
    # Under another name until it is whole: a script that ends in between changes nothing.
    rm -rf "$image.new" "$dir/disk.mount"
    truncate -s "${size}M" "$image.new"
    mkfs.ext4 -q -F -m 0 "$image.new"
    mkdir "$dir/disk.mount"
    as_root mount -o loop "$image.new" "$dir/disk.mount" || die "loop mounts do not work here"
    as_root rmdir "$dir/disk.mount/lost+found"
    as_root chown "$(id -u):$(id -g)" "$dir/disk.mount"
    cp -a "$data/." "$dir/disk.mount/"
    as_root umount "$dir/disk.mount"
    rmdir "$dir/disk.mount"
    sync -f "$image.new"
    mv "$image.new" "$image"
    mount_own_disk "$node"
    echo "node $node: its data moved to a file system of its own, $size MiB in $image"
    [ $was_running = no ] || "$ROOT/Cluster/node" "$node" start
}

# The HTTP addresses of all nodes, comma-separated: the command line asks the first that answers.
http_addresses() {
    local node list=
    for node in $(cluster_nodes); do list+="${list:+,}http://127.0.0.1:$(http_port "$node")"; done
    echo "$list"
}

# The executable: $WARREN_BINARY, or the release build.
warren_binary() {
    if [ -n "${WARREN_BINARY:-}" ]; then
        [ -x "$WARREN_BINARY" ] || die "WARREN_BINARY=$WARREN_BINARY is not an executable"
        echo "$WARREN_BINARY"
        return
    fi
    [ -x "$ROOT/.build/release/warren" ] || die "warren is not built; Cluster/up builds it"
    echo "$ROOT/.build/release/warren"
}

# Builds the executable unless one was given or nothing has changed since. The build's output goes to stderr.
build_warren() {
    [ -z "${WARREN_BINARY:-}" ] || return 0
    local binary=$ROOT/.build/release/warren
    if [ -x "$binary" ] && [ -z "$(find "$ROOT/Package.swift" "$ROOT/Sources" -newer "$binary" -print -quit)" ]; then
        return 0
    fi
    install_packages
    (cd "$ROOT" && swift build -c release --product warren >&2) || die "the build failed"
}

warren() { "$(warren_binary)" "$@"; }

# What the Swift toolchain needs of a Debian or Ubuntu system to build the project.
build_packages() {
    echo "git ca-certificates pkg-config binutils libc6-dev libgcc-12-dev libstdc++-12-dev libxml2-dev libcurl4-openssl-dev zlib1g-dev libncurses6 libedit2 liblz4-dev libsqlite3-0 tzdata procps"
}

# install_packages [EXTRA...]: installs what is missing, says which; names the exact command where it cannot.
install_packages() {
    command -v swift >/dev/null || die "no Swift toolchain on the PATH: install Swift 6 from https://swift.org/install"
    command -v dpkg-query >/dev/null || return 0
    local package missing=()
    for package in $(build_packages) "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "packages are missing; as root run: apt-get install -y ${missing[*]}"
        sudo=(sudo)
    fi
    echo "installing packages: ${missing[*]}" >&2
    "${sudo[@]}" apt-get update -qq >&2 &&
        DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
        die "packages could not be installed; run: apt-get install -y ${missing[*]}"
}
