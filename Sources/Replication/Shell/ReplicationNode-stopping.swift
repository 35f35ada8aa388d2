import LogStore
public import NIOCore
import NIOPosix
import PeerLink
import Primitives

extension ReplicationNode {
    /// How long leaderships may take to find successors before the node stops without.
    private static let handOverLimit = Interval.seconds(2)
    private static let handOverStep = TimeAmount.milliseconds(5)
    /// A leadership that is still here is offered again after this: its successor may have gone, or not been there yet.
    private static let handOverRepeat = Interval.milliseconds(250)

    /// Hands every leadership over; done when this node leads nothing, or after two seconds.
    public func handOver() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        awaitHandOver(until: .now + ReplicationNode.handOverLimit, offerAt: .now, promise)
        return promise.futureResult
    }

    private func awaitHandOver(until deadline: Instant, offerAt: Instant, _ promise: EventLoopPromise<Void>) {
        var offerAt = offerAt
        if Instant.now >= offerAt {
            shard.handOver(now: .now)
            flush()
            offerAt = .now + ReplicationNode.handOverRepeat
        }
        if shard.ledGroups == 0 || Instant.now >= deadline {
            promise.succeed()
            return
        }
        let unsafe = UncheckedReference(self)
        eventLoop.scheduleTask(in: ReplicationNode.handOverStep) { [offerAt] in
            unsafe.value.awaitHandOver(until: deadline, offerAt: offerAt, promise)
        }
    }

    /// Closes the links; then `closeStore` may be called.
    public func stop() -> EventLoopFuture<Void> {
        flush()
        stopTimers()
        return links?.shutdown() ?? eventLoop.makeSucceededVoidFuture()
    }

    /// What closes the store with the mark of an orderly stop. Blocks; to be run off the loop, after `stop`.
    public var storeCloser: @Sendable () -> Void {
        let writer = self.writer
        let reader = self.reader
        let snapshotThread = self.snapshotThread
        return {
            snapshotThread.shutdownGracefully { _ in }
            reader.shutdown()
            writer.shutdown()
        }
    }
}
