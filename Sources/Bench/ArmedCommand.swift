import NIOPosix
import Primitives

#if canImport(Musl)
    @preconcurrency import Musl
#else
    @preconcurrency import Glibc
#endif

/// A command that makes a fault at a moment of our choosing. It prepares everything and prints `armed`; at the line
/// that it is sent it makes the fault and prints `struck`; when its input ends it undoes the fault and exits with 0. So
/// it heals even when the probe is killed.
///
/// For one caller at a time.
package final class ArmedCommand: @unchecked Sendable {
    private let child: pid_t
    /// Our end of its standard input; -1 once closed.
    private var input: Int32
    /// Our end of its standard output.
    private let output: Int32
    private var said: [UInt8] = []
    /// It will say no more.
    private var isSilent = false

    private static let armLimit = Interval.seconds(60)
    private static let strikeLimit = Interval.seconds(10)
    private static let endLimit = Interval.seconds(60)

    private init(child: pid_t, input: Int32, output: Int32) {
        self.child = child
        self.input = input
        self.output = output
    }

    deinit {
        if input >= 0 { close(input) }
        close(output)
    }

    /// Starts the command and waits until it is armed.
    ///
    /// - Throws: `commandFailed` when it cannot be started, `faultFailed` with the last thing that it said.
    package static func arm(_ arguments: [String]) async throws -> ArmedCommand {
        let command = try await NIOThreadPool.singleton.runIfActive { () throws(BenchError) in try start(arguments) }
        do {
            try await command.wait(for: "armed", limit: armLimit)
        } catch {
            await Task { try? await command.end() }.value
            throw error
        }
        return command
    }

    private static func start(_ arguments: [String]) throws(BenchError) -> ArmedCommand {
        var inputs: [Int32] = [-1, -1]
        var outputs: [Int32] = [-1, -1]
        guard pipe(&inputs) == 0 else { throw .commandFailed("no pipe: \(errorText(errno))") }
        guard pipe(&outputs) == 0 else {
            for end in inputs { close(end) }
            throw .commandFailed("no pipe: \(errorText(errno))")
        }
        defer {
            close(inputs[0])
            close(outputs[1])
        }
        do throws(BenchError) {
            let child = try ChildCommand.spawn(arguments, input: inputs[0], output: outputs[1])
            return ArmedCommand(child: child, input: inputs[1], output: outputs[0])
        } catch {
            close(inputs[1])
            close(outputs[0])
            throw error
        }
    }

    /// Has the fault made. Takes microseconds: a line into an empty pipe.
    ///
    /// - Throws: `faultFailed`.
    package func strike() throws(BenchError) {
        guard input >= 0 && write(input, "strike\n", 7) == 7 else {
            throw .faultFailed("the command for the fault is gone: \(lastLine)")
        }
    }

    /// Waits until the command says that the fault is made.
    ///
    /// - Throws: `faultFailed`.
    package func confirm() async throws { try await wait(for: "struck", limit: Self.strikeLimit) }

    /// Has the fault undone and waits for the command's end; does nothing the second time.
    ///
    /// - Throws: `faultFailed` when it does not end well.
    package func end() async throws {
        guard input >= 0 else { return }
        close(input)
        input = -1
        let status = try await NIOThreadPool.singleton.runIfActive { self.collect() }
        guard status == 0 else { throw BenchError.faultFailed("the fault was not undone: \(lastLine)") }
    }

    // MARK: What it says

    private func wait(for word: String, limit: Interval) async throws {
        let isSaid = try await NIOThreadPool.singleton.runIfActive { self.listen(for: word, until: .now() + limit) }
        guard isSaid else { throw BenchError.faultFailed("the command for the fault is not \(word): \(lastLine)") }
    }

    private func listen(for word: String, until deadline: Instant) -> Bool {
        while true {
            if text.split(separator: "\n").contains(where: { $0 == word }) { return true }
            if isSilent || Instant.now() >= deadline { return false }
            _ = hear(milliseconds: 20)
        }
    }

    /// Reads what there is, or what comes within the time.
    private func hear(milliseconds: Int32) -> Bool {
        var descriptor = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, milliseconds) > 0 else { return false }
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = read(output, &chunk, chunk.count)
        if count > 0 { said += chunk[..<count] } else { isSilent = true }
        return count > 0
    }

    private func collect() -> Int32 {
        let deadline = Instant.now() + Self.endLimit
        var status: Int32 = 0
        while waitpid(child, &status, WNOHANG) == 0 {
            if Instant.now() >= deadline { kill(child, SIGKILL) }
            if isSilent { usleep(2_000) } else { _ = hear(milliseconds: 2) }
        }
        while !isSilent && hear(milliseconds: 0) {}
        return status
    }

    private var text: String { String(decoding: said, as: UTF8.self) }

    private var lastLine: String { text.split(separator: "\n").last.map(String.init) ?? "it says nothing" }
}
