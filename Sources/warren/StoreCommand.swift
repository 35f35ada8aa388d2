import ArgumentParser
import Foundation
import LogStore
import Primitives

struct StoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Looks into the data directory of a node that does not run. Writes nothing.",
        subcommands: [Verify.self, Dump.self])

    struct Verify: StoreReading {
        static let configuration = CommandConfiguration(
            commandName: "verify",
            abstract: "Reads a whole store and compares it with its checksums. Exit 1 when something is wrong.",
            discussion: "A torn tail, written when the node died and confirmed to nobody, is named and is no problem.")

        @Argument(help: "The node's data_dir.")
        var directory: String

        func run(_ inspection: StoreInspection<ReadOnlyDisk>) throws(LogStoreFailure) -> Bool {
            let result = try inspection.verify()
            for problem in result.problems { print(problem) }
            for torn in result.tornTails { print(torn) }
            print(
                "\(result.segments) segments, \(result.frames) frames, \(result.records) records, "
                    + "\(result.bytes) bytes verified, \(result.problems.count) problems")
            return result.problems.isEmpty
        }
    }

    struct Dump: StoreReading {
        static let configuration = CommandConfiguration(
            commandName: "dump", abstract: "Prints what a start would find in a store: its segments and groups.")

        @Argument(help: "The node's data_dir.")
        var directory: String

        @Option(help: "Only this group; 0 is the topology.")
        var group: UInt64?

        @Flag(help: "A line for each entry.")
        var entries = false

        @Flag(help: "The entries that each snapshot still refers to.")
        var snapshots = false

        func run(_ inspection: StoreInspection<ReadOnlyDisk>) throws(LogStoreFailure) -> Bool {
            let contents = try inspection.contents()
            let groups = contents.groups.filter { group == nil || $0.recovered.group.rawValue == group }
            if let group, groups.isEmpty {
                complain("there is no group \(group)")
                return false
            }
            if group == nil { contents.segments.forEach { print(StoreListing.line($0)) } }
            for group in groups {
                StoreListing.lines(group).forEach { print($0) }
                if snapshots { StoreListing.live(group.recovered).forEach { print($0) } }
                if entries { StoreListing.entries(group.recovered).forEach { print($0) } }
            }
            if group == nil && !contents.removedGroups.isEmpty {
                print("removed groups: " + contents.removedGroups.map { "\($0.rawValue)" }.joined(separator: " "))
            }
            return true
        }
    }
}

/// A command that reads a data directory. Exit codes: 0 fine, 1 the answer is no or the directory cannot be read.
protocol StoreReading: ParsableCommand {
    var directory: String { get }

    /// - Returns: whether the answer is yes.
    func run(_ inspection: StoreInspection<ReadOnlyDisk>) throws(LogStoreFailure) -> Bool
}

extension StoreReading {
    func run() throws {
        let isFine: Bool
        do throws(LogStoreFailure) {
            isFine = try run(try StoreInspection(disk: try opened()))
        } catch {
            complain(reason(error))
            throw ExitCode.failure
        }
        if !isFine { throw ExitCode.failure }
    }

    private func opened() throws(LogStoreFailure) -> ReadOnlyDisk {
        do throws(DiskFailure) {
            return try ReadOnlyDisk(path: directory)
        } catch {
            throw .disk(error)
        }
    }

    private func reason(_ failure: LogStoreFailure) -> String {
        switch failure {
        case .disk(.notFound(directory)): "there is no \(directory)"
        case .disk(.notFound(let name)): "there is no file '\(name)' in \(directory)"
        case .disk(.system(EWOULDBLOCK, "lock", _)): "\(directory) is in use by a running node"
        case .identityMissing: "there is no store in \(directory)"
        default: "\(directory): \(failure)"
        }
    }

    /// One line on standard error.
    func complain(_ reason: String) { FileHandle.standardError.write(Data("warren: \(reason)\n".utf8)) }
}
