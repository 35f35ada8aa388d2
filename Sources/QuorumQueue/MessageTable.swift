public import Primitives

/// Where the messages of one entry lie; built once per entry that is read, from its headers.
public struct MessageTable: Sendable {
    /// A message's body.
    public struct Location: Hashable, Sendable {
        /// Bytes from the start of the entry's bodies.
        public var offset: Int
        /// Bytes of the body.
        public var length: Int
        /// CRC32C of the body.
        public var checksum: UInt32
        /// The priority it was published with.
        public var priority: UInt8?
        /// Milliseconds to live from the entry's timestamp.
        public var expiration: UInt64?

        /// The bytes within the entry's bodies.
        @inlinable public var range: Range<Int> { offset..<offset + length }
    }

    private struct Run {
        var firstOrdinal: Int
        var offset: Int
        var run: EnqueueRun
    }

    /// Ordered by ordinal, without gaps.
    private var runs: [Run] = []
    private let headers: Bytes
    /// Messages in the entry.
    public private(set) var count = 0

    /// Reads the headers of an entry, as far as they are well-formed and their bodies lie within `bodiesLength`; the
    /// machine goes exactly as far.
    public init(headers: Bytes, bodiesLength: Int) {
        self.headers = headers
        var runs: [Run] = []
        var count = 0
        var offset = 0
        headers.withUnsafeBytes { buffer in
            var reader = CommandReader(buffer)
            while let command = try? reader.next() {
                guard case .enqueue(let run) = command else { continue }
                guard count + run.count <= EntryHeader.commandLimit, run.bodiesLength <= bodiesLength - offset else {
                    return
                }
                runs.append(Run(firstOrdinal: count, offset: offset, run: run))
                count += run.count
                offset += run.bodiesLength
            }
        }
        self.runs = runs
        self.count = count
    }

    /// The table of an entry; empty when it holds no commands.
    public init(_ entry: Entry) {
        let isBatch = entry.header.kind == .commands
        self.init(headers: isBatch ? entry.headers : Bytes(), bodiesLength: entry.header.bodiesLength)
    }

    /// The message with this number among the enqueues of the entry; nil when there is none.
    public subscript(ordinal: Int) -> Location? {
        guard ordinal >= 0 && ordinal < count else { return nil }
        var low = 0
        var high = runs.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if runs[middle].firstOrdinal <= ordinal { low = middle } else { high = middle - 1 }
        }
        let run = runs[low]
        let place = ordinal - run.firstOrdinal
        let checksum = headers.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: run.run.checksumsOffset + place * 4, as: UInt32.self))
        }
        return Location(
            offset: run.offset + place * run.run.length, length: run.run.length, checksum: checksum,
            priority: run.run.priority, expiration: run.run.expiration)
    }

    /// Appends the bodies of a run of messages, as slices of `bodies`, the entry's; false, with nothing appended, when
    /// the run is not all in the entry.
    @discardableResult
    public func append(_ ordinals: Range<Int>, of bodies: Bytes, to result: inout [Bytes]) -> Bool {
        guard ordinals.lowerBound >= 0 && ordinals.upperBound <= count else { return false }
        result.reserveCapacity(result.count + ordinals.count)
        for ordinal in ordinals {
            guard let location = self[ordinal], location.range.upperBound <= bodies.count else { return false }
            result.append(bodies[location.range])
        }
        return true
    }
}
