import AMQP
import Primitives
import QuorumQueue

/// The cores that a message passes, each by itself.
enum PureCore: String {
    /// A publish is cut into frames and scanned, a delivery is written.
    case codec
    /// A queue's machine takes messages of one publisher, delivers and settles them, a hundred to an entry.
    case machine

    func run(_ count: Int) throws {
        switch self {
        case .codec: try PureCore.code(count)
        case .machine: try PureCore.apply(count)
        }
    }

    private static func code(_ count: Int) throws {
        let published = CostPublisher.frames(to: "queue", count: 100, size: 1_024)
        let parser = FrameParser(maximumFrameSize: 131_072)
        var output = ByteWriter()
        var delivered = 0
        let body = Bytes([UInt8](repeating: 120, count: 1_024))
        let name = Bytes("queue")
        while delivered < count {
            try published.withUnsafeBytes { buffer in
                var offset = 0
                while let frame = try parser.next(buffer, at: &offset) {
                    let payload = UnsafeRawBufferPointer(rebasing: buffer[frame.payload])
                    switch frame.type {
                    case .method: _ = try PublishArguments(payload: payload)
                    case .header: _ = try PropertyScan(try ContentHeader(payload: payload).properties)
                    case .body, .heartbeat: break
                    }
                }
            }
            name.withUnsafeBytes { name in
                body.withUnsafeBytes { body in
                    for _ in 0..<100 {
                        delivered += 1
                        output.write(
                            DeliveryFrames(
                                channel: 1, consumerTag: name, deliveryTag: UInt64(delivered), redelivered: false,
                                exchange: UnsafeRawBufferPointer(rebasing: name[..<0]), routingKey: name,
                                properties: UnsafeRawBufferPointer(rebasing: name[..<0]), body: body,
                                frameMax: 131_072))
                    }
                }
            }
            output.removeAll()
        }
    }

    private static func apply(_ count: Int) throws {
        var machine = QueueMachine()
        var effects: [QueueEffect] = []
        var index: UInt64 = 0
        func apply(_ build: (inout CommandEncoder) -> Void) {
            var encoder = CommandEncoder()
            build(&encoder)
            let batch = encoder.take()
            index += 1
            let entry = batch.headers.withUnsafeBytes { headers in
                batch.bodies.withUnsafeBytes { bodies in
                    Entry(
                        kind: .commands, group: GroupID(7), index: LogIndex(index), term: Term(1),
                        timestamp: WallTime(milliseconds: index), headers: headers, bodies: bodies)
                }
            }
            machine.apply(entry, into: &effects)
        }
        let session = SessionID(
            gateway: GatewayID(node: NodeID(1), shard: 0), incarnation: Incarnation(1), number: 1)
        apply { encoder in
            encoder.session(session, firstSequence: 1, lowWater: 0)
            encoder.open()
            encoder.attach(consumer: 1, options: ConsumerOptions(prefetch: 2_000))
        }
        var sequence: UInt64 = 3
        var delivered: UInt64 = 0
        while delivered < count {
            effects.removeAll(keepingCapacity: true)
            apply { encoder in
                encoder.session(session, firstSequence: sequence, lowWater: sequence)
                for _ in 0..<100 { encoder.enqueue(priority: nil, expiration: nil, length: 16) { _ in } }
            }
            sequence += 100
            var taken = 0
            for case .deliver(let delivery) in effects { taken += Int(delivery.count) }
            guard taken == 100 else { throw CostFailure("the machine delivered \(taken) of 100 messages") }
            let numbers = (delivered + 1)...(delivered + 100)
            delivered += 100
            apply { encoder in
                encoder.session(session, firstSequence: sequence, lowWater: sequence)
                encoder.settle(consumer: 1, numbers)
            }
            sequence += 1
        }
    }
}
