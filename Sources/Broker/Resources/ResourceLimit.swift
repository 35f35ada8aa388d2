/// A limit as it is configured: a share of the memory, or bytes.
public enum ResourceLimit: Hashable, Sendable {
    /// Times the memory available to the process; finite, from 0.
    case relative(Double)
    /// Bytes.
    case absolute(UInt64)

    /// In bytes, at most `UInt64.max`.
    ///
    /// - Parameter memory: bytes available to the process.
    public func bytes(memory: UInt64) -> UInt64 {
        switch self {
        case .absolute(let bytes): return bytes
        case .relative(let factor):
            let product = factor * Double(memory)
            guard product > 0 else { return 0 }
            return product < 0x1p63 ? UInt64(product) : .max
        }
    }

    /// Reads a plain decimal number such as `0.6`; nil for anything else and above `limit`.
    static func relative(_ text: String, upTo limit: Double) -> ResourceLimit? {
        guard text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let factor = Double(text), factor <= limit
        else { return nil }
        return .relative(factor)
    }

    /// Reads whole bytes with one of RabbitMQ 4's suffixes, in either case: powers of 1,000 as `k` and `kB`, powers of
    /// 1,024 as `Ki` and `KiB`, up to `P`; nil for anything else and above 64 bits.
    static func absolute(_ text: String) -> ResourceLimit? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits), let unit = multiplier(text.dropFirst(digits.count).trimmed.lowercased())
        else { return nil }
        let (bytes, overflows) = number.multipliedReportingOverflow(by: unit)
        return overflows ? nil : .absolute(bytes)
    }

    private static func multiplier(_ suffix: String) -> UInt64? {
        guard let letter = suffix.first else { return 1 }
        let letters: [Character] = ["k", "m", "g", "t", "p"]
        guard let power = letters.firstIndex(of: letter) else { return nil }
        let base: UInt64
        switch suffix.dropFirst() {
        case "", "b": base = 1_000
        case "i", "ib": base = 1_024
        default: return nil
        }
        return (0..<power).reduce(base) { product, _ in product * base }
    }
}

/// A node's limits in bytes.
public struct ResourceLimits: Hashable, Sendable {
    /// Resident bytes of the process at which publishers have to wait.
    public var memory: UInt64
    /// Free bytes of the data directory's file system at which publishers have to wait.
    public var diskFree: UInt64

    /// Limits that nothing reaches but a disk without a free byte.
    public init(memory: UInt64 = .max, diskFree: UInt64 = 0) {
        self.memory = memory
        self.diskFree = diskFree
    }

    /// Least bytes of the entry cache: one entry of full size.
    private static let leastCache = 1 << 20

    /// What the cache of recent entries may take: a quarter of the memory limit.
    ///
    /// - Parameter preferred: its size where memory allows, in bytes.
    package func entryCache(preferred: Int) -> Int {
        min(preferred, max(ResourceLimits.leastCache, Int(clamping: memory / 4)))
    }
}
