import Primitives
import QuorumQueue

/// A batch that is kept until all its commands are answered.
struct RetainedBatch: Sendable {
    /// Ascends without holes within a queue client's life.
    let id: UInt64
    let batch: CommandBatch
    /// The sessions with commands in the batch, and the last command of each stretch.
    let spans: [BatchSpan]
    /// Spans before this one are answered.
    var answeredSpans = 0
}

/// A stretch of one session's commands in a batch.
struct BatchSpan: Sendable {
    let session: UInt64
    var lastSequence: UInt64
}
