import Primitives
import Replication

/// Which faults a seed has, and how often: drawn at random for each seed (swarm testing, Groce et al. 2012), so that
/// some seeds are about one fault only and others about all of them.
struct FaultPlan {
    /// Mean time between two of a kind; nil for never.
    var crash: Interval?
    var crashAll: Interval?
    var pause: Interval?
    var loopStall: Interval?
    var partition: Interval?
    var linkReset: Interval?
    var slowDisk: Interval?
    var slowLink: Interval?
    /// Something on the disk of one node is damaged; see `FaultAtlas`.
    var damage: Interval?
    /// Damage may also be sectors that are overwritten or cannot be read.
    var hasUnreadableSectors = false
    /// One write in so many of the damaged node goes elsewhere; 0 for never.
    var misdirection: UInt64 = 0
    /// A read fails and succeeds when it is tried again.
    var readErrors: Interval?
    /// An fdatasync fails.
    var syncFailure: Interval?
    /// A disk answers nothing for a while.
    var diskStall: Interval?
    /// Power fails while something is written, between any two changes of the disk.
    var powerLoss: Interval?
    /// How often damage is a footer's, a header's, the identity's, an entry's, any frame's.
    var damageWeights: [UInt64] = []
    /// A disk takes no more than what it has.
    var fullDisk: Interval?
    /// A disk is lost, with everything on it, and another takes its place.
    var diskLoss: Interval?
    /// A member of a group is let go, and taken in again.
    var dismissal: Interval?
    /// A process is stopped in order: it hands its leaderships over and ends.
    var stop: Interval?
    /// A leader hands a group over to any voter.
    var transfer: Interval?
    /// The wall clock of a node jumps, forward or back, to so many milliseconds ahead of the true time at most.
    var clockJump: Interval?
    var largestSkew: UInt64 = 60_000
    /// A new leader's node is hit soon after its election, once in so many elections; 0 for never.
    var leaderHunt: UInt64 = 0
    /// New leaders are muted, and hit at their first commit.
    var isDivergent = false
    /// Raft messages dropped, doubled or delayed past others, of a thousand.
    var rawLoss: UInt64 = 0
    /// Likewise messages between queue clients and leaders.
    var clientLoss: UInt64 = 0

    /// Of the disk and the links when nothing is wrong with them.
    var write = Interval.microseconds(20)
    var sync = Interval.microseconds(100)
    var latency = Interval.microseconds(50)
    var jitter = Interval.microseconds(50)
    /// Bytes on their way at which a link counts as backed up.
    var backedUpBytes = 8 << 20

    /// Nodes of the cluster.
    var nodes = 3
    /// On five nodes: queues have three members, or all nodes, or some of them this and others that.
    var hasSmallGroups = false
    var hasLargeGroups = true
    var shard = ShardConfiguration()
    var queues = 1
    var largestPadding: UInt64 = 256
    /// Requests for counts among a thousand operations.
    var reads: UInt64 = 30
    /// Mean time between two bursts of client operations of one node.
    var operation = Interval.milliseconds(32)
    /// Operations of a burst at most; on average about half as many. One for clients that wait for each answer.
    var burst: UInt64 = 1

    init(_ random: inout SeededRandom, plant: PlantedBug?) {
        func maybe(_ chance: UInt64, _ low: UInt64, _ high: UInt64) -> Interval? {
            let value = Interval.milliseconds(low + random.next(below: high - low))
            return random.next(below: 100) < chance ? value : nil
        }
        crash = maybe(65, 1_500, 15_000)
        crashAll = maybe(30, 8_000, 30_000)
        pause = maybe(45, 2_000, 15_000)
        loopStall = maybe(25, 3_000, 15_000)
        partition = maybe(55, 1_500, 12_000)
        linkReset = maybe(50, 300, 8_000)
        slowDisk = maybe(40, 2_000, 12_000)
        slowLink = maybe(40, 2_000, 12_000)
        if random.oneIn(2) { leaderHunt = 1 + random.next(below: 4) }
        isDivergent = leaderHunt > 0 && random.oneIn(2)
        if random.oneIn(3) { rawLoss = 1 + random.next(below: 60) }
        if random.oneIn(5) { clientLoss = 1 + random.next(below: 20) }
        write = .microseconds(5 + random.next(below: 50))
        sync = .microseconds(60 + random.next(below: random.oneIn(3) ? 8_000 : 400))
        latency = .microseconds(20 + random.next(below: random.oneIn(3) ? 3_000 : 100))
        jitter = .microseconds(20 + random.next(below: random.oneIn(3) ? 4_000 : 100))
        if random.oneIn(3) {
            backedUpBytes = 2_048 << random.next(below: 8)
            shard.tickBytesLimit = backedUpBytes
        }
        if random.oneIn(2) { shard.cacheLimit = 8 << (10 + random.next(below: 5)) }
        shard.entriesInFlightLimit = 1 + Int(random.next(below: 12))
        shard.sessionExpiry = .milliseconds(500 + random.next(below: random.oneIn(2) ? 3_000 : 60_000))
        if random.oneIn(3) { shard.readAhead = 4 << (10 + random.next(below: 6)) }
        shard.snapshotThreshold = 2 << (10 + random.next(below: 6))
        damage = maybe(50, 50, 3_000)
        hasUnreadableSectors = random.oneIn(2)
        if damage != nil && random.oneIn(2) { misdirection = 50 << random.next(below: 6) }
        readErrors = maybe(40, 50, 3_000)
        syncFailure = maybe(30, 3_000, 20_000)
        diskStall = maybe(30, 3_000, 15_000)
        queues = 1 + Int(random.next(below: 4))
        if random.oneIn(4) { largestPadding = 16 << (10 + random.next(below: 3)) }
        if random.oneIn(2) { shard.inlineStateLimit = 0 }
        damageWeights = (0..<5).map { _ in random.next(below: 10) }
        powerLoss = maybe(40, 1_000, 8_000)
        fullDisk = maybe(40, 2_000, 12_000)
        if random.oneIn(3) { shard.backlogLimit = 4_096 << random.next(below: 8) }
        diskLoss = maybe(40, 1_000, 10_000)
        dismissal = maybe(40, 200, 4_000)
        burst = 1 + random.next(below: 12)
        operation = Interval(nanoseconds: operation.nanoseconds * (burst + 1) / 2)
        stop = maybe(40, 2_000, 12_000)
        transfer = maybe(40, 100, 3_000)
        if random.oneIn(3) { reads = 300 }
        clockJump = maybe(60, 500, 10_000)
        if random.oneIn(3) { largestSkew = 400 * 86_400_000 }
        if random.oneIn(4) {
            nodes = 5
            hasSmallGroups = !random.oneIn(3)
            hasLargeGroups = !hasSmallGroups || random.oneIn(2)
        }
        if random.oneIn(4) { queues = 5 + Int(random.next(below: 8)) }
        // The cluster has as much to do whatever its size.
        operation = Interval(nanoseconds: operation.nanoseconds * UInt64(nodes) / 3)
        switch plant {
        case .blindTransfer: transfer = transfer ?? .milliseconds(300)
        case .emptyStoreVotes: diskLoss = diskLoss ?? .seconds(2)
        case .changeBeforeBarrier, .twoChangesAtOnce, .learnerCounts, .removedLeaderCountsItself, .earlyPromotion:
            dismissal = dismissal ?? .milliseconds(500)
        default: break
        }
    }
}
