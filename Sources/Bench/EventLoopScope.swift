import NIOCore
import NIOPosix

/// Gives `body` an event loop of its own, whose thread has ended when this returns or throws.
func withEventLoop<Result: Sendable>(_ body: (any EventLoop) async throws -> Result) async throws -> Result {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
        let result = try await body(group.next())
        try await group.shutdownGracefully()
        return result
    } catch {
        try? await group.shutdownGracefully()
        throw error
    }
}
