import Primitives

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A trial's fault, from its preparation to its end. What a signal makes, the probe makes itself; for the rest it has a
/// command at the ready, so that the time of the fault is known to a fraction of a millisecond.
final class LeaderFault: @unchecked Sendable {
    private let fault: FailoverFault
    private let node: Int
    private let process: Int32
    private let command: [String]
    private var armed: ArmedCommand?

    private static let stopLimit = 30.0

    /// - Parameters:
    ///   - node: the leader's number, from 1.
    ///   - command: makes a fault that no signal makes; its name and the node's number are added.
    init(_ fault: FailoverFault, node: Int, process: Int32, command: [String]) {
        self.fault = fault
        self.node = node
        self.process = process
        self.command = command
    }

    private var signal: Int32? {
        switch fault {
        case .kill: SIGKILL
        case .pause: SIGSTOP
        case .stop: SIGTERM
        case .partition, .stall: nil
        }
    }

    /// Prepares what takes time.
    ///
    /// - Throws: `commandFailed`, `faultFailed`.
    func arm() async throws {
        guard signal == nil else { return }
        armed = try await ArmedCommand.arm(command + [fault.rawValue, String(node)])
    }

    /// Makes the fault; takes microseconds.
    ///
    /// - Throws: `faultFailed`.
    func strike() throws(BenchError) {
        guard let signal else {
            try armed?.strike()
            return
        }
        guard kill(process, signal) == 0 else {
            throw .faultFailed("no signal \(signal) to process \(process): \(errorText(errno))")
        }
    }

    /// Waits until the fault has done its work: a command has struck, a process that stops is gone.
    ///
    /// - Throws: `faultFailed`.
    func settle() async throws {
        try await armed?.confirm()
        guard fault == .stop else { return }
        let deadline = Instant.now() + Interval(inSeconds: Self.stopLimit)
        while isRunning {
            guard Instant.now() < deadline else {
                throw BenchError.faultFailed(
                    "process \(process) has not stopped after \(Self.stopLimit.fixed(0)) s")
            }
            try await pause(seconds: 0.01)
        }
    }

    /// It is there and no zombie, which waits for its parent and serves nobody.
    private var isRunning: Bool {
        guard kill(process, 0) == 0 else { return false }
        guard let state = ReportFile.read("/proc/\(process)/stat"), let name = state.lastIndex(of: ")") else {
            return true
        }
        return !state[name...].dropFirst(2).hasPrefix("Z")
    }

    /// Undoes what can be undone, whether the fault was made or not. A dead node is brought back by others.
    ///
    /// - Throws: `faultFailed`.
    func heal() async throws {
        if fault == .pause { _ = kill(process, SIGCONT) }
        try await armed?.end()
    }
}
