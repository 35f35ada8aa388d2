import NIOCore
import NIOHTTP1
import NIOPosix

/// What a server answered.
struct HTTPAnswer: Sendable {
    var status: UInt
    var body: ByteBuffer
}

/// One request over one connection.
struct HTTPExchange: Sendable {
    var method: HTTPMethod
    /// Path and query, percent-encoded.
    var path: String
    var headers: HTTPHeaders
    /// Sent when it is not empty.
    var body: String

    /// How long a connection may take to open.
    static let connectTimeout = TimeAmount.seconds(1)
    /// The largest answer taken, in bytes.
    static let answerLimit = 256 << 20

    /// Connects, sends, takes the answer, closes.
    func run(at node: NodeAddress, within limit: TimeAmount, on loop: any EventLoop) async throws -> HTTPAnswer {
        let promise = loop.makePromise(of: HTTPAnswer.self)
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(HTTPExchange.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(
                        HTTPExchangeHandler(self, authority: node.authority, promise))
                }
            }
        let connected: EventLoopFuture<any Channel>
        // A literal address needs no resolver.
        if let address = try? SocketAddress(ipAddress: node.host, port: node.port) {
            connected = bootstrap.connect(to: address)
        } else {
            connected = bootstrap.connect(host: node.host, port: node.port)
        }
        connected.whenFailure { promise.fail($0) }
        let timeout = loop.scheduleTask(in: limit) { promise.fail(HTTPExchangeFailure.noAnswer(limit)) }
        promise.futureResult.whenComplete { _ in
            timeout.cancel()
            connected.whenSuccess { $0.close(promise: nil) }
        }
        return try await promise.futureResult.get()
    }
}

enum HTTPExchangeFailure: Error, CustomStringConvertible {
    case noAnswer(TimeAmount)
    case closed
    case tooLong

    var description: String {
        switch self {
        case .noAnswer(let limit): "no answer within \(limit.nanoseconds / 1_000_000) ms"
        case .closed: "the connection closed without an answer"
        case .tooLong: "the answer is longer than \(HTTPExchange.answerLimit) bytes"
        }
    }
}

/// Sends the request when the connection is there and gathers the answer.
private final class HTTPExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let exchange: HTTPExchange
    private let authority: String
    private let promise: EventLoopPromise<HTTPAnswer>
    private var answer: HTTPAnswer?

    init(_ exchange: HTTPExchange, authority: String, _ promise: EventLoopPromise<HTTPAnswer>) {
        self.exchange = exchange
        self.authority = authority
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        var head = HTTPRequestHead(
            version: .http1_1, method: exchange.method, uri: exchange.path, headers: exchange.headers)
        head.headers.add(name: "host", value: authority)
        head.headers.add(name: "connection", value: "close")
        if !exchange.body.isEmpty {
            head.headers.add(name: "content-type", value: "application/json")
            head.headers.add(name: "content-length", value: "\(exchange.body.utf8.count)")
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !exchange.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: exchange.body)))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): answer = HTTPAnswer(status: UInt(head.status.code), body: ByteBuffer())
        case .body(var part):
            answer?.body.writeBuffer(&part)
            if let length = answer?.body.readableBytes, length > HTTPExchange.answerLimit {
                promise.fail(HTTPExchangeFailure.tooLong)
                context.close(promise: nil)
            }
        case .end:
            if let answer { promise.succeed(answer) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Without effect when the answer has come.
        promise.fail(HTTPExchangeFailure.closed)
        context.fireChannelInactive()
    }
}
