import Bench
import Foundation
import Testing

@Suite struct ArmedCommandTests {
    /// A file that the command writes what it does to.
    private let log = FileManager.default.temporaryDirectory.appending(path: "armed-\(UUID().uuidString)").path()

    private func done() throws -> String { try String(contentsOfFile: log, encoding: .utf8) }

    private func arm(_ script: String) async throws -> ArmedCommand {
        try await ArmedCommand.arm(["bash", "-c", script, "bash", log])
    }

    private let obedient = """
        heal() { echo healed >>"$1"; }
        trap 'heal "$1"' EXIT
        echo prepared >>"$1"; echo armed
        read -r _ || exit 0
        echo made >>"$1"; echo struck
        while read -r _; do :; done
        """

    @Test func aFaultIsMadeAndUndoneOnDemand() async throws {
        defer { try? FileManager.default.removeItem(atPath: log) }
        let command = try await arm(obedient)
        #expect(try done() == "prepared\n")
        try command.strike()
        try await command.confirm()
        #expect(try done() == "prepared\nmade\n")
        try await command.end()
        try await command.end()
        #expect(try done() == "prepared\nmade\nhealed\n")
        #expect(throws: BenchError.self) { try command.strike() }
    }

    @Test func whatIsNotMadeIsUndoneToo() async throws {
        defer { try? FileManager.default.removeItem(atPath: log) }
        try await arm(obedient).end()
        #expect(try done() == "prepared\nhealed\n")
    }

    @Test func whatItSaysLastIsTheReason() async throws {
        await #expect(throws: BenchError.faultFailed("the command for the fault is not armed: no root")) {
            _ = try await arm("echo no root; exit 1")
        }
        let refusing = try await arm("echo armed; read -r _; echo no rules; exit 1")
        try refusing.strike()
        await #expect(throws: BenchError.faultFailed("the command for the fault is not struck: no rules")) {
            try await refusing.confirm()
        }
        await #expect(throws: BenchError.faultFailed("the fault was not undone: no rules")) { try await refusing.end() }
        await #expect(throws: BenchError.self) { _ = try await ArmedCommand.arm(["/nowhere/to be found"]) }
    }
}
