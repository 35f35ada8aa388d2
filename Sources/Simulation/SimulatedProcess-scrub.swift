import LogStore
import Primitives
import Replication

extension SimulatedProcess {
    /// A cold segment is read, and the next one after a while.
    func scrub() {
        if let job = log.nextScrub() {
            let report = log.scrubbed(job.run(on: disk))
            if !report.isClean {
                simulation.trace.note(node, "scrub found", UInt64(report.segment), UInt64(report.entries.count))
                shard.scrubbed(report, now: now)
                setNeedsFlush()
            }
        }
        loop(after: .milliseconds(400 + random.next(below: 1_200))) { [unowned self] in scrub() }
    }

    /// A place at which an entry that is needed cannot be read.
    var rottenEntry: EntryLocation? {
        for group in shard.replicaGroups {
            let locations = shard.locations(of: group).filter { $0.segment < log.activeSegment }
            for (location, result) in zip(locations, reader.read(locations)) {
                if case .failure = result, shard.isOwed(location) { return location }
            }
        }
        return nil
    }
}
