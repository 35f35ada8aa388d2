import Primitives
import Synchronization

/// A disk that does not give some of what stands on it.
final class RefusingDisk: Disk {
    typealias File = MemoryDisk.File
    let memory: MemoryDisk
    private let state = Mutex(State())

    private struct State {
        var refused: [String: Range<Int>] = [:]
        var names: [Int: String] = [:]
        var reads = 0
        var passing = 0..<0
        var refusesPartsOfPages = false
    }

    init(_ memory: MemoryDisk) { self.memory = memory }

    /// From now on no read of that range succeeds.
    func refuse(_ name: String, _ range: Range<Int>) { state.withLock { $0.refused[name] = range } }

    /// The next reads but `count` fail, `failures` of them.
    func refuse(after count: Int, failures: Int) {
        state.withLock { $0.passing = $0.reads + count..<$0.reads + count + failures }
    }

    /// A write of a part of a page that cannot be read fails; one of a whole page makes it readable.
    func refusesPartsOfUnreadablePages() { state.withLock { $0.refusesPartsOfPages = true } }

    var reads: Int { state.withLock { $0.reads } }

    func list() throws(DiskFailure) -> [String] { try memory.list() }
    func open(_ name: String) throws(DiskFailure) -> File {
        let file = try memory.open(name)
        state.withLock { $0.names[file.node] = name }
        return file
    }
    func create(_ name: String) throws(DiskFailure) -> File { try memory.create(name) }
    func length(of file: File) throws(DiskFailure) -> Int { try memory.length(of: file) }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        let count = buffer.count
        let isRefused = state.withLock { state in
            state.reads += 1
            if state.passing.contains(state.reads - 1) { return true }
            guard let name = state.names[file.node], let range = state.refused[name] else { return false }
            return range.overlaps(offset..<offset + count)
        }
        if isRefused { throw .system(errno: 5, operation: "read", file: "") }
        return try memory.read(file, at: offset, into: buffer)
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        let count = parts.reduce(0) { $0 + $1.count }
        let isRefused = state.withLock { state in
            guard state.refusesPartsOfPages, count > 0, let name = state.names[file.node],
                let range = state.refused[name], range.overlaps(offset..<offset + count)
            else { return false }
            let isWhole = offset <= range.lowerBound && offset + count >= range.upperBound
            if isWhole { state.refused[name] = nil }
            return !isWhole
        }
        if isRefused { throw .system(errno: 5, operation: "write", file: "") }
        try memory.write(file, at: offset, parts)
    }
    func sync(_ file: File) throws(DiskFailure) { try memory.sync(file) }
    func close(_ file: File) {}
    func rename(_ name: String, to newName: String) throws(DiskFailure) { try memory.rename(name, to: newName) }
    func exchange(_ name: String, _ other: String) throws(DiskFailure) { try memory.exchange(name, other) }
    func remove(_ name: String) throws(DiskFailure) { try memory.remove(name) }
    func syncDirectory() throws(DiskFailure) { try memory.syncDirectory() }
}
