# Shared by the scripts of Cluster/, Chaos/ and Tests/: places, ports, the build. Sourced, not run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLUSTER_DIR=${WARREN_CLUSTER_DIR:-$ROOT/.cluster}
PORT_OFFSET=${WARREN_PORT_OFFSET:-0}

die() { echo "${0##*/}: $*" >&2; exit 1; }

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

# The state of a process as in proc(5): T is stopped, Z a zombie.
process_state() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1; }

node_state() { process_state "$(cat "$(node_dir "$1")/pid")"; }

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
    echo "$ROOT/.build/release/warren"
}

# Builds the executable unless one was given. The build's output goes to stderr.
build_warren() {
    [ -z "${WARREN_BINARY:-}" ] || return 0
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
