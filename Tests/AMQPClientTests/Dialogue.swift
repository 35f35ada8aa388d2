import AMQP
import AMQPClient
import NIOCore
import NIOEmbedded
import Primitives
import Testing

/// A whole frame with its payload copied out.
struct OwnedFrame: Equatable {
    var type: FrameType
    var channel: UInt16
    var payload: [UInt8]
}

/// One method with its channel, and the body when content followed.
struct Said: Equatable {
    var channel: UInt16
    var method: Method
    var body: [UInt8]?
}

/// What a peer says, as methods. Heartbeats become nil.
func methods(_ bytes: [UInt8], from offset: inout Int) throws -> [Said?] {
    let parser = FrameParser(maximumFrameSize: 131_072)
    var found: [Said?] = []
    try bytes.withUnsafeBytes { buffer throws in
        while let frame = try parser.next(buffer, at: &offset) {
            let payload = UnsafeRawBufferPointer(rebasing: buffer[frame.payload])
            switch frame.type {
            case .heartbeat: found.append(nil)
            case .method: found.append(Said(channel: frame.channel, method: try Method(payload: payload)))
            case .header: found[found.count - 1]?.body = []
            case .body: found[found.count - 1]?.body?.append(contentsOf: payload)
            }
        }
    }
    return found
}

/// The bytes of methods on a channel.
func encoded(_ methods: Method..., channel: UInt16) -> [UInt8] {
    var writer = ByteWriter()
    for method in methods { method.encodeFrame(channel: channel, into: &writer) }
    return writer.take().toArray()
}

/// A method with content, as a server sends it.
func encoded(
    _ method: Method, properties: BasicProperties = BasicProperties(), body: [UInt8], channel: UInt16,
    frameMax: UInt32 = 131_072
) -> [UInt8] {
    var writer = ByteWriter()
    method.encodeFrame(channel: channel, into: &writer)
    properties.encoded().withUnsafeBytes { properties in
        body.withUnsafeBytes {
            writer.writeContent(channel: channel, properties: properties, body: $0, frameMax: frameMax)
        }
    }
    return writer.take().toArray()
}

/// A connection without a socket: the test is the server, and owns the time.
final class Dialogue {
    let loop = EmbeddedEventLoop()
    let channel: EmbeddedChannel
    let connection: AMQPConnection
    var opened: Result<AMQPConnection, ClientError>?

    init(_ settings: ClientSettings = ClientSettings()) throws {
        channel = EmbeddedChannel(loop: loop)
        connection = AMQPConnection(settings: settings, eventLoop: loop)
        connection.openCompletion = { self.opened = $0 }
        try connection.attach(to: channel)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 5672)).wait()
    }

    /// A connection that is open already, with one open channel.
    static func open(_ settings: ClientSettings = ClientSettings()) throws -> (Dialogue, AMQPChannel) {
        let dialogue = try Dialogue(settings)
        try dialogue.negotiate()
        var channel: AMQPChannel?
        dialogue.connection.openChannel { channel = try? $0.get() }
        #expect(try dialogue.heard() == [Said(channel: 1, method: .channelOpen(ChannelOpen()))])
        try dialogue.say(encoded(.channelOpenOk(ChannelOpenOk()), channel: 1))
        return (dialogue, try #require(channel))
    }

    static let start = Method.connectionStart(
        ConnectionStart(serverProperties: ["product": "fake"], mechanisms: Bytes("AMQPLAIN PLAIN")))

    func negotiate(heartbeat: UInt16 = 60) throws {
        #expect(try octets() == ProtocolHeader.octets)
        try say(encoded(Self.start, channel: 0))
        _ = try heard()
        let tune = ConnectionTune(channelMax: 2047, frameMax: 131_072, heartbeat: heartbeat)
        try say(encoded(.connectionTune(tune), channel: 0))
        _ = try heard()
        try say(encoded(.connectionOpenOk(ConnectionOpenOk()), channel: 0))
        #expect(connection.isOpen)
    }

    /// The server's bytes, in one read.
    func say(_ bytes: [UInt8]) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    /// Everything the client wrote since, as bytes.
    func octets() throws -> [UInt8] {
        loop.run()
        var all: [UInt8] = []
        while var buffer = try channel.readOutbound(as: ByteBuffer.self) {
            all += buffer.readBytes(length: buffer.readableBytes) ?? []
        }
        return all
    }

    /// Everything the client wrote since, as methods; heartbeats are left out.
    func heard() throws -> [Said] {
        var offset = 0
        let bytes = try octets()
        let found = try methods(bytes, from: &offset)
        #expect(offset == bytes.count)
        return found.compactMap { $0 }
    }
}
