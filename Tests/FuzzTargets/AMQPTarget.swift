import AMQP
import Primitives

extension FuzzTarget {
    /// What a client sends: an octet for the kind, then frames, a method, a content header, properties or a table.
    static let amqp = FuzzTarget(name: "amqp", maximumLength: 4_096, seeds: AMQPInput.seeds) { input in
        guard let kind = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input[1...])
        switch kind & 7 {
        case 1: AMQPInput.method(bytes)
        case 2: AMQPInput.contentHeader(bytes)
        case 3: AMQPInput.properties(bytes)
        case 4: AMQPInput.table(bytes)
        default: AMQPInput.frames(bytes)
        }
    }
}

private enum AMQPInput {
    static func frames(_ buffer: UnsafeRawBufferPointer) {
        let parser = FrameParser(maximumFrameSize: FrameFormat.minimumMaximumSize)
        var content = ContentProgress()
        var offset = 0
        while let frame = try? parser.next(buffer, at: &offset) {
            promise(frame.payload.upperBound < offset && offset <= buffer.count, "a frame lies in the buffer")
            let payload = UnsafeRawBufferPointer(rebasing: buffer[frame.payload])
            switch frame.type {
            case .method:
                _ = try? content.method(hasContent: MethodID.peek(payload) == BasicPublish.id)
                method(payload)
            case .header:
                if let header = try? ContentHeader(payload: payload) {
                    _ = try? content.header(bodySize: header.bodySize)
                }
                contentHeader(payload)
            case .body: _ = try? content.body(count: payload.count)
            case .heartbeat: promise(payload.isEmpty, "a heartbeat is empty")
            }
        }
    }

    static func method(_ payload: UnsafeRawBufferPointer) {
        let decoded = try? Method(payload: payload)
        if MethodID.peek(payload) == BasicPublish.id {
            let scanned = try? PublishArguments(payload: payload)
            promise((scanned == nil) == (decoded == nil), "both decoders of basic.publish agree")
        }
        guard let decoded else { return }
        promiseRoundTrip(decoded, "\(decoded.id)") { method in
            encoded { method.encodeFrame(channel: 1, into: &$0) }
        } decode: { frame in
            try frame.withUnsafeBytes { try Method(payload: UnsafeRawBufferPointer(rebasing: $0[7..<$0.count - 1])) }
        }
    }

    static func contentHeader(_ payload: UnsafeRawBufferPointer) {
        guard let header = try? ContentHeader(payload: payload) else { return }
        properties(header.properties)
        let body = UnsafeRawBufferPointer(rebasing: payload.prefix(100))
        let frames = encoded {
            $0.writeContent(channel: 7, properties: header.properties, body: body, frameMax: 4_096)
        }
        frames.withUnsafeBytes { buffer in
            var offset = 0
            var found: [FrameType] = []
            while let frame = try? FrameParser(maximumFrameSize: .max).next(buffer, at: &offset) {
                found.append(frame.type)
            }
            promise(found == [.header, .body] && offset == buffer.count, "a content is a header and a body")
        }
    }

    static func properties(_ raw: UnsafeRawBufferPointer) {
        let scan = try? PropertyScan(raw)
        let decoded = try? BasicProperties(decoding: raw)
        promise((scan == nil) == (decoded == nil), "what scans decodes, and nothing else")
        guard let scan, let decoded else { return }
        promiseRoundTrip(decoded, "properties") {
            $0.encoded()
        } decode: {
            try $0.withUnsafeBytes { try BasicProperties(decoding: $0) }
        }
        _ = try? scan.expirationMilliseconds(in: raw)
        let hasTable = (try? scan.headerTable(in: raw)) != nil
        promise(hasTable == scan.flags.contains(.headers), "the header table of what scans decodes")
        let changed = encoded { scan.write(raw, settingHeader: "x-delivery-count", to: 3, into: &$0) }
        let count = changed.withUnsafeBytes { try? BasicProperties(decoding: $0).headers?["x-delivery-count"] }
        promise(count == .int64(3), "a header that is set is there")
    }

    static func table(_ fields: UnsafeRawBufferPointer) {
        let wire = encoded {
            $0.writeBigEndian(UInt32(fields.count))
            $0.write(fields)
        }
        let decoded = try? read(wire)
        promise(((try? FieldTable.validate(fields: fields)) != nil) == (decoded != nil), "what is valid decodes")
        guard let decoded else { return }
        promiseRoundTrip(decoded, "a table") { table in
            encoded { $0.writeFieldTable(table) }
        } decode: {
            try read($0)
        }
    }

    private static func read(_ wire: Bytes) throws(DecodingFailure) -> FieldTable {
        try wire.withUnsafeBytes { buffer throws(DecodingFailure) in
            var reader = ByteReader(buffer)
            return try reader.readFieldTable()
        }
    }
}

// MARK: - Seeds

extension AMQPInput {
    @Sendable static func seeds() -> [[UInt8]] {
        let frames = methods.map { method in encoded { method.encodeFrame(channel: 1, into: &$0) }.toArray() }
        let header = encoded {
            $0.writeBigEndian(UInt16(60))
            $0.writeBigEndian(UInt16(0))
            $0.writeBigEndian(UInt64(5))
            $0.write(allProperties.encoded())
        }.toArray()
        let content = encoded { writer in
            allProperties.encoded().withUnsafeBytes { properties in
                Bytes("hello").withUnsafeBytes {
                    writer.writeContent(channel: 1, properties: properties, body: $0, frameMax: 8_192)
                }
            }
        }.toArray()
        let fields = encoded { $0.writeFieldTable(everyField) }.toArray().dropFirst(4)
        return frames.map { [0] + $0 } + frames.map { [1] + $0.dropFirst(7).dropLast() }
            + [
                [2] + header, [3] + allProperties.encoded().toArray(), [4] + fields,
                [0] + frames.flatMap { $0 } + content + FrameFormat.heartbeat,
            ]
    }

    private static let everyField: FieldTable = [
        "text": .string("grün"), "yes": .bool(true), "i8": .int8(-1), "u8": .uint8(255), "i16": .int16(-2),
        "u16": .uint16(9), "i32": .int32(-3), "u32": .uint32(4), "i64": .int64(.min), "float": .float(.nan),
        "double": .double(0.5), "decimal": .decimal(scale: 2, value: 314), "bytes": .bytes(Bytes([1, 0xff])),
        "array": .array([.void, .array([]), .string("")]), "time": .timestamp(1_700_000_000),
        "table": .table(["inner": .table([:])]), "bad": .illFormedString(Bytes([0xc3])),
    ]

    private static var allProperties: BasicProperties {
        var properties = BasicProperties()
        properties.contentType = "text/plain"
        properties.contentEncoding = "gzip"
        properties.headers = everyField
        properties.deliveryMode = 2
        properties.priority = 4
        properties.correlationID = "c"
        properties.replyTo = "amq.rabbitmq.reply-to"
        properties.expiration = "60000"
        properties.messageID = "m"
        properties.timestamp = 1
        properties.type = "t"
        properties.userID = "guest"
        properties.appID = "a"
        properties.clusterID = ""
        return properties
    }

    /// Of each method arguments that decode: zeros do for all of them.
    private static var methods: [Method] {
        let zeros = [UInt8](repeating: 0, count: 64)
        var found: [Method] = []
        for classID: UInt16 in [10, 20, 30, 40, 50, 60, 85, 90] {
            for methodID in 0..<130 as Range<UInt16> {
                let id = [UInt8(0), UInt8(classID), 0, UInt8(methodID)]
                // As many zeros as the arguments of this method take.
                for count in 0...zeros.count {
                    let payload = id + zeros.prefix(count)
                    guard let method = try? payload.withUnsafeBytes({ try Method(payload: $0) }) else { continue }
                    found.append(method)
                    break
                }
            }
        }
        return found
    }
}
