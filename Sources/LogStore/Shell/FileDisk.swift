import CPlatform
import Glibc
public import Primitives

/// A directory of POSIX files, locked for this process as long as the value or a copy lives.
public struct FileDisk: Disk {
    /// An open file; `close(_:)` ends it.
    public struct File: Sendable {
        fileprivate let descriptor: Int32
        fileprivate let name: String
    }

    /// The file that carries the lock.
    public static let lockName = "lock"

    private final class Directory: Sendable {
        let descriptor: Int32
        let lock: Int32

        init(descriptor: Int32, lock: Int32) {
            self.descriptor = descriptor
            self.lock = lock
        }

        deinit {
            Glibc.close(lock)
            Glibc.close(descriptor)
        }
    }

    private let directory: Directory
    /// Where the files are.
    public let path: String

    /// Opens the directory at `path`, makes it when its parent exists, and locks it.
    /// - Throws: `DiskFailure.system` with `EWOULDBLOCK` and the operation `lock` when another process works on it.
    public init(path: String) throws(DiskFailure) {
        self.path = path
        if mkdir(path, 0o750) == 0 { try FileDisk.syncParent(of: path) }
        var descriptor: Int32 = -1
        try FileDisk.check(warren_open_directory(path, &descriptor), "open", path)
        var lock: Int32 = -1
        do throws(DiskFailure) {
            try FileDisk.check(warren_lock_at(descriptor, FileDisk.lockName, &lock), "lock", FileDisk.lockName)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        directory = Directory(descriptor: descriptor, lock: lock)
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

    /// Opens an existing file.
    public func open(_ name: String) throws(DiskFailure) -> File { try open(name, create: false) }

    /// Creates an empty file that must not exist.
    public func create(_ name: String) throws(DiskFailure) -> File { try open(name, create: true) }

    private func open(_ name: String, create: Bool) throws(DiskFailure) -> File {
        var descriptor: Int32 = -1
        let result = warren_open_at(directory.descriptor, name, create ? 1 : 0, &descriptor)
        try FileDisk.check(result, create ? "create" : "open", name)
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

    /// Reads like `read`, but only what the page cache holds.
    /// - Returns: nil when any of it would have to come from the device.
    public func readCached(
        _ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(DiskFailure) -> Int? {
        guard let base = buffer.baseAddress, buffer.count > 0 else { return 0 }
        var done = 0
        let result = warren_pread_cached(file.descriptor, base, buffer.count, UInt64(offset), &done)
        if result == EAGAIN { return nil }
        try FileDisk.check(result, "read", file.name)
        return done
    }

    /// Starts reading that range into the page cache.
    public func willNeed(_ file: File, at offset: Int, count: Int) {
        _ = warren_will_need(file.descriptor, UInt64(offset), UInt64(count))
    }

    /// Allocates the space, where the file system can.
    public func reserve(_ file: File, count: Int) throws(DiskFailure) {
        try FileDisk.check(warren_allocate(file.descriptor, UInt64(count)), "allocate", file.name)
    }

    /// Drops that range's pages from the page cache, as far as they are written.
    public func evict(_ file: File, at offset: Int, count: Int) {
        _ = warren_wont_need(file.descriptor, UInt64(offset), UInt64(count))
    }

    /// Writes all parts with as few calls as the kernel allows.
    public func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        let result = withUnsafeTemporaryAllocation(of: iovec.self, capacity: max(parts.count, 1)) { vectors in
            for (index, part) in parts.enumerated() {
                // `parts` keeps the memory alive until after the call.
                part.withUnsafeBytes { buffer in
                    vectors.initializeElement(
                        at: index,
                        to: iovec(
                            iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count))
                }
            }
            guard let base = vectors.baseAddress else { return Int32(0) }
            return withExtendedLifetime(parts) {
                warren_pwritev(file.descriptor, base, Int32(parts.count), UInt64(offset))
            }
        }
        try FileDisk.check(result, "write", file.name)
    }

    /// fdatasync. An error is final: the pages may count as clean afterwards.
    public func sync(_ file: File) throws(DiskFailure) {
        try FileDisk.check(warren_fdatasync(file.descriptor), "fdatasync", file.name)
    }

    /// Gives the descriptor back; the file must not be used afterwards.
    public func close(_ file: File) { Glibc.close(file.descriptor) }

    /// Replaces `newName` if it exists.
    public func rename(_ name: String, to newName: String) throws(DiskFailure) {
        let result = renameat(directory.descriptor, name, directory.descriptor, newName)
        try FileDisk.check(result == 0 ? 0 : errno, "rename", name)
    }

    /// Exchanges two names in one step, or replaces `other` where the file system cannot.
    public func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        let result = warren_exchange_at(directory.descriptor, name, other)
        if result == EOPNOTSUPP { return try rename(name, to: other) }
        try FileDisk.check(result, "exchange", name)
    }

    /// Removes the name.
    public func remove(_ name: String) throws(DiskFailure) {
        let result = unlinkat(directory.descriptor, name, 0)
        try FileDisk.check(result == 0 ? 0 : errno, "remove", name)
    }

    /// fsync of the directory.
    public func syncDirectory() throws(DiskFailure) {
        try FileDisk.check(warren_fsync(directory.descriptor), "fsync", path)
    }

    /// Makes the name of a new directory durable.
    private static func syncParent(of path: String) throws(DiskFailure) {
        let trimmed = path.hasSuffix("/") ? String(path.dropLast()) : path
        let parent = trimmed.lastIndex(of: "/").map { String(trimmed[...$0]) } ?? "."
        var descriptor: Int32 = -1
        try check(warren_open_directory(parent, &descriptor), "open", parent)
        defer { Glibc.close(descriptor) }
        try check(warren_fsync(descriptor), "fsync", parent)
    }

    static func check(_ result: Int32, _ operation: String, _ file: String) throws(DiskFailure) {
        switch result {
        case 0: return
        case ENOENT: throw .notFound(file)
        case ENOSPC, EDQUOT: throw .noSpace
        default: throw .system(errno: result, operation: operation, file: file)
        }
    }
}
