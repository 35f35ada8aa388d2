public import Broker
public import NIOCore
import Topology

/// Looks into a node from outside of its event loop: every look is one visit to the loop that returns a value.
public struct NodeView: Sendable {
    private let broker: NIOLoopBound<NodeBroker>
    private let eventLoop: any EventLoop

    /// Called on the node's event loop.
    public init(_ broker: NodeBroker, eventLoop: any EventLoop) {
        self.broker = NIOLoopBound(broker, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    /// Runs `look` on the loop.
    func look<Value: Sendable>(_ look: @escaping @Sendable (NodeBroker) throws -> Value) async throws -> Value {
        let broker = self.broker
        return try await eventLoop.submit { try look(broker.value) }.get()
    }

    /// Calls `start` on the loop and waits for what it passes to its completion.
    ///
    /// - Throws: `Timeout` when nothing comes within `limit`.
    func ask<Value: Sendable>(
        within limit: TimeAmount,
        _ start: @escaping @Sendable (NodeBroker, @escaping (Result<Value, any Error>) -> Void) throws -> Void
    ) async throws -> Value {
        let broker = self.broker
        let eventLoop = self.eventLoop
        return try await eventLoop.flatSubmit {
            let promise = eventLoop.makePromise(of: Value.self)
            let timeout = eventLoop.scheduleTask(in: limit) { promise.fail(Timeout()) }
            promise.futureResult.whenComplete { _ in timeout.cancel() }
            do {
                try start(broker.value) { promise.completeWith($0) }
            } catch {
                promise.fail(error)
            }
            return promise.futureResult
        }.get()
    }

    /// Nobody answered in time; what was asked for may still happen.
    struct Timeout: Error {}

    /// How long a change may take, elections included.
    static let changeLimit = TimeAmount.seconds(8)
}

extension NodeView {
    /// Proposes a change of the metadata and waits until this node has applied it.
    ///
    /// - Throws: `ProposeFailure` when no leader took it in time, `Timeout`.
    func propose(
        _ command: @escaping @Sendable (NodeBroker) throws -> TopologyCommand
    ) async throws -> TopologyOutcome {
        try await ask(within: NodeView.changeLimit) { broker, done in
            broker.propose(try command(broker)) { done($0.mapError { $0 as any Error }) }
        }
    }

    /// What a queue holds, asked of its leader; nil when it does not answer.
    func counts(of record: QueueRecord) async throws -> QueueCounts? {
        try await ask(within: NodeView.changeLimit) { broker, done in
            guard let loop = broker.loop else { return done(.success(nil)) }
            loop.inspect(record) { done(.success($0)) }
        }
    }

    /// Drops a queue's ready messages; nil when it is gone.
    ///
    /// - Throws: `Timeout` when no leader answers; the purge may still happen.
    func purge(_ record: QueueRecord) async throws -> UInt64? {
        try await ask(within: NodeView.changeLimit) { broker, done in
            guard let loop = broker.loop else { return done(.success(nil)) }
            loop.purge(record) { done(.success($0)) }
        }
    }
}
