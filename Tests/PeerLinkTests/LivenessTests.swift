import PeerLink
import Primitives
import Testing

/// A detector with a clock in milliseconds.
struct Timeline {
    static let one = NodeID(1)
    static let two = NodeID(2)

    var liveness: NodeLiveness
    var now: UInt64 = 1_000
    var verdicts: [LivenessVerdict] = []
    private var sequences: [UInt64] = [0, 0, 0]

    init(_ configuration: LivenessConfiguration = LivenessConfiguration()) {
        liveness = NodeLiveness(
            configuration: configuration, nodes: [Timeline.two, Timeline.one], now: Timeline.instant(1_000))
    }

    static func instant(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    mutating func beat(
        _ node: NodeID = Timeline.one, incarnation: UInt32 = 1, disk: Interval = .zero, loop: Interval = .zero
    ) {
        sequences[Int(node.rawValue)] += 1
        let heartbeat = Heartbeat(
            node: node, incarnation: Incarnation(incarnation), sequence: sequences[Int(node.rawValue)],
            sentAt: Timeline.instant(now), diskAge: disk, loopAge: loop)
        liveness.heartbeat(heartbeat, now: Timeline.instant(now), into: &verdicts)
    }

    /// Lets `milliseconds` pass, with a turn of the detector every 25, and heartbeats of `beating` with each.
    mutating func pass(_ milliseconds: UInt64, beating: [NodeID] = []) {
        let end = now + milliseconds
        while now < end {
            now = min(now + 25, end)
            for node in beating { beat(node) }
            liveness.tick(now: Timeline.instant(now), into: &verdicts)
        }
    }

    mutating func reset(_ incarnation: UInt32 = 1) {
        liveness.linkReset(
            Timeline.one, Incarnation(incarnation), now: Timeline.instant(now), into: &verdicts)
    }

    /// The verdicts since the last call.
    mutating func news() -> [LivenessVerdict] {
        defer { verdicts.removeAll() }
        return verdicts
    }
}

@Suite struct LivenessTests {
    private let one = Timeline.one
    private let two = Timeline.two
    private let first = Incarnation(1)

    @Test("a node that beats is up, and stays it without further words")
    func up() {
        var timeline = Timeline()
        #expect(timeline.liveness.status(of: one) == .unknown)
        timeline.beat()
        #expect(timeline.news() == [.up(one, first)])
        timeline.pass(60_000, beating: [one, two])
        #expect(timeline.news() == [.up(two, first)])
        #expect(timeline.liveness.status(of: one) == .up(first))
    }

    @Test("a node never heard is suspected once")
    func neverHeard() {
        var timeline = Timeline()
        timeline.pass(299)
        #expect(timeline.news().isEmpty)
        timeline.pass(1)
        #expect(timeline.news() == [.suspected(one, .neverHeard), .suspected(two, .neverHeard)])
        timeline.pass(5_000)
        #expect(timeline.news().isEmpty)
        timeline.beat(two)
        #expect(timeline.news() == [.up(two, first)])
    }

    @Test("silence of 300 ms is suspicious, and the deadline says when")
    func silence() {
        var timeline = Timeline()
        timeline.pass(2_000, beating: [one, two])
        _ = timeline.news()
        timeline.pass(275, beating: [two])
        #expect(timeline.news().isEmpty)
        #expect(timeline.liveness.nextDeadline(now: Timeline.instant(timeline.now)) == Timeline.instant(3_300))
        timeline.pass(25, beating: [two])
        #expect(timeline.news() == [.suspected(one, .silence(.milliseconds(300)))])
        timeline.pass(5_000, beating: [two])
        #expect(timeline.news().isEmpty)
        timeline.beat(one)
        #expect(timeline.news() == [.up(one, first)])
    }

    @Test("a killed process is suspected in the call that reports its FIN")
    func reset() {
        var timeline = Timeline()
        timeline.pass(500, beating: [one, two])
        _ = timeline.news()
        timeline.reset()
        #expect(timeline.news() == [.suspected(one, .linkReset)])
        // The other connections of the process end as well, and what it sent there before is read.
        timeline.reset()
        timeline.beat()
        timeline.beat()
        timeline.beat()
        #expect(timeline.news().isEmpty)
        timeline.pass(5_000, beating: [two])
        #expect(timeline.news().isEmpty)
        #expect(timeline.liveness.status(of: one) == .suspected(.linkReset))
    }

    @Test("a node whose connection was cut, and not its process, is up again after two intervals of heartbeats")
    func cut() {
        var timeline = Timeline()
        timeline.pass(500, beating: [one, two])
        timeline.reset()
        _ = timeline.news()
        timeline.pass(25, beating: [one, two])
        #expect(timeline.news().isEmpty)
        timeline.pass(25, beating: [one, two])
        #expect(timeline.news() == [.up(one, first)])
    }

    @Test("a restarted process is recognised by its incarnation, even when nobody saw the old one end")
    func restart() {
        var timeline = Timeline()
        timeline.pass(500, beating: [one, two])
        _ = timeline.news()
        timeline.now += 10
        timeline.beat(one, incarnation: 2)
        #expect(timeline.news() == [.suspected(one, .newIncarnation(Incarnation(2))), .up(one, Incarnation(2))])
        // What is left of the old one counts no more: neither its heartbeats, nor its end, nor its farewell.
        timeline.beat(one, incarnation: 1)
        timeline.reset(1)
        timeline.liveness.stopping(one, first, now: Timeline.instant(timeline.now), into: &timeline.verdicts)
        #expect(timeline.news().isEmpty)
        #expect(timeline.liveness.status(of: one) == .up(Incarnation(2)))
        timeline.reset(2)
        #expect(timeline.news() == [.suspected(one, .linkReset)])
        // Suspected already: the restart is one verdict, and needs no second heartbeat.
        timeline.liveness.connected(
            one, Incarnation(3), now: Timeline.instant(timeline.now), into: &timeline.verdicts)
        #expect(timeline.news() == [.up(one, Incarnation(3))])
    }

    @Test("a stalled disk or loop is suspicious as long as it is reported")
    func stalls() {
        var timeline = Timeline()
        timeline.beat()
        _ = timeline.news()
        timeline.beat(disk: .milliseconds(999))
        #expect(timeline.news().isEmpty)
        timeline.beat(disk: .milliseconds(1_000))
        #expect(timeline.news() == [.suspected(one, .diskStall(.seconds(1)))])
        timeline.beat(disk: .milliseconds(1_500))
        #expect(timeline.news().isEmpty)
        timeline.beat()
        #expect(timeline.news() == [.up(one, first)])
        timeline.beat(loop: .milliseconds(1_200))
        #expect(timeline.news() == [.suspected(one, .loopStall(.milliseconds(1_200)))])
        // A process that dies while it is suspected is dead all the same.
        timeline.reset()
        timeline.beat()
        #expect(timeline.news().isEmpty)
    }

    @Test("a farewell is final for the process that said it")
    func farewell() {
        var timeline = Timeline()
        timeline.pass(100, beating: [one, two])
        _ = timeline.news()
        timeline.liveness.stopping(one, first, now: Timeline.instant(timeline.now), into: &timeline.verdicts)
        #expect(timeline.news() == [.suspected(one, .stopping)])
        timeline.reset()
        timeline.pass(500, beating: [one, two])
        #expect(timeline.news().isEmpty)
        timeline.beat(one, incarnation: 2)
        #expect(timeline.news() == [.up(one, Incarnation(2))])
    }

    @Test("a detector that stood still suspects nobody for it, and says that it did")
    func ownStall() {
        var timeline = Timeline()
        timeline.pass(1_000, beating: [one, two])
        _ = timeline.news()
        timeline.now += 5_000
        timeline.liveness.tick(now: Timeline.instant(timeline.now), into: &timeline.verdicts)
        #expect(timeline.news() == [.stalled(.seconds(5))])
        timeline.pass(275)
        #expect(timeline.news().isEmpty)
        timeline.pass(25)
        #expect(timeline.news().count == 2)
        // Evidence that arrives first after the standstill is judged like this too.
        timeline.beat(one)
        timeline.beat(two)
        _ = timeline.news()
        timeline.now += 400
        timeline.beat(one)
        #expect(timeline.news() == [.stalled(.milliseconds(400))])
        // A short delay discards the window silently.
        timeline.pass(200, beating: [one])
        timeline.now += 76
        timeline.liveness.tick(now: Timeline.instant(timeline.now), into: &timeline.verdicts)
        timeline.pass(275, beating: [one])
        #expect(timeline.news().isEmpty)
        timeline.pass(25, beating: [one])
        #expect(timeline.news() == [.suspected(two, .silence(.milliseconds(300)))])
    }

    @Test("an irregular node gets more patience, up to the maximum, and loses it again")
    func adaptation() {
        var timeline = Timeline()
        timeline.pass(1_000, beating: [one, two])
        func threshold() -> Interval { timeline.liveness.threshold(of: one, now: Timeline.instant(timeline.now)) }
        #expect(threshold() == .milliseconds(300))
        timeline.pass(250, beating: [two])
        timeline.beat(one)
        #expect(threshold() == .milliseconds(375))
        timeline.pass(361, beating: [one, two])
        // A false alarm: it was only late.
        timeline.pass(400, beating: [two])
        #expect(timeline.news().last == .suspected(one, .silence(.milliseconds(375))))
        timeline.beat(one)
        #expect(timeline.news() == [.up(one, first)])
        #expect(threshold() == .seconds(1))
        timeline.pass(75_000, beating: [one, two])
        #expect(threshold() == .milliseconds(300))
        // A real absence teaches nothing.
        timeline.pass(3_000, beating: [two])
        timeline.beat(one)
        #expect(threshold() == .milliseconds(300))
    }

    @Test("what is late when an outage ends teaches nothing about the next one")
    func aftermath() {
        var timeline = Timeline()
        func threshold() -> Interval { timeline.liveness.threshold(of: one, now: Timeline.instant(timeline.now)) }
        timeline.pass(1_000, beating: [one, two])
        timeline.pass(1_400, beating: [two])
        // What the system sends again on the old connection; then nothing until a new one stands.
        timeline.beat(one)
        #expect(timeline.news().last == .up(one, first))
        timeline.pass(250, beating: [two])
        timeline.beat(one)
        timeline.pass(650, beating: [two])
        #expect(timeline.news() == [.suspected(one, .silence(.milliseconds(300)))])
        timeline.beat(one)
        #expect(timeline.news() == [.up(one, first)])
        #expect(threshold() == .milliseconds(300))
        // Two seconds after the outage what is late counts again.
        timeline.pass(1_200, beating: [one, two])
        timeline.pass(250, beating: [two])
        timeline.beat(one)
        #expect(threshold() == .milliseconds(375))
        timeline.pass(350, beating: [one, two])
        timeline.pass(400, beating: [two])
        timeline.beat(one)
        #expect(threshold() == .seconds(1))
    }

    @Test("repeated and reordered heartbeats say nothing")
    func repeated() {
        var timeline = Timeline()
        let instant = Timeline.instant(1_000)
        func heartbeat(_ sequence: UInt64, disk: Interval) -> Heartbeat {
            Heartbeat(node: one, incarnation: first, sequence: sequence, sentAt: instant, diskAge: disk)
        }
        timeline.liveness.heartbeat(heartbeat(5, disk: .zero), now: instant, into: &timeline.verdicts)
        timeline.liveness.heartbeat(heartbeat(5, disk: .seconds(9)), now: instant, into: &timeline.verdicts)
        timeline.liveness.heartbeat(heartbeat(4, disk: .seconds(9)), now: instant, into: &timeline.verdicts)
        #expect(timeline.news() == [.up(one, first)])
        #expect(timeline.liveness.report(of: one)?.sequence == 5)
    }

    @Test("peers come and go; strangers count for nothing")
    func membership() {
        var timeline = Timeline()
        let three = NodeID(3)
        timeline.liveness.heartbeat(
            Heartbeat(node: three, incarnation: first, sequence: 1, sentAt: .zero), now: Timeline.instant(1_000),
            into: &timeline.verdicts)
        #expect(timeline.news().isEmpty)
        timeline.liveness.add(three, now: Timeline.instant(1_000))
        timeline.liveness.add(three, now: Timeline.instant(1_000))
        timeline.liveness.remove(two)
        #expect(timeline.liveness.nodes == [one, three])
        timeline.pass(300)
        #expect(timeline.news() == [.suspected(one, .neverHeard), .suspected(three, .neverHeard)])
    }

    @Test("verdicts alternate, and nothing is suspected wrongly, under random timelines", arguments: 0..<40)
    func random(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var timeline = Timeline()
        var isUp: [NodeID: Bool] = [:]
        var lastBeat: UInt64 = timeline.now
        var incarnation: UInt32 = 1
        for _ in 0..<2_000 {
            switch random.next(below: 40) {
            case 0: timeline.reset(incarnation)
            case 1:
                incarnation += 1
                timeline.beat(one, incarnation: incarnation)
                lastBeat = timeline.now
            case 2: timeline.now += random.next(below: 600)
            case 3: timeline.pass(random.next(below: 600))
            default:
                timeline.beat(one, incarnation: incarnation)
                lastBeat = timeline.now
                timeline.pass(random.next(below: 30))
            }
            for verdict in timeline.news() {
                switch verdict {
                case .up(let node, _):
                    #expect(isUp[node] != true)
                    isUp[node] = true
                case .suspected(let node, let reason):
                    #expect(isUp[node] != false)
                    isUp[node] = false
                    if node == one, case .silence(let silence) = reason {
                        #expect(silence >= .milliseconds(300))
                        #expect(timeline.now - lastBeat >= 300)
                    }
                case .stalled(let away): #expect(away >= .milliseconds(300))
                }
            }
        }
        #expect(isUp[one] != nil)
    }
}
