public import Primitives

/// The bodies of consecutive messages, side by side in one piece of memory: delivering a run costs one small array, and
/// delivering one message none.
public struct MessageBodies: RandomAccessCollection, Sendable {
    /// All bodies, one after the other.
    public let bytes: Bytes
    /// Where each body ends in `bytes`, ascending; empty when there is one body.
    private let ends: [UInt32]

    /// One body.
    public init(_ body: Bytes) {
        bytes = body
        ends = []
    }

    /// Bodies side by side. `lengths` adds up to `bytes.count`, which is under 4 GiB, and names at least one body.
    public init(_ bytes: Bytes, lengths: some Collection<Int>) {
        precondition(!lengths.isEmpty && bytes.count <= Int(UInt32.max))
        self.bytes = bytes
        guard lengths.count > 1 else {
            ends = []
            return
        }
        var ends: [UInt32] = []
        ends.reserveCapacity(lengths.count)
        var end = 0
        for length in lengths {
            end += length
            ends.append(UInt32(end))
        }
        precondition(end == bytes.count)
        self.ends = ends
    }

    private init(bytes: Bytes, ends: [UInt32]) {
        self.bytes = bytes
        self.ends = ends
    }

    /// Always 0.
    public var startIndex: Int { 0 }
    /// The number of bodies, at least 1.
    public var endIndex: Int { Swift.max(1, ends.count) }

    /// The body of the message `index` places behind the first one, sharing the memory.
    public subscript(index: Int) -> Bytes {
        guard !ends.isEmpty else {
            precondition(index == 0)
            return bytes
        }
        let start = index == 0 ? 0 : Int(ends[index - 1])
        return bytes[start..<Int(ends[index])]
    }

    /// The length of one body, in bytes.
    func length(of index: Int) -> Int {
        ends.isEmpty ? bytes.count : Int(ends[index]) - (index == 0 ? 0 : Int(ends[index - 1]))
    }

    /// The bodies behind the first `n`, of which there is at least one.
    func removingFirst(_ n: Int) -> MessageBodies {
        precondition(n >= 0 && n < count)
        guard n > 0 else { return self }
        let start = ends[n - 1]
        guard n < ends.count - 1 else { return MessageBodies(self[n]) }
        return MessageBodies(bytes: bytes[Int(start)..<bytes.count], ends: ends[n...].map { $0 - start })
    }
}

extension MessageBodies: Equatable {
    /// Whether both hold the same bodies in the same order.
    public static func == (a: MessageBodies, b: MessageBodies) -> Bool { a.elementsEqual(b) }
}
