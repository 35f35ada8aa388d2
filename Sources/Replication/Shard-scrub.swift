public import LogStore
public import Primitives

// The scrub of the node log met damage. What is needed of it is written again: entries from other members' copies,
// everything else from what the running node knows.
extension Shard {
    /// Damage in a cold segment. To be called in the order of the node log's completions.
    public func scrubbed(_ report: ScrubReport, now: Instant) {
        self.now = now
        for location in report.entries { noteDamage(at: location) }
        for record in report.records {
            if let replica = replicas[record.group] { writeAnew(record, replica) }
        }
        if !report.problems.isEmpty { verifyEntries(in: report.segment) }
    }

    /// An entry is damaged: news only while it may still be asked for and is not being asked for already.
    private func noteDamage(at location: EntryLocation) {
        guard let replica = replicas[location.group], replica.isOwed(location.index),
            !replica.damaged.contains(location.index)
        else { return }
        noteDamage(replica, location)
    }

    /// A segment whose own structure is damaged may hold entries that the scrub does not know of: all that are counted
    /// on there are read.
    private func verifyEntries(in segment: UInt32) {
        guard unverified.isEmpty else { return }
        for group in groups {
            replicas[group]?.locations.forEach { location in
                if location.segment == segment { unverified.append(location) }
            }
        }
        verifyNext()
    }

    /// Reads the next entries to verify, those of one group and of so many bytes at once.
    private func verifyNext() {
        guard !isVerifying, let first = unverified.first else { return }
        var batch: [EntryLocation] = []
        var size = 0
        for location in unverified {
            guard location.group == first.group, batch.isEmpty || size < configuration.readAhead else { break }
            batch.append(location)
            size += Int(location.length)
        }
        isVerifying = true
        request(batch, of: first.group, for: .verification)
    }

    /// Entries were read to verify them.
    func verified(_ result: Result<[Entry], EntryReadFailure>) {
        isVerifying = false
        switch result {
        case .success(let entries): unverified.removeFirst(min(entries.count, unverified.count))
        case .failure(let failure):
            let location = unverified.removeFirst()
            if case .damaged = failure { noteDamage(at: location) }
        }
        verifyNext()
    }

    private func writeAnew(_ record: DamagedRecord, _ replica: Replica) {
        switch record.kind {
        case .groupCreated:
            output.records.append(.groupCreated(group: replica.group, replica.founding.encoded()))
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
    /// cannot be now.
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
