import Primitives
import Synchronization

/// Counts down from any thread.
final class CountDown: Sendable {
    private let left: Mutex<Int>
    init(_ count: Int) { left = Mutex(count) }

    /// False when nothing is left.
    func take() -> Bool {
        left.withLock { left in
            guard left > 0 else { return false }
            left -= 1
            return true
        }
    }
}

/// A disk in memory that loses what was not synced: at a crash every such sector is kept, lost or torn for itself.
final class MemoryDisk: Disk {
    struct File: Sendable {
        let node: Int
    }

    struct Node: Sendable {
        var bytes: [UInt8] = []
        var durable: [UInt8] = []
        /// Sectors written since the last sync.
        var dirty: Set<Int> = []
    }

    struct State: Sendable {
        var nodes: [Node] = []
        /// Names as they are, and as they are durable.
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var syncs = 0
        var failingSyncs = false
    }

    static let sector = 512
    private let state: Mutex<State>

    init() { state = Mutex(State()) }
    private init(_ copy: State) { state = Mutex(copy) }

    /// An independent copy.
    func clone() -> MemoryDisk { MemoryDisk(state.withLock { $0 }) }

    var syncs: Int { state.withLock { $0.syncs } }

    /// From now on every sync fails, or no longer does.
    func failSyncs(_ failing: Bool = true) { state.withLock { $0.failingSyncs = failing } }

    /// The power fails.
    func crash(_ random: inout SeededRandom) {
        var generator = random
        state.withLock { state in
            for index in state.nodes.indices { state.nodes[index].crash(&generator) }
            // Unsynced changes of the directory come through all together or not at all.
            if generator.oneIn(2) { state.names = state.durableNames } else { state.durableNames = state.names }
        }
        random = generator
    }

    func contents(_ name: String) -> [UInt8] {
        state.withLock { state in state.names[name].map { state.nodes[$0].bytes } ?? [] }
    }

    /// Replaces a file's contents, durably.
    func replace(_ name: String, with bytes: [UInt8]) {
        state.withLock { state in
            guard let node = state.names[name] else { return }
            state.nodes[node] = Node(bytes: bytes, durable: bytes)
        }
    }

    /// Removes a file, durably.
    func lose(_ name: String) {
        state.withLock { state in
            state.names[name] = nil
            state.durableNames[name] = nil
        }
    }

    func list() throws(DiskFailure) -> [String] { state.withLock { $0.names.keys.sorted() } }

    func open(_ name: String) throws(DiskFailure) -> File {
        guard let node = state.withLock({ $0.names[name] }) else { throw .notFound(name) }
        return File(node: node)
    }

    func create(_ name: String) throws(DiskFailure) -> File {
        let node: Int? = state.withLock { state in
            guard state.names[name] == nil else { return nil }
            state.nodes.append(Node())
            state.names[name] = state.nodes.count - 1
            return state.nodes.count - 1
        }
        guard let node else { throw .system(errno: 17, operation: "create", file: name) }
        return File(node: node)
    }

    func length(of file: File) throws(DiskFailure) -> Int { state.withLock { $0.nodes[file.node].bytes.count } }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[...])
        return state.withLock { state in
            state.nodes[file.node].bytes.withUnsafeBytes { bytes in
                let start = min(offset, bytes.count)
                let count = min(target.count, bytes.count - start)
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
                return count
            }
        }
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        state.withLock { state in
            var place = offset
            for part in parts {
                part.withUnsafeBytes { state.nodes[file.node].write($0, at: place) }
                place += part.count
            }
        }
    }

    func sync(_ file: File) throws(DiskFailure) {
        let failed = state.withLock { state in
            if state.failingSyncs {
                // As Linux has it: the pages count as clean, can still be read, and are lost at the next crash.
                state.nodes[file.node].dirty = []
                return true
            }
            state.syncs += 1
            state.nodes[file.node].sync()
            return false
        }
        if failed { throw .system(errno: 5, operation: "fdatasync", file: "") }
    }

    func close(_ file: File) {}

    func rename(_ name: String, to newName: String) throws(DiskFailure) {
        let found = state.withLock { state in
            guard let node = state.names.removeValue(forKey: name) else { return false }
            state.names[newName] = node
            return true
        }
        if !found { throw .notFound(name) }
    }

    func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        let found = state.withLock { state in
            guard let first = state.names[name], let second = state.names[other] else { return false }
            state.names[name] = second
            state.names[other] = first
            return true
        }
        if !found { throw .notFound(other) }
    }

    func remove(_ name: String) throws(DiskFailure) {
        let found = state.withLock { $0.names.removeValue(forKey: name) != nil }
        if !found { throw .notFound(name) }
    }

    func syncDirectory() throws(DiskFailure) { state.withLock { $0.durableNames = $0.names } }
}

extension MemoryDisk.Node {
    mutating func write(_ data: UnsafeRawBufferPointer, at offset: Int) {
        guard !data.isEmpty else { return }
        if bytes.count < offset + data.count {
            bytes.append(contentsOf: [UInt8](repeating: 0, count: offset + data.count - bytes.count))
        }
        bytes.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[offset...]).copyMemory(from: data) }
        for sector in offset / MemoryDisk.sector...(offset + data.count - 1) / MemoryDisk.sector {
            dirty.insert(sector)
        }
    }

    mutating func sync() {
        if durable.count < bytes.count {
            durable.append(contentsOf: [UInt8](repeating: 0, count: bytes.count - durable.count))
        }
        for sector in dirty {
            let start = sector * MemoryDisk.sector
            let end = min(start + MemoryDisk.sector, bytes.count)
            durable.replaceSubrange(start..<end, with: bytes[start..<end])
        }
        dirty = []
    }

    mutating func crash(_ random: inout SeededRandom) {
        var result = durable
        if bytes.count > result.count && random.oneIn(2) {
            result.append(contentsOf: [UInt8](repeating: 0, count: bytes.count - result.count))
        }
        for sector in dirty.sorted() {
            let start = sector * MemoryDisk.sector
            let end = min(start + MemoryDisk.sector, bytes.count)
            let kept: Int
            switch random.next(below: 3) {
            case 0: kept = 0
            case 1: kept = end - start
            default: kept = Int(random.next(below: UInt64(end - start) + 1))
            }
            if kept == 0 { continue }
            if result.count < start + kept {
                result.append(contentsOf: [UInt8](repeating: 0, count: start + kept - result.count))
            }
            result.replaceSubrange(start..<start + kept, with: bytes[start..<start + kept])
        }
        self = MemoryDisk.Node(bytes: result, durable: result)
    }
}
