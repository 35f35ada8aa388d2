import CPlatform

/// Why a disk operation failed.
public enum DiskFailure: Error, Hashable, Sendable {
    case notFound(String)
    /// The disk is full, or a quota is used up.
    case noSpace
    /// An `errno` with the operation and the file that met it.
    case system(errno: Int32, operation: String, file: String)

    /// Whether the same operation may succeed once there is space. Nothing was promised by a write that failed so.
    public var isOutOfSpace: Bool { self == .noSpace }
}

extension DiskFailure: CustomStringConvertible {
    /// What failed, which file, and the system's words for why.
    public var description: String {
        switch self {
        case .notFound(let file): "there is no file '\(file)'"
        case .noSpace: "no space left on the disk"
        case .system(let errno, let operation, let file):
            "\(operation) '\(file)': \(String(cString: warren_error_text(errno))) (errno \(errno))"
        }
    }
}

/// A directory of files, as the log store needs it. Production gives POSIX files, the simulator virtual ones that lose
/// what was not synced. Calls block; they are made from the log writer or a reader thread, never from an event loop.
public protocol Disk: Sendable {
    /// An open file.
    associatedtype File: Sendable

    /// Names of all files in the directory, sorted.
    func list() throws(DiskFailure) -> [String]
    /// Opens an existing file for reading and writing.
    func open(_ name: String) throws(DiskFailure) -> File
    /// Creates an empty file; it must not exist.
    func create(_ name: String) throws(DiskFailure) -> File
    /// Takes space for the first `count` bytes of an empty file, so that its lack shows before anything is written.
    func reserve(_ file: File, count: Int) throws(DiskFailure)
    func length(of file: File) throws(DiskFailure) -> Int
    /// Reads up to `buffer.count` bytes at `offset`; fewer only at the end of the file.
    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int
    /// Writes all of `parts`, one after the other, at `offset`.
    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure)
    /// Makes the file's contents durable (fdatasync).
    func sync(_ file: File) throws(DiskFailure)
    func close(_ file: File)
    /// Lets go of what memory keeps of that range, so that the next read comes from the device. It changes nothing
    /// else.
    func evict(_ file: File, at offset: Int, count: Int)
    func rename(_ name: String, to newName: String) throws(DiskFailure)
    /// Gives each of two files the other's name, in one step. A file system that cannot renames `name` to `other`, and
    /// the file that was called so is gone.
    func exchange(_ name: String, _ other: String) throws(DiskFailure)
    func remove(_ name: String) throws(DiskFailure)
    /// Makes creations, renames and removals durable (fsync of the directory).
    func syncDirectory() throws(DiskFailure)
}

extension Disk {
    /// Takes nothing: for disks that find out when they write.
    public func reserve(_ file: File, count: Int) throws(DiskFailure) {}
    /// A disk without a cache keeps nothing.
    public func evict(_ file: File, at offset: Int, count: Int) {}
}
