/// Which sealed segment is read next.
struct ScrubCursor: Sendable {
    /// The segment read last.
    private var position: UInt32 = 0
    /// The highest segment of the pass; nil between two passes.
    private var end: UInt32?

    /// The next segment of the pass; nil behind the last one, or when there is none. The call after that begins anew.
    mutating func next(in accounts: [SegmentAccount]) -> SegmentAccount? {
        if end == nil {
            position = 0
            end = accounts.last { $0.isSealed }?.segment
        }
        // A pass ends although the log grows.
        guard let end, let next = accounts.first(where: { $0.segment > position && $0.isSealed && $0.hasFrames }),
            next.segment <= end
        else {
            end = nil
            return nil
        }
        position = next.segment
        return next
    }
}

// The scrub: cold segments are read from time to time, because damage that nobody meets adds up until no majority is
// left.
extension NodeLog {
    /// The next sealed segment to read; nil at the end of a pass over all of them. The call after that begins another.
    /// Run the job on any thread and hand its outcome to `scrubbed`; reclamation may retire the segment meanwhile.
    public mutating func nextScrub() -> ScrubJob? {
        scrub.next(in: accounts.accounts).map {
            ScrubJob(segment: $0.segment, frames: $0.firstFrame...$0.lastFrame, storeID: storeID)
        }
    }

    /// Takes what reading a segment found. What is live in a segment whose own structure is damaged will be moved by
    /// reclamation; the rest of the report is for the shards.
    public mutating func scrubbed(_ outcome: ScrubOutcome) -> ScrubReport {
        var report = ScrubReport(segment: outcome.segment, bytes: outcome.bytes)
        // Of one that was retired meanwhile the file is gone, or has become another segment.
        guard accounts.account(of: outcome.segment) != nil else { return report }
        for record in outcome.records {
            if record.kind == .entries {
                report.entries.append(record.location)
            } else if isNeeded(record), let damaged = DamagedRecord(record) {
                report.records.append(damaged)
            }
        }
        report.problems = outcome.problems
        guard !report.problems.isEmpty else { return report }
        accounts.condemn(outcome.segment)
        if var contents = outcome.contents, let next = successor(of: outcome.segment) {
            contents.next = next
            reclaimer.learn(contents)
        }
        return report
    }

    /// The segment in which the log went on behind another.
    private func successor(of segment: UInt32) -> UInt32? {
        let existing = accounts.accounts.first { $0.segment > segment }?.segment
        let retired = identity.retired.first { $0.first > segment }?.first
        return [existing, retired].compactMap { $0 }.min()
    }
}
