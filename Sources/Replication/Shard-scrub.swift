public import LogStore
public import Primitives

// The scrub of the node log met damage. What is needed of it is written again: entries from other members' copies,
// everything else from what the running node knows.
extension Shard {
    /// Damage in a cold segment. To be called in the order of the node log's completions.
    public func scrubbed(_ report: ScrubReport, now: Instant) {
        self.now = now
        for location in report.entries {
            guard let replica = replicas[location.group], replica.isOwed(location.index),
                !replica.damaged.contains(location.index)
            else { continue }
            noteDamage(replica, location)
        }
        for record in report.records {
            if let replica = replicas[record.group] { writeAnew(record, replica) }
        }
    }

    private func writeAnew(_ record: DamagedRecord, _ replica: Replica) {
        switch record.kind {
        case .groupCreated:
            output.records.append(.groupCreated(group: replica.group, replica.descriptor.encoded()))
        case .configuration: writeNote(replica)
        case .snapshot:
            // A replica that could not read it at the start has nothing to put in its place: a leader's snapshot will.
            guard !replica.needsSnapshot, replica.applied > .zero else { return }
            replica.needsSnapshot = true
            renewSnapshot(replica)
        }
        repairs.rewritten += 1
        output.events.append(.recordDamaged(record))
    }

    /// Takes a snapshot in the place of one that is damaged on this disk, or writes the same again; later, if it
    /// cannot be
    /// now.
    func renewSnapshot(_ replica: Replica) {
        stayActive(replica)
        if nextSweep == .distantFuture { nextSweep = now + configuration.sweepInterval }
        if replica.applied > replica.locations.base {
            takeSnapshotNow(replica)
        } else if replica.ownSnapshot == nil, replica.incomingSnapshot == nil, let state = state(of: replica) {
            takeSnapshot(replica, state, live: state.liveIndices)
        }
        if replica.ownSnapshot != nil { replica.needsSnapshot = false }
    }
}
