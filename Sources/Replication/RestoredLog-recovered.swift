package import LogStore
import Primitives
import Raft

extension RestoredLog {
    /// The core's view of a recovered group: terms as runs, everything on disk durable. `recovered.usableEntries` are
    /// the entries it counts with. Where the log
    /// is known not to have gone beyond `lostThrough`, its vote depends on that; see `Shard.makeReplica`.
    init(_ recovered: RecoveredGroup) {
        let entries = recovered.usableEntries
        var runs: [TermRun] = []
        for entry in entries where runs.last?.term != entry.term {
            runs.append(TermRun(first: entry.index, term: entry.term))
        }
        // A term is on disk before its entries; where it is not, records were lost, and a vote with them.
        let lastTerm = entries.last?.term ?? recovered.snapshot?.term ?? .zero
        let isWhole = entries.count == recovered.entries.count && lastTerm <= recovered.term
        self.init(
            hardState: HardState(
                term: max(recovered.term, lastTerm), vote: lastTerm <= recovered.term ? recovered.vote : nil),
            termRuns: runs, lastIndex: entries.last?.index ?? recovered.snapshot?.index ?? .zero,
            snapshotIndex: recovered.snapshot?.index ?? .zero, snapshotTerm: recovered.snapshot?.term ?? .zero,
            mayVote: (recovered.mayVote || recovered.lostThrough > .zero) && isWhole,
            mayLead: recovered.mayLead && isWhole)
    }
}

extension RecoveredGroup {
    /// Nothing is lost but what a log that is committed far enough makes good, whether terms fall in it now or not.
    var mayVoteOnceWhole: Bool {
        (mayVote || lostThrough > .zero) && (usableEntries.last?.term ?? snapshot?.term ?? .zero) <= term
    }

    /// The entries up to where the loss of records shows: a log begins behind its snapshot, and terms never fall.
    package var usableEntries: [EntryLocation] {
        guard entries.first?.index == (snapshot?.index ?? .zero).next else { return [] }
        var last = snapshot?.term ?? .zero
        let fall = entries.firstIndex { entry in
            defer { last = entry.term }
            return entry.term < last
        }
        return fall.map { Array(entries[..<$0]) } ?? entries
    }
}
