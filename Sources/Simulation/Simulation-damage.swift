import LogStore
import Primitives
import Replication

// What becomes of the bytes on one node's disk. The other nodes' keep theirs, until that node has everything again: a
// majority keeps every datum.
extension Simulation {
    func beginDamage() {
        chain(plan.damage) { [unowned self] in damage(damagedNode) }
        chain(plan.diskLoss) { [unowned self] in loseDisk() }
        chain(plan.damage == nil && plan.diskLoss == nil ? nil : .seconds(3)) { [unowned self] in
            guard lostNode == nil, votesEverywhere(damagedNode), isWhole(damagedNode) else { return }
            if suspects.contains(damagedNode) { coverage.add(.healedNode) }
            damagedNode = anyNode
        }
        chain(plan.readErrors) { [unowned self] in
            // Fewer in a row than a read is tried again.
            disk(of: anyNode).readErrorsLeft = 1 + Int(random.next(below: 2))
        }
        chain(plan.syncFailure) { [unowned self] in disk(of: anyNode).failsNextSync = true }
        chain(plan.diskStall) { [unowned self] in
            guard let process = process(anyNode) else { return }
            coverage.add(.stall)
            process.diskStalledUntil = now + some(.milliseconds(200), .seconds(2))
        }
        chain(plan.powerLoss) { [unowned self] in
            let node = anyNode
            let disk = disk(of: node)
            // Between any two changes that a step makes.
            disk.changesLeft = Int(random.next(below: 64))
            disk.onPowerLoss = { [unowned self] in
                scheduler.after(.zero) { [unowned self] in crash(node, isMachine: true) }
            }
        }
        chain(plan.fullDisk) { [unowned self] in fillDisk(of: anyNode) }
    }

    /// The disk whose bytes may be damaged is lost altogether: the others' are whole. Not before every member of every
    /// group votes and has its word counted, so that the others are a majority that knows everything.
    private func loseDisk() {
        guard lostNode == nil || lostNode == damagedNode, voteless == nil, checker.topologyApplied > .zero,
            expectedGroups.allSatisfy({ canSpare(damagedNode, in: $0) })
        else { return }
        replaceDisk(of: damagedNode)
    }

    /// Everybody else is up, and what they say counts.
    func canSpare(_ node: NodeID, in group: GroupID) -> Bool {
        processes.count == size
            && members(of: group).allSatisfy { member in
                guard member != node else { return true }
                guard let state = process(member)?.shard.replicaState(of: group) else { return false }
                return state.mayVote && state.isJoined && state.isVoter
            }
    }

    /// The node has every replica that it should have, as a voter whose word counts. A member that was let go may not
    /// know it yet: the others are asked, too.
    private func votesEverywhere(_ node: NodeID) -> Bool {
        guard let process = process(node), processes.count == size else { return false }
        return expectedGroups.allSatisfy { group in
            guard members(of: group).contains(node) else { return true }
            guard let state = process.shard.replicaState(of: group), state.mayVote, state.isJoined else { return false }
            return members(of: group).allSatisfy { member in
                guard let known = self.process(member)?.shard.configurations(of: group).last?.descriptor else {
                    return false
                }
                return known.member(node)?.role == .voter
            }
        }
    }

    /// Somebody else takes the space of a node's disk, and gives it back after a while.
    private func fillDisk(of node: NodeID) {
        disk(of: node).fill(leaving: random.oneIn(2) ? 0 : Int(random.next(below: 256 << 10)))
        trace.note(node, "full", 0, 0)
        disturbed(node, until: now + .seconds(8))
        scheduler.after(some(.milliseconds(200), .seconds(6))) { [unowned self] in disk(of: node).free() }
    }

    // MARK: Damage

    private enum Effect: CaseIterable { case flipped, overwritten, unreadable }

    /// Something on the node's disk is damaged, without a word.
    private func damage(_ node: NodeID) {
        let sum = plan.damageWeights.reduce(0, +)
        var draw = random.next(below: max(sum, 1))
        for (weight, damage) in zip(
            plan.damageWeights, [damageFooter, damageHeader, damageIdentity, damageEntry, damageFrame])
        {
            guard draw >= weight else { return damage(node) }
            draw -= weight
        }
    }

    private func damageFooter(_ node: NodeID) {
        let atlas = atlas(of: node)
        guard let position = pick(atlas.footers), let footer = atlas.segments[position].footer else { return }
        setAtlas(of: node) { $0.damageFooter(of: position) }
        harm(node, FaultAtlas.name(of: atlas.segments[position].number), footer)
    }

    /// One of the two copies of a segment's header.
    private func damageHeader(_ node: NodeID) {
        let atlas = atlas(of: node)
        let choice = atlas.segments.indices.filter { !atlas.segments[$0].isHeaderDamaged }
        guard let position = pick(choice) else { return }
        setAtlas(of: node) { $0.damageHeader(of: position) }
        let start = random.oneIn(2) ? 0 : 4_096
        harm(node, FaultAtlas.name(of: atlas.segments[position].number), start..<start + 512)
    }

    /// One of the two copies of the store's identity.
    private func damageIdentity(_ node: NodeID) {
        let start = random.oneIn(2) ? 0 : 4_096
        guard let file = disk(of: node).find("store"),
            damagedIdentities.insert(DiskFileName(node: node, file: file)).inserted
        else { return }
        harm(node, "store", start..<start + 48)
    }

    private func damageEntry(_ node: NodeID) {
        guard let process = process(node) else { return }
        let atlas = atlas(of: node)
        var choice: [(EntryLocation, FaultAtlas.Place)] = []
        for group in process.shard.replicaGroups {
            for location in process.shard.locations(of: group) {
                guard let place = atlas.place(of: Int(location.offset), in: location.segment), atlas.mayDamage(place)
                else { continue }
                choice.append((location, place))
            }
        }
        guard let (location, place) = pick(choice) else { return }
        setAtlas(of: node) { $0.damageFrame(place) }
        let start = Int(location.offset)
        harm(node, FaultAtlas.name(of: location.segment), start..<start + Int(location.length))
    }

    private func damageFrame(_ node: NodeID) {
        let atlas = atlas(of: node)
        guard let place = pick(atlas.frames) else { return }
        setAtlas(of: node) { $0.damageFrame(place) }
        harm(node, FaultAtlas.name(of: atlas.segments[place.segment].number), atlas.range(of: place))
    }

    /// Damages a part of a range that one frame, footer or copy has to itself.
    private func harm(_ node: NodeID, _ name: String, _ range: Range<Int>) {
        let disk = disk(of: node)
        guard let file = disk.find(name), range.upperBound <= disk.count(of: file) else { return }
        suspects.insert(node)
        let start = range.lowerBound + Int(random.next(below: UInt64(range.count)))
        let length = min(range.upperBound - start, 1 + Int(random.next(below: 2_048)))
        let effect = plan.hasUnreadableSectors ? pick(Effect.allCases) ?? .flipped : .flipped
        trace.note(node, "damage", UInt64(file.number), UInt64(start))
        trace.tell("\(node): \(effect) \(length) of \(name) at \(start)")
        switch effect {
        case .flipped:
            let byte = disk.contents(file, start..<start + 1)
            disk.impose(byte.map { $0 ^ 1 << UInt8(random.next(below: 8)) }, on: file, at: start)
        case .overwritten: disk.impose((0..<length).map { _ in UInt8(random.next(below: 256)) }, on: file, at: start)
        case .unreadable: disk.makeUnreadable(file, start..<start + length)
        }
    }

    func pick<T>(_ choice: [T]) -> T? {
        choice.isEmpty ? nil : choice[Int(random.next(below: UInt64(choice.count)))]
    }

    // MARK: Misdirected writes

    /// A write that was reported as synced, and what stood in its place before.
    struct Misdirection {
        var file: VirtualDisk.File
        var segment: UInt32
        var range: Range<Int>
        var before: [UInt8]
    }

    /// The write went elsewhere: to another place of the file, or into another segment. It shows from now on, when the
    /// page cache has given it up and the next write attests it.
    func misdirect(_ write: Misdirection, next: Range<Int>?, of node: NodeID) {
        let disk = disk(of: node)
        let atlas = atlas(of: node)
        guard node == damagedNode, let place = atlas.place(of: write.range.lowerBound, in: write.segment),
            atlas.mayDamage(place), disk.find(FaultAtlas.name(of: write.segment)) == write.file
        else { return }
        let bytes = disk.contents(write.file, write.range)
        suspects.insert(node)
        setAtlas(of: node) { $0.damageFrame(place) }
        disk.impose(write.before, on: write.file, at: write.range.lowerBound)
        coverage.add(.misdirectedWrite)
        trace.note(node, "misdirected", UInt64(write.segment), UInt64(write.range.lowerBound))
        guard random.oneIn(2), let position = pick(self.atlas(of: node).sealed),
            let end = atlas.segments[position].frames.last?.range.upperBound, end - bytes.count >= 8_192,
            let file = disk.find(FaultAtlas.name(of: atlas.segments[position].number))
        else {
            let shift = 512 * (1 + Int(random.next(below: 8)))
            return disk.impose(bytes, on: write.file, at: write.range.lowerBound + shift, except: next)
        }
        let slots = UInt64((end - bytes.count - 8_192) / 512 + 1)
        let start = 8_192 + 512 * Int(random.next(below: slots))
        setAtlas(of: node) { $0.damageFrames(of: position, in: start..<start + bytes.count) }
        disk.impose(bytes, on: file, at: start)
    }

    // MARK: Loss

    /// What no copy makes good: the node's store has lost records whose identity nobody knows. At most once in a run.
    func loseRecords(_ node: NodeID) {
        guard options.losesRecords, plan.damage != nil, lostNode == nil, hasFaults, node == damagedNode,
            random.oneIn(8)
        else { return }
        let disk = disk(of: node)
        let atlas = atlas(of: node)
        let used = atlas.segments.filter { !$0.frames.isEmpty && disk.find(FaultAtlas.name(of: $0.number)) != nil }
        guard let segment = pick(used) else { return }
        let name = FaultAtlas.name(of: segment.number)
        lostNode = node
        suspects.insert(node)
        trace.note(node, "loses records", UInt64(segment.number), 0)
        guard let file = disk.find(name), random.oneIn(2) else { return disk.lose(name) }
        disk.impose([UInt8](repeating: 0xA5, count: 8_192), on: file, at: 0)
    }

    /// An fdatasync failed. The process ends; whoever starts it again may find everything in the page cache, until
    /// power fails.
    func syncFailed(_ node: NodeID) {
        crash(node, isMachine: false)
        guard random.oneIn(2) else { return }
        scheduler.after(some(.milliseconds(1), .seconds(2))) { [unowned self] in
            guard hasFaults else { return }
            start(node)
            losePower(node)
        }
    }

    /// Soon the node's machine ends.
    func losePower(_ node: NodeID) {
        scheduler.after(some(.milliseconds(1), .seconds(1))) { [unowned self] in
            if hasFaults { crash(node, isMachine: true) }
        }
    }

    // MARK: Planted bugs

    /// What a planted bug does to the disk, or has the start do.
    func plantBeforeStart(_ node: NodeID) {
        let disk = disk(of: node)
        disk.skipsEqualWrites = plant == .pageCacheTrusted
        disk.skipsDirectorySyncs = plant == .directoryNotSynced
        guard plant == .damageCut, let segment = atlas(of: node).segments.last,
            let bad = segment.frames.first(where: { $0.isDamaged }),
            let file = disk.find(FaultAtlas.name(of: segment.number))
        else { return }
        let count = disk.count(of: file) - bad.range.lowerBound
        disk.impose([UInt8](repeating: 0, count: count), on: file, at: bad.range.lowerBound)
    }

    // MARK: Wholeness

    /// Whether the node's disk has every record again, in the eyes of a start.
    private func isWhole(_ node: NodeID) -> Bool {
        guard let process = process(node), !process.isWriting, !process.log.hasWork else { return false }
        let disk = disk(of: node)
        return disk.observed {
            guard let contents = try? StoreInspection(disk: disk).contents() else { return false }
            var reader = EntryReader(disk: disk)
            return contents.groups.allSatisfy { group in
                let recovered = group.recovered
                return recovered.mayLead
                    && reader.read(recovered.retained + recovered.entries).allSatisfy { (try? $0.get()) != nil }
            }
        }
    }
}

/// A file of a node's disk.
struct DiskFileName: Hashable {
    var node: NodeID
    var file: VirtualDisk.File
}

extension RecoveredStore {
    /// For a planted bug: nothing was lost.
    mutating func forgetLoss() {
        guard !mayVote else { return }
        mayVote = true
        for position in groups.indices {
            groups[position].mayVote = true
            groups[position].mayLead = groups[position].damaged.isEmpty && groups[position].missing.isEmpty
        }
    }
}
