import CPlatform
import Glibc
public import Primitives

/// A directory of POSIX files that is only read: nothing is made, not even the lock file. As long as the value or a
/// copy lives, no node can start on the directory.
public struct ReadOnlyDisk: Disk {
    /// An open file; `close(_:)` ends it.
    public struct File: Sendable {
        fileprivate let descriptor: Int32
        fileprivate let name: String
    }

    private final class Directory: Sendable {
        let descriptor: Int32
        /// -1 when no node ever ran here.
        let lock: Int32

        init(descriptor: Int32, lock: Int32) {
            self.descriptor = descriptor
            self.lock = lock
        }

        deinit {
            if lock >= 0 { Glibc.close(lock) }
            Glibc.close(descriptor)
        }
    }

    private let directory: Directory
    /// Where the files are.
    public let path: String

    /// Opens the directory at `path`, which must exist, and shares its lock with other readers.
    /// - Throws: `DiskFailure.system` with `EWOULDBLOCK` and the operation `lock` when a node works on it;
    ///   `DiskFailure.notFound` when it is not there.
    public init(path: String) throws(DiskFailure) {
        self.path = path
        var descriptor: Int32 = -1
        try FileDisk.check(warren_open_directory(path, &descriptor), "open", path)
        let lock = openat(descriptor, FileDisk.lockName, O_RDONLY | O_CLOEXEC)
        let opened = lock >= 0 ? 0 : errno
        directory = Directory(descriptor: descriptor, lock: lock)
        if opened == ENOENT { return }
        try FileDisk.check(opened, "open", FileDisk.lockName)
        let locked = flock(lock, LOCK_SH | LOCK_NB) == 0 ? 0 : errno
        try FileDisk.check(locked, "lock", FileDisk.lockName)
    }

    /// Names in the directory, sorted, without those that start with a dot.
    public func list() throws(DiskFailure) -> [String] {
        var names: [String] = []
        let result = withUnsafeMutablePointer(to: &names) { pointer in
            warren_list_directory(
                directory.descriptor,
                { context, name in
                    context?.assumingMemoryBound(to: [String].self).pointee.append(String(cString: name))
                }, pointer)
        }
        try FileDisk.check(result, "list", path)
        return names.sorted()
    }

    /// Opens an existing file for reading.
    public func open(_ name: String) throws(DiskFailure) -> File {
        let descriptor = openat(directory.descriptor, name, O_RDONLY | O_CLOEXEC)
        try FileDisk.check(descriptor >= 0 ? 0 : errno, "open", name)
        return File(descriptor: descriptor, name: name)
    }

    /// Bytes of the file.
    public func length(of file: File) throws(DiskFailure) -> Int {
        var length: UInt64 = 0
        try FileDisk.check(warren_file_length(file.descriptor, &length), "length", file.name)
        return Int(length)
    }

    /// Reads up to the buffer's size; fewer bytes only at the end of the file.
    public func read(
        _ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskFailure) -> Int {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        var done = 0
        try FileDisk.check(
            warren_pread(file.descriptor, base, buffer.count, UInt64(offset), &done), "read", file.name)
        return done
    }

    /// Gives the descriptor back; the file must not be used afterwards.
    public func close(_ file: File) { Glibc.close(file.descriptor) }

    /// Always fails.
    public func create(_ name: String) throws(DiskFailure) -> File { throw ReadOnlyDisk.refusal("create", name) }
    /// Always fails.
    public func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        throw ReadOnlyDisk.refusal("write", file.name)
    }
    /// Always fails.
    public func sync(_ file: File) throws(DiskFailure) { throw ReadOnlyDisk.refusal("fdatasync", file.name) }
    /// Always fails.
    public func rename(_ name: String, to newName: String) throws(DiskFailure) {
        throw ReadOnlyDisk.refusal("rename", name)
    }
    /// Always fails.
    public func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        throw ReadOnlyDisk.refusal("exchange", name)
    }
    /// Always fails.
    public func remove(_ name: String) throws(DiskFailure) { throw ReadOnlyDisk.refusal("remove", name) }
    /// Always fails.
    public func syncDirectory() throws(DiskFailure) { throw ReadOnlyDisk.refusal("fsync", path) }

    private static func refusal(_ operation: String, _ file: String) -> DiskFailure {
        .system(errno: EROFS, operation: operation, file: file)
    }
}
