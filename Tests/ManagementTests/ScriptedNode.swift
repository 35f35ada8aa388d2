import NIOCore
import NIOHTTP1
import NIOPosix

/// An HTTP server on loopback that gives one answer to everything and remembers what it was asked.
final class ScriptedNode: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    private let log: NIOLoopBoundBox<[String]>

    init(status: Int, body: String) async throws {
        let log = try await group.next().submit { [group] in NIOLoopBoundBox([String](), eventLoop: group.next()) }
            .get()
        self.log = log
        channel = try await ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(Answer(status: status, body: body, log: log))
            }
        }.bind(host: "127.0.0.1", port: 0).get()
    }

    var port: Int { channel.localAddress?.port ?? 0 }

    /// Method, path, authorization and body of each request.
    var requests: [String] {
        get async throws { try await group.next().submit { [log] in log.value }.get() }
    }

    func stop() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }

    private final class Answer: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let status: Int
        private let body: String
        private let log: NIOLoopBoundBox<[String]>
        private var line = ""

        init(status: Int, body: String, log: NIOLoopBoundBox<[String]>) {
            self.status = status
            self.body = body
            self.log = log
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                line = "\(head.method.rawValue) \(head.uri) \(head.headers.first(name: "authorization") ?? "-")"
            case .body(let part): line += " " + String(buffer: part)
            case .end:
                log.value.append(line)
                let head = HTTPResponseHead(
                    version: .http1_1, status: .init(statusCode: status),
                    headers: ["content-length": "\(body.utf8.count)"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
