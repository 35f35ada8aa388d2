public import LogStore
public import Primitives

/// A read that is under way.
struct PendingRead {
    var group: GroupID
    var purpose: ReadPurpose
    var locations: [EntryLocation]
}

// Entries that left memory are read back, a stretch at a time, one read per group and purpose.
extension Shard {
    /// Asks for the entries from `index` on; the purpose's window is replaced when they come.
    func read(_ replica: Replica, from index: LogIndex, for purpose: ReadPurpose) {
        var window = replica.windows[purpose] ?? ReadWindow()
        guard window.reading == nil, window.retryAt <= now else { return }
        var locations: [EntryLocation] = []
        var size = 0
        var next = index
        while size < configuration.readAhead, let location = replica.locations.first(from: next),
            location.index < replica.tail.first
        {
            locations.append(location)
            size += Int(location.length)
            next = location.index.next
        }
        guard locations.first?.index == index else { return }
        guard !locations.isEmpty else { return }
        window.reading = request(locations, of: replica.group, for: purpose)
        replica.windows[purpose] = window
    }

    /// - Returns: the read's number.
    @discardableResult
    func request(_ locations: [EntryLocation], of group: GroupID, for purpose: ReadPurpose) -> UInt64 {
        let id = nextRead
        nextRead += 1
        reads[id] = PendingRead(group: group, purpose: purpose, locations: locations)
        output.reads.append(ReadRequest(id: id, locations: locations))
        return id
    }

    /// Entries were read, or could not be.
    public func readCompleted(_ id: UInt64, _ result: Result<[Entry], EntryReadFailure>, now: Instant) {
        self.now = now
        guard let pending = reads.removeValue(forKey: id) else { return }
        if pending.purpose == .verification { return verified(result) }
        guard let replica = replicas[pending.group] else { return }
        if case .snapshot(let node, let after) = pending.purpose {
            return snapshotPartRead(id, result, replica, to: node, after: after)
        }
        if case .repair(let node) = pending.purpose { return repairRead(result, replica, to: node) }
        guard replica.windows[pending.purpose]?.reading == id else { return }
        switch result {
        case .failure(let failure):
            var window = ReadWindow()
            // What has moved is read from where it is now.
            let hasMoved = !pending.locations.allSatisfy { replica.needs($0) }
            window.retryAt = hasMoved ? now : now + Shard.readRetry
            replica.windows[pending.purpose] = window
            switch pending.purpose {
            case .apply, .delivery: readRetries.insert(pending.group, at: window.retryAt)
            // What waited is sent again with the next retransmission.
            case .follower(let node): replica.waitingAppends[node] = nil
            case .snapshot, .repair, .verification: break
            }
            if case .damaged(let location) = failure { noteDamage(replica, location) }
            if !hasMoved { output.events.append(.readFailed(pending.group, "\(failure)")) }
            return
        case .success(let entries):
            var window = ReadWindow()
            window.fill(entries)
            replica.windows[pending.purpose] = window
        }
        switch pending.purpose {
        case .apply, .delivery: enqueue(replica)
        case .follower(let node): sendWaitingAppends(replica, to: node)
        case .snapshot, .repair, .verification: break
        }
    }

    /// A read that failed is tried again after this.
    private static let readRetry = Interval.seconds(1)

    func runReadRetries() {
        while let group = readRetries.pop(due: now) {
            if let replica = replicas[group] { enqueue(replica) }
        }
    }
}
