import AMQP
import Primitives

/// A content that did not come in one piece: its method and properties copied, its body gathered.
struct ContentAssembly {
    private var progress = ContentProgress()
    /// Payload of the method frame.
    private(set) var method = Bytes()
    /// Property flags and list.
    private(set) var properties = Bytes()
    private var body: [UInt8] = []

    /// No content is under way.
    var isIdle: Bool { progress.isIdle }

    /// A method with content came.
    mutating func begin(method payload: UnsafeRawBufferPointer) throws(AMQPError) {
        try progress.method(hasContent: true)
        method = Bytes(copying: payload)
        body.removeAll(keepingCapacity: body.capacity <= 1 << 20)
    }

    /// A header frame came; true when the content is complete.
    mutating func header(_ payload: UnsafeRawBufferPointer, maximumBodySize: UInt64) throws(AMQPError) -> Bool {
        let header = try ContentHeader(payload: payload)
        let complete = try progress.header(bodySize: header.bodySize)
        guard header.bodySize <= maximumBodySize else {
            throw AMQPError(.contentTooLarge, "body of \(header.bodySize) octets", scope: .connection)
        }
        properties = Bytes(copying: header.properties)
        // The size is the peer's word: what it announces is reserved only up to a bound.
        body.reserveCapacity(Int(min(header.bodySize, 1 << 20)))
        return complete
    }

    /// A body frame came; true when the content is complete.
    mutating func body(_ payload: UnsafeRawBufferPointer) throws(AMQPError) -> Bool {
        let complete = try progress.body(count: payload.count)
        body.append(contentsOf: payload)
        return complete
    }

    /// Hands out the gathered body and forgets it.
    mutating func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }
}
