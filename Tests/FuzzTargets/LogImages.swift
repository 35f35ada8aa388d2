import LogStore
import Primitives

/// Stores as a node leaves them.
enum LogImages {
    static let all: [[String: [UInt8]]] = [fresh, small, sealed(isReclaimed: false), sealed(isReclaimed: true)]

    static func segment(_ number: UInt32) -> String {
        let digits = String(number)
        return "segment-" + String(repeating: "0", count: 10 - digits.count) + digits
    }

    static func entry(_ index: UInt64, group: UInt64 = 5, size: Int = 40) -> Entry {
        let bytes = Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size))
        return bytes.withUnsafeBytes { bytes in
            Entry(
                kind: .commands, group: GroupID(group), index: LogIndex(index), term: Term(1),
                timestamp: WallTime(milliseconds: 1), headers: UnsafeRawBufferPointer(rebasing: bytes[..<(size / 4)]),
                bodies: UnsafeRawBufferPointer(rebasing: bytes[(size / 4)...]))
        }
    }

    /// Writes what is staged; false when the disk is full.
    static func flush(_ log: inout NodeLog<ByteDisk>, _ disk: ByteDisk) -> Bool {
        do throws(LogStoreFailure) {
            while let write = try log.prepareFrame() {
                do throws(DiskFailure) {
                    try disk.write(write.file, at: write.offset, write.parts)
                } catch {
                    return false
                }
                _ = log.frameDurable(write)
            }
            return true
        } catch {
            return false
        }
    }

    private static func store(_ work: (inout NodeLog<ByteDisk>, ByteDisk) -> Void) -> [String: [UInt8]] {
        let disk = ByteDisk()
        var random = SeededRandom(seed: 3)
        guard var log = try? NodeLog.open(disk: disk, configuration: LogInput.sizes, randomness: &random).log else {
            return [:]
        }
        work(&log, disk)
        log.close()
        return disk.contents
    }

    private static let fresh = store { _, _ in }

    private static let small = store { log, disk in
        let group = GroupID(5)
        let steps: [[LogRecord]] = [
            [.groupCreated(group: group, Bytes("p")), .hardState(group: group, term: Term(1), vote: NodeID(2))],
            [.entry(entry(1)), .entry(entry(2)), .configuration(group: group, Bytes("c"))],
            [.entry(entry(3)), .truncate(group: group, from: LogIndex(3)), .entry(entry(3, size: 80))],
            [.groupCreated(group: GroupID(6), Bytes("q")), .groupRemoved(group: GroupID(6), at: LogIndex(1))],
        ]
        for (number, step) in steps.enumerated() {
            log.stage(step, ticket: UInt64(number))
            _ = flush(&log, disk)
        }
        log.stageAttestation()
        _ = flush(&log, disk)
    }

    /// Several segments with a snapshot; with and without those that it emptied.
    private static func sealed(isReclaimed: Bool) -> [String: [UInt8]] {
        store { log, disk in
            let group = GroupID(5)
            log.stage([.groupCreated(group: group, Bytes("p"))], ticket: 0)
            var locations: [EntryLocation] = []
            for index in 1...60 as ClosedRange<UInt64> {
                try? log.prepareSegments()
                log.stage([.entry(entry(index, size: 900))], ticket: index)
                while let write = try? log.prepareFrame() {
                    try? disk.write(write.file, at: write.offset, write.parts)
                    locations += log.frameDurable(write).flatMap(\.locations)
                }
            }
            let mark = SnapshotMark(
                group: group, index: LogIndex(50), term: Term(1), byteCount: 6,
                live: [LogIndex(3)...LogIndex(4), LogIndex(40)...LogIndex(40)])
            let chunks = [0, 3].map { offset in
                LogRecord.snapshotChunk(
                    SnapshotChunk(
                        group: group, index: LogIndex(50), term: Term(1), offset: offset, bytes: Bytes("abc")))
            }
            log.stage(chunks + [.snapshotCurrent(mark)], ticket: 100)
            _ = flush(&log, disk)
            if isReclaimed { reclaim(&log, disk, locations, mark) }
            log.stageAttestation(cleanStop: isReclaimed)
            _ = flush(&log, disk)
        }
    }

    private static func reclaim(
        _ log: inout NodeLog<ByteDisk>, _ disk: ByteDisk, _ locations: [EntryLocation], _ mark: SnapshotMark
    ) {
        func isLive(_ index: LogIndex) -> Bool { index > mark.index || mark.live.contains { $0.contains(index) } }
        log.release(locations.filter { !isLive($0.index) }.map { SegmentRelease($0) })
        for _ in 0..<100 {
            guard let progress = try? log.reclaimStep(isLive: { $0.map { isLive($0.index) } }) else { break }
            _ = flush(&log, disk)
            _ = log.takeRelocations()
            if progress == .idle { break }
        }
        _ = log.takeRetiredSegments()
    }
}
