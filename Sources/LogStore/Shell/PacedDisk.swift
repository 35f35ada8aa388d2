import Glibc
import Primitives

/// Reads another disk slowly and past the page cache: what is seen is what the device has, and what others keep in
/// memory
/// is not pushed out by it.
struct PacedDisk<D: Disk>: Disk {
    typealias File = D.File

    let disk: D
    /// Bytes a second.
    let rate: Int
    /// Waits until then; false when the reading is to be given up.
    let pause: @Sendable (Instant) -> Bool

    func list() throws(DiskFailure) -> [String] { try disk.list() }
    func open(_ name: String) throws(DiskFailure) -> File { try disk.open(name) }
    func length(of file: File) throws(DiskFailure) -> Int { try disk.length(of: file) }
    func close(_ file: File) { disk.close(file) }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        let began = Instant.now
        disk.evict(file, at: offset, count: buffer.count)
        let count = try disk.read(file, at: offset, into: buffer)
        disk.evict(file, at: offset, count: buffer.count)
        let time = Interval(nanoseconds: UInt64(count) * 1_000_000_000 / UInt64(max(rate, 1)))
        guard pause(began + time) else { throw .system(errno: ECANCELED, operation: "read", file: "") }
        return count
    }

    func create(_ name: String) throws(DiskFailure) -> File { throw PacedDisk.refusal("create", name) }
    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        throw PacedDisk.refusal("write", "")
    }
    func sync(_ file: File) throws(DiskFailure) { throw PacedDisk.refusal("fdatasync", "") }
    func rename(_ name: String, to newName: String) throws(DiskFailure) { throw PacedDisk.refusal("rename", name) }
    func exchange(_ name: String, _ other: String) throws(DiskFailure) { throw PacedDisk.refusal("exchange", name) }
    func remove(_ name: String) throws(DiskFailure) { throw PacedDisk.refusal("remove", name) }
    func syncDirectory() throws(DiskFailure) { throw PacedDisk.refusal("fsync", "") }

    private static func refusal(_ operation: String, _ file: String) -> DiskFailure {
        .system(errno: EROFS, operation: operation, file: file)
    }
}
