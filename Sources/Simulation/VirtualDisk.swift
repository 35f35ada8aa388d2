import Primitives

/// A disk in memory that loses what was not synced: at a crash every such sector is kept, lost or torn for itself.
///
/// Confined to the simulation's one thread.
final class VirtualDisk: Disk, @unchecked Sendable {
    struct File: Sendable { let number: Int }

    fileprivate struct Contents {
        var bytes: [UInt8] = []
        /// What is on the platter, as far as it differs: sectors written since the last sync, as they were before.
        var overwritten: [Int: [UInt8]] = [:]
        /// Length at the last sync.
        var durableLength = 0
    }

    private static let sector = 512

    private var files: [Contents] = []
    /// Names as they are, and as they are durable.
    private var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]

    func list() throws(DiskFailure) -> [String] { names.keys.sorted() }

    func open(_ name: String) throws(DiskFailure) -> File {
        guard let number = names[name] else { throw .notFound(name) }
        return File(number: number)
    }

    func create(_ name: String) throws(DiskFailure) -> File {
        guard names[name] == nil else { throw .system(errno: 17, operation: "create", file: name) }
        files.append(Contents())
        names[name] = files.count - 1
        return File(number: files.count - 1)
    }

    func length(of file: File) throws(DiskFailure) -> Int { files[file.number].bytes.count }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        files[file.number].bytes.withUnsafeBytes { bytes in
            let start = min(offset, bytes.count)
            let count = min(buffer.count, bytes.count - start)
            guard count > 0 else { return 0 }
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            return count
        }
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        let count = parts.reduce(0) { $0 + $1.count }
        guard count > 0 else { return }
        files[file.number].prepare(offset..<offset + count)
        var place = offset
        files[file.number].bytes.withUnsafeMutableBytes { bytes in
            for part in parts {
                part.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: bytes[place...]).copyMemory(from: source)
                }
                place += part.count
            }
        }
    }

    func sync(_ file: File) throws(DiskFailure) {
        files[file.number].overwritten.removeAll(keepingCapacity: true)
        files[file.number].durableLength = files[file.number].bytes.count
    }

    /// For a planted bug: the sectors of that range are not on the platter yet.
    func unsync(_ file: File, _ range: Range<Int>) {
        for number in range.lowerBound / VirtualDisk.sector...(range.upperBound - 1) / VirtualDisk.sector {
            files[file.number].overwritten[number] = []
        }
    }

    /// A byte on the platter turns.
    func flip(segment: UInt32, at offset: Int) {
        let digits = String(segment)
        let name = "segment-" + String(repeating: "0", count: 10 - digits.count) + digits
        guard let number = names[name], offset < files[number].bytes.count else { return }
        files[number].bytes[offset] ^= 0x10
    }

    func close(_ file: File) {}

    func rename(_ name: String, to newName: String) throws(DiskFailure) {
        guard let number = names.removeValue(forKey: name) else { throw .notFound(name) }
        names[newName] = number
    }

    func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        guard let first = names[name] else { throw .notFound(name) }
        guard let second = names[other] else { throw .notFound(other) }
        names[name] = second
        names[other] = first
    }

    func remove(_ name: String) throws(DiskFailure) {
        guard names.removeValue(forKey: name) != nil else { throw .notFound(name) }
    }

    func syncDirectory() throws(DiskFailure) { durableNames = names }

    /// The process, or the machine, stops: what was not synced is lost, kept or torn.
    func crash(_ random: inout SeededRandom) {
        for number in files.indices { files[number].crash(&random, sector: VirtualDisk.sector) }
        // Unsynced changes of the directory come through all together or not at all.
        if random.oneIn(2) { names = durableNames } else { durableNames = names }
        // What no name leads to any more is free space.
        let named = Set(names.values)
        for number in files.indices where !named.contains(number) { files[number] = Contents() }
    }
}

extension VirtualDisk.Contents {
    /// Makes room for a write and keeps what it overwrites.
    fileprivate mutating func prepare(_ range: Range<Int>) {
        if bytes.count < range.upperBound {
            bytes.append(contentsOf: repeatElement(0, count: range.upperBound - bytes.count))
        }
        for number in range.lowerBound / 512...(range.upperBound - 1) / 512 where overwritten[number] == nil {
            let end = min(number * 512 + 512, durableLength)
            overwritten[number] = number * 512 < end ? Array(bytes[number * 512..<end]) : []
        }
    }

    fileprivate mutating func crash(_ random: inout SeededRandom, sector: Int) {
        guard !overwritten.isEmpty || durableLength != bytes.count else { return }
        let keepsLength = random.oneIn(2)
        var longest = durableLength
        for number in overwritten.keys.sorted() {
            let start = number * sector
            let end = min(start + sector, bytes.count)
            let kept: Int
            switch random.next(below: 3) {
            case 0: kept = 0
            case 1: kept = end - start
            default: kept = Int(random.next(below: UInt64(end - start) + 1))
            }
            let before = overwritten[number] ?? []
            for place in start + kept..<end {
                bytes[place] = place - start < before.count ? before[place - start] : 0
            }
            if kept > 0 { longest = max(longest, start + kept) }
        }
        if !keepsLength { bytes.removeLast(bytes.count - longest) }
        overwritten = [:]
        durableLength = bytes.count
    }
}
