/// Why a disk operation failed.
public enum DiskFailure: Error, Hashable, Sendable {
    case notFound(String)
    case noSpace
    /// An `errno` with the operation and the file that met it.
    case system(errno: Int32, operation: String, file: String)
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
    func length(of file: File) throws(DiskFailure) -> Int
    /// Reads up to `buffer.count` bytes at `offset`; fewer only at the end of the file.
    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int
    /// Writes all of `parts`, one after the other, at `offset`.
    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure)
    /// Makes the file's contents durable (fdatasync).
    func sync(_ file: File) throws(DiskFailure)
    func close(_ file: File)
    func rename(_ name: String, to newName: String) throws(DiskFailure)
    func remove(_ name: String) throws(DiskFailure)
    /// Makes creations, renames and removals durable (fsync of the directory).
    func syncDirectory() throws(DiskFailure)
}
