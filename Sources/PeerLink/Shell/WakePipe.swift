import Glibc

/// Ends another thread's poll.
final class WakePipe: Sendable {
    /// To be polled for reading.
    let descriptor: CInt
    private let writing: CInt

    init() {
        var ends: [CInt] = [-1, -1]
        // Without descriptors left there is nothing to poll, and changes are seen at the next beat.
        _ = pipe(&ends)
        descriptor = ends[0]
        writing = ends[1]
        for end in ends { SystemSocket.makeNonBlocking(end) }
    }

    deinit {
        SystemSocket.close(descriptor)
        SystemSocket.close(writing)
    }

    func wake() {
        var byte: UInt8 = 1
        _ = write(writing, &byte, 1)
    }

    func drain() {
        var bytes: (UInt64, UInt64) = (0, 0)
        while read(descriptor, &bytes, 16) == 16 {}
    }
}
