public import Primitives

/// Why a store cannot be opened or written. None is retried: after a failed write or sync nothing is known of the disk.
public enum LogStoreFailure: Error, Hashable, Sendable {
    case disk(DiskFailure)
    /// There are segments, but the file that names the store is gone.
    case identityMissing
    /// Neither copy of the store's identity is intact.
    case identityDamaged
    /// The segment belongs to another store.
    case foreignSegment(String)
    /// Written by a newer version of the product.
    case unsupportedVersion(file: String, version: Int)
}

/// Runs a disk operation and wraps its failure.
@inline(__always) func disking<T>(_ body: () throws(DiskFailure) -> T) throws(LogStoreFailure) -> T {
    do { return try body() } catch { throw .disk(error) }
}
