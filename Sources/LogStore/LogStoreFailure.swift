public import Primitives

/// Why a store cannot be opened or written. Apart from a lack of space none is retried: after a failed sync, or a write
/// that failed otherwise, nothing is known of the disk.
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

    /// Whether the same call may succeed once there is space.
    public var isOutOfSpace: Bool {
        guard case .disk(let failure) = self else { return false }
        return failure.isOutOfSpace
    }
}

extension LogStoreFailure: CustomStringConvertible {
    /// For the operator.
    public var description: String {
        switch self {
        case .disk(let failure): "\(failure)"
        case .identityMissing: "there are segments, but the file 'store', which names the store, is missing"
        case .identityDamaged: "the file 'store', which names the store, is damaged"
        case .foreignSegment(let name): "'\(name)' belongs to another store"
        case .unsupportedVersion(let file, let version):
            "another version of warren, which this one cannot read (\(version)), wrote '\(file)'"
        }
    }
}

/// Runs a disk operation and wraps its failure.
@inline(__always) func disking<T>(_ body: () throws(DiskFailure) -> T) throws(LogStoreFailure) -> T {
    do { return try body() } catch { throw .disk(error) }
}
