import AMQP
import Primitives
import Testing

@Suite struct PropertyScanTests {
    func scan<R>(_ raw: [UInt8], _ body: (PropertyScan, UnsafeRawBufferPointer) throws -> R) throws -> R {
        try raw.withUnsafeBytes { buffer in try body(try PropertyScan(buffer), buffer) }
    }

    /// A subset of the golden properties, by bit.
    func subset(_ bits: UInt64) -> BasicProperties {
        var properties = GoldenTests.properties
        if bits & 1 == 0 { properties.contentType = nil }
        if bits & 2 == 0 { properties.contentEncoding = nil }
        if bits & 4 == 0 { properties.headers = nil }
        if bits & 8 == 0 { properties.deliveryMode = nil }
        if bits & 16 == 0 { properties.priority = nil }
        if bits & 32 == 0 { properties.correlationID = nil }
        if bits & 64 == 0 { properties.replyTo = nil }
        if bits & 128 == 0 { properties.expiration = nil }
        if bits & 256 == 0 { properties.messageID = nil }
        if bits & 512 == 0 { properties.timestamp = nil }
        if bits & 1024 == 0 { properties.type = nil }
        if bits & 2048 == 0 { properties.userID = nil }
        if bits & 4096 == 0 { properties.appID = nil }
        if bits & 8192 == 0 { properties.clusterID = nil }
        return properties
    }

    @Test func everySubsetDecodesAndScansTheSame() throws {
        for bits in stride(from: UInt64(0), to: 16384, by: 11) {
            let properties = subset(bits)
            let raw = properties.encoded().toArray()
            try scan(raw) { scan, buffer throws in
                #expect(try BasicProperties(decoding: buffer) == properties)
                #expect(scan.flags == properties.flags)
                #expect(scan.deliveryMode == properties.deliveryMode ?? 0 && scan.priority == properties.priority ?? 0)
                #expect(buffer[scan.expiration].elementsEqual((properties.expiration ?? "").utf8))
                #expect(buffer[scan.replyTo].elementsEqual((properties.replyTo ?? "").utf8))
                #expect(buffer[scan.userID].elementsEqual((properties.userID ?? "").utf8))
                #expect(buffer[scan.messageID].elementsEqual((properties.messageID ?? "").utf8))
                #expect(try scan.expirationMilliseconds(in: buffer) == properties.expiration.map { _ in 60_000 })
                #expect(try scan.headerTable(in: buffer) == properties.headers)
            }
        }
    }

    @Test func aHeaderIsAddedOrReplacedAndNothingElseMoves() throws {
        for bits in stride(from: UInt64(0), to: 16384, by: 11) {
            var properties = subset(bits)
            if bits & 4 != 0 && bits & 8 != 0 { properties.headers?.fields.insert(.init("x-delivery-count", 3), at: 2) }
            let raw = properties.encoded().toArray()
            let result = try scan(raw) { scan, buffer throws in
                written { scan.write(buffer, settingHeader: "x-delivery-count", to: 7, into: &$0) }
            }
            var expected = properties
            if expected.headers == nil { expected.headers = [:] }
            expected.headers?["x-delivery-count"] = nil
            expected.headers?["x-delivery-count"] = .int64(7)
            #expect(result == expected.encoded().toArray())
        }
    }

    @Test func scanAcceptsExactlyWhatDecodes() {
        var random = SeededRandom(seed: 12)
        let golden = GoldenTests.properties.encoded().toArray()
        var accepted = 0
        for _ in 0..<10_000 {
            var raw = golden
            for _ in 0...random.next(below: 2) {
                raw[Int(random.next(below: UInt64(raw.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.oneIn(8) { raw.removeLast(Int(random.next(below: UInt64(raw.count)))) }
            raw.withUnsafeBytes { buffer in
                let decodes = (try? BasicProperties(decoding: buffer)) != nil
                #expect(((try? PropertyScan(buffer)) != nil) == decodes)
                if decodes { accepted += 1 }
            }
        }
        #expect(accepted > 300 && accepted < 9_700)
    }

    @Test(arguments: ["", "-1", "abc", "1.5", "4294967296", "99999999999999999999", " 1"])
    func badExpirationsAreAPreconditionFailure(text: String) throws {
        var properties = BasicProperties()
        properties.expiration = text
        try scan(properties.encoded().toArray()) { scan, buffer throws in
            let error = #expect(throws: AMQPError.self) { try scan.expirationMilliseconds(in: buffer) }
            #expect(error?.code == .preconditionFailed && error?.scope == .channel)
        }
    }

    @Test(arguments: [("0", 0), ("4294967295", 4_294_967_295)] as [(String, UInt64)])
    func boundsOfExpiration(text: String, value: UInt64) throws {
        var properties = BasicProperties()
        properties.expiration = text
        try scan(properties.encoded().toArray()) { scan, buffer throws in
            #expect(try scan.expirationMilliseconds(in: buffer) == value)
        }
    }

    @Test func undefinedFlagsAreRefused() {
        for raw in ["0001", "0002", "00"] {
            let error = #expect(throws: AMQPError.self) {
                try bytes(raw).withUnsafeBytes { _ = try PropertyScan($0) }
            }
            #expect(error?.code == .syntaxError)
        }
    }
}
