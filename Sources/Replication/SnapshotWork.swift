public import Primitives

/// A state to encode or decode that is too large for the shard's loop: a loop must not stand still for a snapshot.
public struct SnapshotWork: Sendable {
    enum Kind: Sendable {
        case encode(GroupState)
        case decode(Bytes, of: GroupID, at: LogIndex)
    }

    /// Names the work in `Shard.snapshotWorked`.
    public let id: UInt64
    let kind: Kind

    /// Does the work, on any thread; some milliseconds a MiB.
    public func run() -> SnapshotWorkResult {
        switch kind {
        case .encode(let state): return SnapshotWorkResult(kind: .encoded(state.compressed()))
        case .decode(let bytes, let group, let index):
            do {
                let state = try GroupState(decompressing: bytes, of: group, at: index)
                return SnapshotWorkResult(kind: .decoded(state))
            } catch {
                return SnapshotWorkResult(kind: .unreadable("\(error)"))
            }
        }
    }
}

/// What became of a piece of work; for `Shard.snapshotWorked`.
public struct SnapshotWorkResult: Sendable {
    enum Kind: Sendable {
        /// Nil when the state is too large.
        case encoded(Bytes?)
        case decoded(GroupState)
        case unreadable(String)
    }

    let kind: Kind
}

/// What a state is being encoded or decoded for.
enum SnapshotPurpose {
    /// This replica's own snapshot at an index.
    case own(LogIndex)
    case offer(SnapshotName)
    /// A leader's snapshot, all of which is here.
    case install(SnapshotName, from: NodeID, leaderTerm: Term)
}

extension Shard {
    /// Does the work here when it is small, and hands it out when it is not.
    func work(_ kind: SnapshotWork.Kind, size: Int, for purpose: SnapshotPurpose, _ replica: Replica) {
        let work = SnapshotWork(id: nextSnapshotWork, kind: kind)
        guard size > configuration.inlineStateLimit else { return finish(purpose, work.run(), replica) }
        nextSnapshotWork += 1
        snapshotWork[work.id] = (replica.group, purpose)
        output.snapshotWork.append(work)
    }

    /// A piece of `ShardOutput.snapshotWork` was done.
    public func snapshotWorked(_ id: UInt64, _ result: SnapshotWorkResult, now: Instant) {
        self.now = now
        guard let (group, purpose) = snapshotWork.removeValue(forKey: id), let replica = replicas[group] else { return }
        finish(purpose, result, replica)
    }

    private func finish(_ purpose: SnapshotPurpose, _ result: SnapshotWorkResult, _ replica: Replica) {
        switch (purpose, result.kind) {
        case (.own(let index), .encoded(let state)): ownSnapshotEncoded(replica, at: index, state)
        case (.offer(let name), .encoded(let state)): offerEncoded(replica, name, state)
        case (.install(let name, let node, let term), .decoded(let state)):
            install(state, name, replica, from: node, leaderTerm: term)
        case (.install(let name, let node, _), .unreadable(let reason)):
            guard replica.incomingSnapshot?.name == name, replica.incomingSnapshot?.isDecoding ?? false else { return }
            output.events.append(.snapshotRefused(replica.group, from: node, reason))
            dropIncomingSnapshot(replica)
        default: preconditionFailure("not the result of the work")
        }
    }

    /// What a snapshot of the group would hold; nil when the disk's was unreadable and no leader's has come yet.
    func state(of replica: Replica) -> GroupState? {
        guard !replica.isStateMissing else { return nil }
        return replica.group == .topology ? .topology(topology) : replica.queue.map { .queue($0) }
    }
}
