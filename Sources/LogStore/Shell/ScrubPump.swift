import Primitives

/// A turn of the scrub's thread.
enum ScrubTurn: Sendable {
    /// The pause between two passes is over.
    case waited
    case read(ScrubOutcome)
}

/// Drives the scrub from the log writer's thread: one segment at a time, read by a thread of its own.
struct ScrubPump<D: Disk> {
    private let configuration: ScrubConfiguration
    /// Handed nil, it only waits.
    private let thread: JobThread<ScrubJob?>
    private let report: @Sendable (ScrubReport) -> Void
    private var passBegan = Instant.zero
    private(set) var totals = ScrubTotals()

    /// Starts the thread; `deliver` is called on it.
    init(
        _ configuration: ScrubConfiguration, disk: D, thread: JobThread<ScrubJob?>,
        report: @escaping @Sendable (ScrubReport) -> Void, deliver: @escaping @Sendable (ScrubTurn) -> Void
    ) {
        self.configuration = configuration
        self.thread = thread
        self.report = report
        let disk = PacedDisk(disk: disk, rate: configuration.rate) { thread.pause(until: $0) }
        thread.start { job in
            guard let job else { return deliver(.waited) }
            let outcome = job.run(on: disk)
            // What was given up in the middle is not damaged.
            if thread.pause(until: .zero) { deliver(.read(outcome)) }
        }
        thread.hand(nil, notBefore: .now + min(configuration.interval, ScrubConfiguration.firstDelay))
    }

    /// Takes the thread's turn and hands out the next one.
    mutating func took(_ turn: ScrubTurn, _ log: inout NodeLog<D>) {
        switch turn {
        case .waited: passBegan = .now
        case .read(let outcome):
            let found = log.scrubbed(outcome)
            totals.segments += 1
            totals.bytes += found.bytes
            if !found.problems.isEmpty { totals.damagedSegments += 1 }
            if !found.isClean { report(found) }
        }
        if let job = log.nextScrub() {
            thread.hand(job)
        } else {
            totals.passes += 1
            thread.hand(nil, notBefore: passBegan + configuration.interval)
        }
    }
}
