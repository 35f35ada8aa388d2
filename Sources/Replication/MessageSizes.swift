import Primitives
import QueueClient
import QuorumQueue

extension ClientMessage {
    /// About what the encoding takes, so that a buffer is made once.
    var sizeHint: Int {
        guard case .commands(let commands) = self else { return 512 }
        return commands.batch.headers.count + commands.batch.bodies.count + 128
    }
}

extension LeaderMessage {
    /// About what the encoding takes, so that a buffer is made once.
    var sizeHint: Int {
        guard case .events(let stretch) = self else { return 256 }
        var size = 64
        for event in stretch.events {
            if case .deliver(_, _, _, _, _, let bodies) = event {
                size += bodies.bytes.count + 5 * bodies.count + 48
            } else {
                size += 32
            }
        }
        return size
    }
}
