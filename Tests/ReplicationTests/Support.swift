import Primitives
import QuorumQueue

func entry(_ index: UInt64, term: UInt64 = 1, group: UInt64 = 5, size: Int = 8) -> Entry {
    let body = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size)
    return body.withUnsafeBytes { body in
        Entry(
            kind: .commands, group: GroupID(group), index: LogIndex(index), term: Term(term), timestamp: .zero,
            headers: UnsafeRawBufferPointer(start: nil, count: 0), bodies: body)
    }
}

func batch(_ headers: String, _ bodies: String = "", commands: Int = 1) -> CommandBatch {
    CommandBatch(headers: Bytes(headers), bodies: Bytes(bodies), commandCount: commands)
}
