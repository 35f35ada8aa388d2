import NIOPosix
import Primitives

#if canImport(Musl)
    @preconcurrency import Musl
#else
    @preconcurrency import Glibc
#endif

/// A command run to its end, with what it printed.
package struct ChildCommand: Sendable {
    /// Its exit status; 128 and the signal's number when it was killed.
    package let status: Int32
    /// Standard output and standard error.
    package let output: String

    private static let maximumOutput = 1 << 20
    /// Descriptors of ours that the command must not inherit lie below it: sockets would stay open in what it starts.
    private static let firstUnlikelyDescriptor: Int32 = 1024

    /// Runs `arguments`, the first of which is looked up on the PATH, without a shell. It is killed after `seconds`.
    ///
    /// - Throws: `commandFailed` when it cannot be started.
    package static func run(_ arguments: [String], seconds: Double = 120) async throws -> ChildCommand {
        try await NIOThreadPool.singleton.runIfActive { try runBlocking(arguments, seconds: seconds) }
    }

    private static func runBlocking(_ arguments: [String], seconds: Double) throws(BenchError) -> ChildCommand {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .commandFailed("no pipe: \(errorText(errno))") }
        defer { close(ends[0]) }
        let started = Result { () throws(BenchError) in try spawn(arguments, output: ends[1]) }
        // The command alone holds this end now: its end shows.
        close(ends[1])
        return collect(try started.get(), from: ends[0], deadline: .now() + Interval(inSeconds: seconds))
    }

    /// Starts a command with these ends of pipes; without an input it reads nothing. A Ctrl-C at the terminal reaches
    /// the probe alone, which sees to its commands itself.
    static func spawn(_ arguments: [String], input: Int32? = nil, output: Int32) throws(BenchError) -> pid_t {
        guard let program = arguments.first else { throw .commandFailed("no command") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        for descriptor in 3..<firstUnlikelyDescriptor { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let failure = posix_spawnp(&child, program, &actions, &attributes, words, environ)
        guard failure == 0 else { throw .commandFailed("\(program): \(errorText(failure))") }
        return child
    }

    /// Reads until the command has ended. What it left in the background may hold the pipe open: nobody waits for it.
    private static func collect(_ child: pid_t, from end: Int32, deadline: Instant) -> ChildCommand {
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var status: Int32 = 0
        var isOpen = true
        var hasEnded = false
        while true {
            var descriptor = pollfd(fd: isOpen ? end : -1, events: Int16(POLLIN), revents: 0)
            if poll(&descriptor, 1, hasEnded ? 0 : 20) > 0 {
                let count = read(end, &chunk, chunk.count)
                if count <= 0 { isOpen = false } else if output.count < maximumOutput { output += chunk[..<count] }
                continue
            }
            if hasEnded { break }
            hasEnded = waitpid(child, &status, WNOHANG) != 0
            if !hasEnded && Instant.now() > deadline { kill(child, SIGKILL) }
        }
        let signal = status & 0x7f
        return ChildCommand(
            status: signal == 0 ? status >> 8 & 0xff : 128 + signal, output: String(decoding: output, as: UTF8.self))
    }

    /// The last line that says something, for error messages.
    package var lastLine: String {
        output.split(separator: "\n").last.map(String.init) ?? "it printed nothing"
    }
}

/// What errno means.
func errorText(_ code: Int32) -> String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
