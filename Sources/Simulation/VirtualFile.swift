import Primitives

/// A file of the virtual disk: what the page cache shows, and what of it is not on the platter.
struct VirtualFile {
    /// A sector that was written since it was last synced.
    private struct DirtySector {
        /// What is on the platter; shorter where the file was.
        var before: [UInt8]
        /// A sync of it failed: it counts as clean, so no later sync writes it.
        var isForgotten = false
    }

    var bytes: [UInt8] = []
    private var dirty: [Int: DirtySector] = [:]
    /// Length at the last sync.
    private var durableLength = 0
    /// Sectors that the device does not give.
    private var unreadable: Set<Int> = []

    private static func sectors(_ range: Range<Int>) -> ClosedRange<Int> {
        range.lowerBound / VirtualDisk.sector...max(range.lowerBound, range.upperBound - 1) / VirtualDisk.sector
    }

    func isUnreadable(_ range: Range<Int>) -> Bool {
        !unreadable.isEmpty && !range.isEmpty && VirtualFile.sectors(range).contains { unreadable.contains($0) }
    }

    mutating func makeUnreadable(_ range: Range<Int>) {
        for number in VirtualFile.sectors(range) { unreadable.insert(number) }
    }

    /// Makes room for a write and keeps what it overwrites.
    mutating func prepare(_ range: Range<Int>) {
        if bytes.count < range.upperBound {
            bytes.append(contentsOf: repeatElement(0, count: range.upperBound - bytes.count))
        }
        let size = VirtualDisk.sector
        for number in VirtualFile.sectors(range) {
            // The device writes it elsewhere.
            if !unreadable.isEmpty { unreadable.remove(number) }
            guard dirty[number] == nil else {
                dirty[number]?.isForgotten = false
                continue
            }
            let end = min(number * size + size, durableLength)
            dirty[number] = DirtySector(before: number * size < end ? Array(bytes[number * size..<end]) : [])
        }
    }

    mutating func sync() {
        if dirty.values.contains(where: \.isForgotten) {
            dirty = dirty.filter { $0.value.isForgotten }
        } else {
            dirty.removeAll(keepingCapacity: true)
        }
        durableLength = bytes.count
    }

    /// As Linux has it: the pages count as clean, can be read, and are gone after the next power failure.
    mutating func failSync() {
        for number in dirty.keys { dirty[number]?.isForgotten = true }
    }

    mutating func unsync(_ range: Range<Int>) {
        for number in VirtualFile.sectors(range) { dirty[number] = DirtySector(before: []) }
    }

    /// Power fails. Returns how many sectors were lost or torn.
    mutating func crash(_ random: inout SeededRandom) -> Int {
        guard !dirty.isEmpty || durableLength != bytes.count else { return 0 }
        let size = VirtualDisk.sector
        var lost = 0
        var longest = durableLength
        for number in dirty.keys.sorted() {
            let start = number * size
            let end = min(start + size, bytes.count)
            guard start < end, let sector = dirty[number] else { continue }
            let kept: Int
            switch random.next(below: 3) {
            case _ where sector.isForgotten: kept = 0
            case 0: kept = 0
            case 1: kept = end - start
            default: kept = Int(random.next(below: UInt64(end - start) + 1))
            }
            if kept < end - start { lost += 1 }
            for place in start + kept..<end {
                bytes[place] = place - start < sector.before.count ? sector.before[place - start] : 0
            }
            if kept > 0 { longest = max(longest, start + kept) }
        }
        // The length is a datum of its own, somewhere between what must and what may be.
        let excess = bytes.count - longest
        if excess > 0 && random.oneIn(2) {
            bytes.removeLast(random.oneIn(2) ? excess : Int(random.next(below: UInt64(excess) + 1)))
        }
        dirty = [:]
        durableLength = bytes.count
        return lost
    }
}
