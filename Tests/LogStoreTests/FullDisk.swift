import Primitives
import Synchronization

/// A disk with only so much space: what a write adds to a file must fit, and as much as fits is written before it
/// fails.
final class FullDisk: Disk {
    typealias File = MemoryDisk.File

    private struct State {
        var capacity = Int.max
        var writesInPlaceFail = false
        var nextSyncFails = false
    }

    let memory: MemoryDisk
    private let state = Mutex(State())

    init(_ memory: MemoryDisk = MemoryDisk()) { self.memory = memory }

    private func used() throws(DiskFailure) -> Int {
        var sum = 0
        for name in try memory.list() { sum += memory.contents(name).count }
        return sum
    }

    /// No space beyond these bytes is left.
    func fill(leaving bytes: Int = 0) throws {
        let used = try used()
        state.withLock { $0.capacity = used + bytes }
    }

    /// There is space again.
    func makeRoom() {
        state.withLock {
            $0.capacity = .max
            $0.writesInPlaceFail = false
        }
    }

    /// Even a write that adds nothing to a file wants space, as where files are copied on write.
    func failWritesInPlace() { state.withLock { $0.writesInPlaceFail = true } }

    /// The next sync fails.
    func failNextSync() { state.withLock { $0.nextSyncFails = true } }

    /// How many of `count` further bytes fit.
    private func room(for count: Int) throws(DiskFailure) -> Int {
        let used = try used()
        return state.withLock { max(0, min(count, $0.capacity - used)) }
    }

    func list() throws(DiskFailure) -> [String] { try memory.list() }
    func open(_ name: String) throws(DiskFailure) -> File { try memory.open(name) }
    func create(_ name: String) throws(DiskFailure) -> File { try memory.create(name) }
    func length(of file: File) throws(DiskFailure) -> Int { try memory.length(of: file) }
    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        try memory.read(file, at: offset, into: buffer)
    }

    func reserve(_ file: File, count: Int) throws(DiskFailure) {
        let growth = max(0, count - (try memory.length(of: file)))
        if try room(for: growth) < growth { throw .noSpace }
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        if state.withLock({ $0.writesInPlaceFail }) { throw .noSpace }
        let bytes = Bytes(parts.flatMap { $0.toArray() })
        let length = try memory.length(of: file)
        let growth = max(0, offset + bytes.count - length)
        let room = try room(for: growth)
        guard room < growth else { return try memory.write(file, at: offset, parts) }
        try memory.write(file, at: offset, [bytes[0..<max(0, bytes.count - growth + room)]])
        throw .noSpace
    }

    func sync(_ file: File) throws(DiskFailure) {
        let fails = state.withLock { state in
            defer { state.nextSyncFails = false }
            return state.nextSyncFails
        }
        if fails { throw .system(errno: 5, operation: "fdatasync", file: "") }
        try memory.sync(file)
    }

    func close(_ file: File) {}
    func rename(_ name: String, to newName: String) throws(DiskFailure) { try memory.rename(name, to: newName) }
    func exchange(_ name: String, _ other: String) throws(DiskFailure) { try memory.exchange(name, other) }
    func remove(_ name: String) throws(DiskFailure) { try memory.remove(name) }
    func syncDirectory() throws(DiskFailure) { try memory.syncDirectory() }
}
