import LogStore
import Primitives

extension FuzzTarget {
    /// A node's log on a disk that somebody changed: an octet for the store to begin with, one for the checksums that
    /// are made right afterwards, then the changes.
    static let log = FuzzTarget(name: "log", maximumLength: 512, seeds: LogInput.seeds) { input in
        var reader = InputReader(input)
        let images = LogImages.all
        let disk = ByteDisk(images[Int(reader.byte()) % images.count])
        let seals = LogSeals(rawValue: reader.byte())
        for _ in 0..<64 where !reader.isAtEnd { LogInput.change(disk, &reader) }
        for name in disk.names { disk.change(name) { seals.apply(to: $0, named: name) } }
        LogInput.inspect(disk)
        LogInput.open(disk)
    }
}

enum LogInput {
    static let sizes = LogConfiguration(segmentSize: 16 << 10, firstSegmentSize: 16 << 10, readySegments: 1)

    /// Looking changes nothing and finds words for everything.
    static func inspect(_ disk: ByteDisk) {
        guard let inspection = try? StoreInspection(disk: disk) else { return }
        _ = (try? inspection.verify())?.problems.map(\.description)
        _ = try? inspection.contents()
    }

    /// Opening ends in records or a typed error. What was opened can be read, written and opened again.
    static func open(_ disk: ByteDisk) {
        var random = SeededRandom(seed: 7)
        guard
            let (opened, store) = try? NodeLog.open(disk: disk, configuration: sizes, randomness: &random)
        else { return }
        var log = opened
        var reader = EntryReader(disk: disk)
        for group in store.groups {
            for location in group.entries.prefix(200) + group.retained.prefix(200) { _ = try? reader.read(location) }
            _ = group.lastIndex
            promise(group.vote == nil || group.term > .zero, "a vote has a term")
        }
        reader.close()
        let group = GroupID(77)
        log.stage([.groupCreated(group: group, Bytes("new")), .entry(LogImages.entry(1, group: 77))], ticket: 1)
        guard LogImages.flush(&log, disk) else { return }
        _ = try? log.reclaimStep { $0.map { _ in true } }
        log.close()
        guard let again = try? NodeLog.open(disk: disk, configuration: sizes, randomness: &random) else {
            fatalError("broken: what was opened can be opened again")
        }
        promise(again.store.incarnation > store.incarnation, "a start is a new incarnation")
        if !store.groups.contains(where: { $0.group == group }) && !store.removedGroups.contains(group) {
            let found = again.store.groups.first { $0.group == group }
            promise(found?.lastIndex == LogIndex(1), "what is durable is there after the next start")
        }
        again.log.close()
    }

    // MARK: Changes

    /// One change: a kind, a file, a place in it, and what it takes.
    static func change(_ disk: ByteDisk, _ reader: inout InputReader) {
        let kind = reader.byte()
        let names = disk.names
        guard !names.isEmpty else { return }
        let name = names[Int(reader.byte()) % names.count]
        var bytes = disk[name] ?? []
        switch kind % 8 {
        case 0:
            let offset = reader.word()
            put(reader.bytes(Int(reader.byte() & 15) + 1), in: &bytes, at: offset)
        case 1:
            // Relative to a head: of the file, of a segment, a frame or a footer.
            let heads = LogSeals.heads(in: bytes)
            let head = heads.isEmpty ? 0 : heads[Int(reader.byte()) % heads.count]
            let offset = head + Int(reader.byte())
            put(reader.bytes(Int(reader.byte() & 7) + 1), in: &bytes, at: offset)
        case 2:
            let start = min(reader.word(), bytes.count)
            let end = min(start + reader.word(), bytes.count)
            for place in start..<end { bytes[place] = 0 }
        case 3: bytes.removeLast(min(bytes.count, reader.word()))
        case 4: bytes.append(contentsOf: repeatElement(reader.byte(), count: Int(reader.byte()) * 64))
        case 5:
            // A sector of another file, as a misdirected write puts it.
            let other = disk[names[Int(reader.byte()) % names.count]] ?? []
            let from = Int(reader.byte()) * 512
            let sector = Bytes(Array(other.dropFirst(from).prefix(512)))
            put(sector, in: &bytes, at: Int(reader.byte()) * 512)
        case 6:
            disk[name] = nil
            return
        default:
            disk[name] = nil
            disk[LogImages.segment(UInt32(reader.word()) << (UInt32(reader.byte()) % 17))] = bytes
            return
        }
        disk[name] = bytes
    }

    private static func put(_ new: Bytes, in bytes: inout [UInt8], at offset: Int) {
        for (place, byte) in zip(offset..., new.toArray()) where place < bytes.count { bytes[place] = byte }
    }

    @Sendable static func seeds() -> [[UInt8]] {
        var seeds: [[UInt8]] = []
        for image in 0..<UInt8(LogImages.all.count) {
            for seal in [0, 0xff] as [UInt8] {
                seeds += [
                    [image, seal], [image, seal, 0, 0, 16, 0, 3, 9, 9, 9, 9], [image, seal, 1, 1, 2, 40, 0, 0x40],
                    [image, seal, 2, 1, 0, 33, 0, 2], [image, seal, 3, 2, 0, 2], [image, seal, 4, 1, 0, 8],
                    [image, seal, 5, 1, 2, 17, 18], [image, seal, 6, 1], [image, seal, 7, 1, 9, 0, 0],
                ]
            }
        }
        return seeds
    }
}
