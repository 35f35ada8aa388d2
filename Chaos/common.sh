# Shared by the scripts of Chaos/: faults that last for a while, cuts between nodes, frozen disks. Sourced, not run.
source "$(dirname "${BASH_SOURCE[0]}")/../Cluster/common.sh"

# --- Faults that last. A script that holds one notes its process, so that Chaos/heal can end it.

require_seconds() {
    [[ ${1:-} =~ ^[0-9]{1,6}(\.[0-9]{1,3})?$ ]] && [[ $1 =~ [1-9] ]] ||
        die "--for takes a number of seconds, not '${1:-}'"
}

fault_note() { echo "$CLUSTER_DIR/fault-$1"; }

# begin_fault CLEAN_UP: before the fault is made. CLEAN_UP runs when the script ends, also by a signal.
begin_fault() {
    trap "end_fault $1" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    echo "$0" >"$(fault_note $$)"
    began=$SECONDS
}

end_fault() {
    trap - EXIT
    trap '' INT TERM HUP
    [ -z "${sleeper:-}" ] || kill "$sleeper" 2>/dev/null || true
    "$@"
    rm -f "$(fault_note $$)"
}

# wait_fault SECONDS: in the background, so that a signal is not kept waiting until the time is over.
wait_fault() {
    sleep "$1" >/dev/null 2>&1 &
    sleeper=$!
    wait $sleeper
}

# The processes of the scripts that hold a fault of this cluster.
fault_holders() {
    local note pid
    for note in "$CLUSTER_DIR"/fault-*; do
        [ -f "$note" ] || continue
        pid=${note##*-}
        if grep -qzF -- "$(cat "$note")" "/proc/$pid/cmdline" 2>/dev/null; then echo "$pid"; else rm -f "$note"; fi
    done
}

# --- Cuts: packets between the peers' addresses are dropped where they arrive. Each rule carries the name of its
# cluster and its cut, so that clusters side by side and cuts at the same time are healed one by one.

require_packet_filter() {
    require_root "packets can be dropped"
    command -v iptables-restore >/dev/null || die "iptables is missing; on Debian and Ubuntu: apt-get install iptables"
    as_root iptables-save -t filter >/dev/null 2>&1 || die "the packet filter cannot be read here (iptables-save fails)"
}

# The name under which a cluster's cuts are kept. A rule's comment has room for 255 characters.
cluster_mark() {
    local place=${CLUSTER_DIR//[^A-Za-z0-9\/._+-]/_}
    [ ${#place} -le 180 ] || place=${place: -180}
    echo "warren +$PORT_OFFSET $place"
}

# drop_rules FROM TO MARK: what FROM sends to TO is lost, on connections that either of them opened.
drop_rules() {
    local rule="-I INPUT -i lo -p tcp -s 127.0.0.$1 -d 127.0.0.$2"
    printf '%s %s -m comment --comment "%s" -j DROP\n' "$rule" "--dport $(peer_port "$2")" "$3" \
        "$rule" "--sport $(peer_port "$1")" "$3"
}

# All at once, or none. Rules on standard input.
change_rules() { { echo '*filter'; cat; echo COMMIT; } | as_root iptables-restore -w --noflush; }

# remove_rules MARK: those whose name begins so. Prints how many there were.
remove_rules() {
    local rules
    rules=$(as_root iptables-save -t filter | grep -F -- "--comment \"$1" | sed 's/^-A/-D/' || true)
    [ -n "$rules" ] || { echo 0; return; }
    change_rules <<<"$rules" || die "the packet filter's rules cannot be removed"
    wc -l <<<"$rules"
}

# --- Frozen disks: what writes to one waits until it is thawed.

freeze_disk() { as_root fsfreeze -f "$(node_data "$1")"; }
thaw_disk() { as_root fsfreeze -u "$(node_data "$1")" 2>/dev/null; }
