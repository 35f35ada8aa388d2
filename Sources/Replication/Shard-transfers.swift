import LogStore
import Primitives
import QuorumQueue
import Raft

// Snapshots on their way from a leader to a follower whose next entry the leader's log does not hold any more.
extension Shard {
    /// Bytes of live entries in one part.
    private static let partSize = 1 << 20

    func received(snapshot content: Bytes, group: GroupID, from node: NodeID) throws(DecodingFailure) {
        let message = try SnapshotMessage(decoding: content, group: group)
        guard let replica = replicas[group] else { return }
        switch message {
        case .offer(let offer): received(offer, replica, from: node)
        case .request(let name, let after, let offset):
            if isMember(node, of: replica) { answer(replica, name, after: after, offset: offset, to: node) }
        case .entries(let name, let after, let through, let entries):
            received(entries, name, after: after, through: through, replica, from: node)
        case .chunk(let name, let offset, let bytes): received(bytes, name, offset: offset, replica, from: node)
        }
    }

    private func send(_ message: SnapshotMessage, to node: NodeID, of replica: Replica, sizeHint: Int = 64) {
        outboxes[node]?.outbox.append(.snapshot, group: replica.group, sizeHint: sizeHint) {
            message.encode(into: &$0)
        }
    }

    // MARK: The leader's side

    func isSendingSnapshot(_ replica: Replica) -> Bool {
        guard let outgoing = replica.outgoingSnapshot else { return false }
        // One that is being encoded ends by itself.
        if outgoing.state == nil || now - outgoing.lastProgress < OutgoingSnapshot.patience { return true }
        replica.outgoingSnapshot = nil
        return false
    }

    /// Raft says that the follower needs what the log does not hold. A new leader may need it first, to commit anything
    /// in its term at all, so it does not wait for that.
    func offerSnapshot(_ replica: Replica, to node: NodeID) {
        guard replica.isLeader, isMember(node, of: replica) else { return }
        if !isSendingSnapshot(replica) {
            // Whoever takes it must find its continuation here.
            guard replica.applied < replica.locations.end, replica.applied >= replica.locations.base,
                let term = replica.raft.term(at: replica.applied), let state = state(of: replica)
            else { return }
            let name = SnapshotName(index: replica.applied, term: term)
            replica.outgoingSnapshot = OutgoingSnapshot(
                name: name, live: state.liveIndices, configuration: configuration(of: replica, at: name.index),
                lastProgress: now)
            work(.encode(state), size: state.approximateSize, for: .offer(name), replica)
        }
        guard let outgoing = replica.outgoingSnapshot else { return }
        guard let state = outgoing.state else {
            replica.outgoingSnapshot?.waiting.insert(node)
            return
        }
        let offer = SnapshotOffer(
            name: outgoing.name, leaderTerm: replica.raft.term, byteCount: state.count, live: outgoing.live,
            configuration: outgoing.configuration)
        send(.offer(offer), to: node, of: replica, sizeHint: 64 + 8 * offer.live.count)
    }

    /// The members at a snapshot's index, when an entry brought them.
    private func configuration(of replica: Replica, at index: LogIndex) -> SnapshotOffer.Configuration? {
        let placed = replica.raft.configuration(at: index)
        guard placed.index > .zero, let descriptor = replica.descriptors[placed.index] else { return nil }
        return SnapshotOffer.Configuration(index: placed.index, descriptor: descriptor)
    }

    /// The state of a snapshot that followers wait for is encoded.
    func offerEncoded(_ replica: Replica, _ name: SnapshotName, _ state: Bytes?) {
        guard let outgoing = replica.outgoingSnapshot, outgoing.name == name, outgoing.state == nil else { return }
        guard let state else {
            replica.outgoingSnapshot = nil
            output.events.append(.snapshotTooLarge(replica.group))
            return
        }
        replica.outgoingSnapshot?.state = state
        replica.outgoingSnapshot?.lastProgress = now
        for node in replica.peers where outgoing.waiting.contains(node) { offerSnapshot(replica, to: node) }
    }

    private func answer(
        _ replica: Replica, _ name: SnapshotName, after: LogIndex, offset: Int, to node: NodeID
    ) {
        guard replica.isLeader, isSendingSnapshot(replica), let outgoing = replica.outgoingSnapshot,
            outgoing.name == name, let state = outgoing.state
        else { return }
        replica.outgoingSnapshot?.asked(by: node, after: after, offset: offset, now: now)
        replica.heard[node] = nil
        activate(replica)
        guard outgoing.reading[node] == nil else { return }
        let locations = livePart(of: outgoing, in: replica, after: after)
        guard locations.isEmpty else {
            let id = request(locations, of: replica.group, for: .snapshot(to: node, after: after))
            replica.outgoingSnapshot?.reading[node] = id
            return
        }
        if after < name.index {
            send(.entries(name, after: after, through: name.index, []), to: node, of: replica)
        } else if offset < state.count {
            let end = min(offset + Shard.partSize, state.count)
            send(
                .chunk(name, offset: offset, state[offset..<end]), to: node, of: replica,
                sizeHint: end - offset + 64)
        }
    }

    /// The next live entries, as many as a part holds.
    private func livePart(
        of outgoing: OutgoingSnapshot, in replica: Replica, after: LogIndex
    ) -> [EntryLocation] {
        var locations: [EntryLocation] = []
        var size = 0
        for range in outgoing.live where range.upperBound > after {
            var index = max(range.lowerBound, after.next)
            while index <= range.upperBound, let location = replica.locations.first(from: index),
                location.index <= range.upperBound
            {
                index = location.index.next
                guard locations.isEmpty || size + Int(location.length) <= Shard.partSize else { return locations }
                locations.append(location)
                size += Int(location.length)
            }
        }
        return locations
    }

    /// The entries of a part were read.
    func snapshotPartRead(
        _ id: UInt64, _ result: Result<[Entry], EntryReadFailure>, _ replica: Replica, to node: NodeID,
        after: LogIndex
    ) {
        guard replica.isLeader, let outgoing = replica.outgoingSnapshot, outgoing.reading[node] == id else { return }
        replica.outgoingSnapshot?.reading[node] = nil
        // What could not be read is asked for again: it has moved, or the device failed. What could goes ahead of it.
        if case .failure(.damaged(let location)) = result {
            noteDamage(replica, location)
            // It was acknowledged since, so nobody else may have it any more: a newer snapshot does without it.
            if replica.isLeader && !replica.refersTo(location.index) {
                replica.outgoingSnapshot = nil
                offerSnapshot(replica, to: node)
            }
        }
        guard case .success(let entries) = result, let last = entries.last else { return }
        send(
            .entries(outgoing.name, after: after, through: last.index, entries), to: node, of: replica,
            sizeHint: entries.reduce(64) { $0 + $1.bytes.count })
    }

    // MARK: The follower's side

    private func received(_ offer: SnapshotOffer, _ replica: Replica, from node: NodeID) {
        // The mark would bring numbers to the disk that the core refuses.
        guard offer.name.index > .zero, offer.name.index.rawValue <= RaftLimits.highestNumber,
            offer.name.term > .zero, offer.name.term <= offer.leaderTerm
        else { return }
        var isLeaders = false
        step(replica) { isLeaders = $0.receiveSnapshotOffer(term: offer.leaderTerm, from: node, into: &$1) }
        guard isLeaders, replica.incomingSnapshot?.isOpen ?? true else { return }
        guard offer.name.index > replica.raft.commit || replica.isStuck(before: offer.name.index) else {
            step(replica) {
                $0.installSnapshot(
                    index: offer.name.index, term: offer.name.term, leaderTerm: offer.leaderTerm, from: node, into: &$1)
            }
            return
        }
        if replica.incomingSnapshot?.name != offer.name {
            // This replica's own entries count only as far as it knows them to be committed.
            var incoming = IncomingSnapshot(offer, after: heldThrough(offer, replica))
            if let earlier = replica.incomingSnapshot { incoming.inherit(earlier) }
            if let old = replica.incomingSnapshot?.received {
                release(old.filter { incoming.received.place(of: $0) == nil })
            }
            replica.incomingSnapshot = incoming
        }
        requestPart(replica, from: node)
    }

    /// Up to where this replica has all live entries of an offer.
    private func heldThrough(_ offer: SnapshotOffer, _ replica: Replica) -> LogIndex {
        for range in offer.live where range.lowerBound <= replica.raft.commit {
            for index in range.lowerBound.rawValue...min(range.upperBound, replica.raft.commit).rawValue
            where replica.locations[LogIndex(index)] == nil || replica.damaged.contains(LogIndex(index)) {
                return LogIndex(index - 1)
            }
        }
        return min(replica.raft.commit, offer.name.index)
    }

    private func requestPart(_ replica: Replica, from node: NodeID) {
        guard let incoming = replica.incomingSnapshot, incoming.writing == nil, incoming.isOpen else { return }
        send(
            .request(incoming.name, after: incoming.through, offset: incoming.stateCount), to: node, of: replica)
    }

    private func received(
        _ entries: [Entry], _ name: SnapshotName, after: LogIndex, through: LogIndex, _ replica: Replica,
        from node: NodeID
    ) {
        guard let incoming = replica.incomingSnapshot, incoming.name == name, incoming.isOpen,
            incoming.writing == nil, incoming.through == after, through > after, through <= name.index,
            node == replica.knownLeader
        else { return }
        var writing: [LogIndex: Term] = [:]
        var last = after
        for entry in entries {
            guard entry.index > last, entry.index <= through, entry.term <= name.term else { return }
            // Its own copy is on the way to the disk, and would be taken for this one; it is asked for again later.
            guard entry.index < replica.locations.end || replica.raft.term(at: entry.index) != entry.term else {
                return
            }
            last = entry.index
            writing[entry.index] = entry.term
        }
        if !entries.isEmpty {
            replica.doubtTerm = replica.raft.term
            if replica.doubt.transferredThrough < name.index {
                replica.doubt.transferredThrough = name.index
                writeNote(replica)
            }
        }
        replica.incomingSnapshot?.writing = (through, writing)
        for entry in entries { output.records.append(.entry(entry)) }
        guard !entries.isEmpty else { return snapshotPartDurable(replica) }
        barriers.add(.snapshotPart(replica.group, index: name.index, through: through))
    }

    /// The part being written is on the disk: the next one.
    func snapshotPartDurable(_ replica: Replica) {
        guard let writing = replica.incomingSnapshot?.writing else { return }
        replica.incomingSnapshot?.through = writing.through
        replica.incomingSnapshot?.writing = nil
        if let leader = replica.knownLeader, leader != node { requestPart(replica, from: leader) }
    }

    private func received(
        _ bytes: Bytes, _ name: SnapshotName, offset: Int, _ replica: Replica, from node: NodeID
    ) {
        guard let incoming = replica.incomingSnapshot, incoming.name == name, incoming.isOpen,
            incoming.through == name.index, offset == incoming.stateCount, !bytes.isEmpty,
            bytes.count <= incoming.byteCount - offset, node == replica.knownLeader
        else { return }
        replica.incomingSnapshot?.append(bytes)
        if offset + bytes.count == incoming.byteCount {
            decode(replica, name, from: node)
        } else {
            requestPart(replica, from: node)
        }
    }

    /// Everything is here.
    private func decode(_ replica: Replica, _ name: SnapshotName, from node: NodeID) {
        guard let state = replica.incomingSnapshot?.state else { return }
        replica.incomingSnapshot?.isDecoding = true
        work(
            .decode(state, of: replica.group, at: name.index), size: state.count,
            for: .install(name, from: node, leaderTerm: replica.raft.term), replica)
    }

    /// A snapshot is here and is one: its records go to the disk, and with the last of them it becomes current.
    func install(_ state: GroupState, _ name: SnapshotName, _ replica: Replica, from node: NodeID, leaderTerm: Term) {
        guard var incoming = replica.incomingSnapshot, incoming.name == name, incoming.isDecoding else { return }
        // The log went on meanwhile, and was compacted behind it.
        guard name.index > replica.locations.base else { return dropIncomingSnapshot(replica) }
        let live = liveEntries(of: incoming, replica)
        let keepsSuffix = replica.raft.keepsSuffix(afterSnapshotAt: name.index, term: name.term)
        if !keepsSuffix { output.records.append(.truncate(group: replica.group, from: name.index.next)) }
        incoming.install = SnapshotInstall(
            leader: node, leaderTerm: leaderTerm, state: state, live: live, keepsSuffix: keepsSuffix)
        incoming.isDecoding = false
        replica.incomingSnapshot = incoming
        // The members at the snapshot's index are there before it counts.
        if incoming.configuration != nil || !replica.descriptors.isEmpty { writeNote(replica) }
        let bytes = incoming.state
        writeSnapshot(
            SnapshotMark(
                group: replica.group, index: name.index, term: name.term, byteCount: bytes.count,
                live: Shard.ranges(live.map(\.index)),
                // The transfer may have put entries over contradicting ones, and made them look like one log.
                replacesLog: !keepsSuffix || replica.doubt != .none), bytes)
        guard replica.raft.bug != .installsBeforeDurable else { return installDurable(replica) }
        barriers.add(.installation(replica.group))
    }

    /// The live entries that are here: those of the own log as far as it is known to be committed, and what came. The
    /// others were acknowledged meanwhile, by commands behind the snapshot.
    private func liveEntries(of incoming: IncomingSnapshot, _ replica: Replica) -> [EntryLocation] {
        let arrived = incoming.received
        var place = 0
        var live: [EntryLocation] = []
        for range in incoming.live {
            // From one that is here to the next: a range may be longer than anything that can be here.
            var next = range.lowerBound
            while true {
                while place < arrived.count, arrived[place].index < next { place += 1 }
                let came = place < arrived.count ? arrived[place] : nil
                let own = replica.locations.first(from: next).flatMap { $0.index <= replica.raft.commit ? $0 : nil }
                // What came goes first: the own copy may be damaged. Where that showed since the offer, nothing came,
                // and the place is kept for the copy that another member sends.
                guard let location = [came, own].compactMap({ $0 }).min(by: { $0.index < $1.index }),
                    location.index <= range.upperBound
                else { break }
                live.append(location)
                next = location.index.next
            }
        }
        return live
    }

    static func ranges(_ indices: [LogIndex]) -> [ClosedRange<LogIndex>] {
        var ranges: [ClosedRange<LogIndex>] = []
        for index in indices {
            if let last = ranges.last, last.upperBound.next == index {
                ranges[ranges.count - 1] = last.lowerBound...index
            } else {
                ranges.append(index...index)
            }
        }
        return ranges
    }

    /// A leader's snapshot is durable and current.
    func installDurable(_ replica: Replica) {
        guard let incoming = replica.incomingSnapshot, let install = incoming.install else { return }
        let name = incoming.name
        if let configuration = incoming.configuration {
            replica.descriptors[configuration.index] = configuration.descriptor
        }
        let placed = PlacedConfiguration(
            index: incoming.configuration?.index ?? .zero,
            configuration: replica.configuration(of: incoming.configuration?.descriptor ?? replica.founding))
        step(replica) {
            $0.installSnapshot(
                index: name.index, term: name.term, configuration: placed, leaderTerm: install.leaderTerm,
                from: install.leader, into: &$1)
        }
        // A campaign that fell due meanwhile was passed over.
        if replica.knownLeader == nil && replica.campaignAt == nil { scheduleFirstCampaign(replica) }
        settleInstall(of: name, replica)
        for held in install.held { receive(held.message, held.entries, replica, from: held.from) }
    }

    /// The core did not need the snapshot, whose mark is on the disk.
    private func settleInstall(of name: SnapshotName, _ replica: Replica) {
        guard replica.incomingSnapshot?.name == name else { return }
        if replica.isStuck(before: name.index), name.index > replica.locations.base {
            // The log was there already and could not be applied.
            snapshotInstalled(replica)
            replica.raft.compact(through: name.index)
        } else {
            // The machine got there by itself: what came is not needed.
            dropIncomingSnapshot(replica)
        }
    }

    /// The core goes on behind an installed snapshot: it takes the place of log and machine.
    func snapshotInstalled(_ replica: Replica) {
        guard let incoming = replica.incomingSnapshot, let install = incoming.install else { return }
        let index = incoming.name.index
        replica.incomingSnapshot = nil
        takeConfiguration(of: incoming, keepsSuffix: install.keepsSuffix, replica)
        release(
            replica.locations.install(through: index, live: install.live, keepsSuffix: install.keepsSuffix)
                + incoming.received.filter { install.live.place(of: $0) == nil })
        if !install.keepsSuffix {
            while !replica.tail.isEmpty { cache.freed(replica.tail.dropFirst()) }
            replica.tail = EntryTail(next: index.next)
        }
        dropUnneeded(replica)
        replica.windows.removeAll()
        put(install.state, at: index, into: replica)
        replica.applied = index
        replica.snapshotPolicy.taken(byteCount: replica.locations.byteCount)
        replica.damaged.forget { $0 <= index && !replica.refersTo($0) }
        if replica.damaged.isEmpty { repairFinished(replica) }
        output.events.append(.snapshotInstalled(replica.group, index, from: install.leader))
        enqueue(replica)
        considerRejoined()
    }

    /// The members at an installed snapshot's index take the place of all that were noted up to there.
    private func takeConfiguration(of incoming: IncomingSnapshot, keepsSuffix: Bool, _ replica: Replica) {
        guard incoming.configuration != nil || !replica.descriptors.isEmpty else { return }
        replica.descriptors = replica.descriptors.filter { keepsSuffix && $0.key > incoming.name.index }
        if let placed = incoming.configuration { replica.descriptors[placed.index] = placed.descriptor }
        configurationChanged(replica)
        writeNote(replica)
    }

    /// Makes a snapshot's state the replica's.
    func put(_ state: GroupState, at index: LogIndex, into replica: Replica) {
        replica.isStateMissing = false
        replica.lastTimestamp = max(replica.lastTimestamp, state.time)
        switch state {
        case .queue(let machine): replica.queue = machine
        case .topology(let topology): replaceTopology(by: topology, at: index)
        }
    }

    /// The log got as far as the snapshot by itself: nobody will complete the transfer.
    func dropOvertakenSnapshot(_ replica: Replica) {
        guard let incoming = replica.incomingSnapshot, incoming.install == nil,
            incoming.name.index <= replica.raft.commit, !replica.isStuck(before: incoming.name.index)
        else { return }
        dropIncomingSnapshot(replica)
    }

    /// Gives up a transfer; what has come of it is not needed.
    func dropIncomingSnapshot(_ replica: Replica) {
        guard let incoming = replica.incomingSnapshot else { return }
        replica.incomingSnapshot = nil
        release(incoming.received)
        settleDoubt(replica)
    }
}
