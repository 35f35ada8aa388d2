import Broker
import PeerLink
import Primitives
import QueueClient
import QuorumQueue
import Raft
import Replication
import Topology

/// One of each thing that nodes say to each other.
enum PeerSeeds {
    @Sendable static func all() -> [[UInt8]] {
        let messages = messages
        var seeds = messages.map { [5, $0.0.rawValue - 1, 5] + $0.1.toArray() }
        let payload = encoded { writer in
            for (kind, content) in messages where content.count < 80 {
                writer.write(kind.rawValue)
                writer.write(UInt64(5))
                writer.write(UInt32(content.count))
                writer.write(content)
            }
        }
        seeds.append([1, 7] + frame(6, 0, payload.toArray()))
        let total = [UInt8(truncatingIfNeeded: payload.count), UInt8(payload.count >> 8), 0, 0]
        seeds.append(
            [1, 255] + frame(6, 3, total + payload[0..<50].toArray())
                + frame(6, 0, payload[50..<payload.count].toArray()))
        let stream = encoded {
            PeerFrame(kind: .message, payload: messages.first?.1 ?? Bytes()).encode(into: &$0)
            PeerFrame(kind: .farewell, payload: Bytes([1])).encode(into: &$0)
        }
        seeds.append([0, 3] + stream.toArray())
        for place in 0..<8 as Range<UInt8> { seeds.append([2, place, min(place + 1, 6)] + hello) }
        let heartbeat = encoded {
            Heartbeat(
                node: NodeID(1), incarnation: Incarnation(2), sequence: 3, sentAt: Instant(nanoseconds: 4),
                diskAge: .milliseconds(5), loopAge: .milliseconds(6), digest: 7
            ).encode(into: &$0)
        }.toArray()
        seeds.append([3] + [25] + heartbeat + [30] + heartbeat + [255] + heartbeat)
        var note = ReplicaNote(LogDoubt(transferredThrough: LogIndex(9)))
        seeds.append([4] + note.encoded().toArray())
        note.configurations = [.init(index: LogIndex(3), term: Term(1), descriptor: descriptor)]
        note.installation = .init(snapshot: LogIndex(5), index: LogIndex(3), descriptor: descriptor)
        return seeds + [[4] + note.encoded().toArray(), [4] + descriptor.encoded().toArray()]
    }

    private static func frame(_ kind: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [kind, flags, UInt8(truncatingIfNeeded: payload.count), UInt8(payload.count >> 8)] + payload
    }

    /// The first frame's payload of node 2, as `PeerHello` lays it out.
    private static let hello: [UInt8] = encoded {
        $0.write([1, 1, 0, 2, 0, 1, 0, 0, 1])
        for number in [1, 2] as [UInt64] { $0.write(number) }
        $0.write(UInt16(2))
        for number in [1, 2] as [UInt64] { $0.write(number) }
        $0.write(UInt32(1))
        $0.write(UInt16(1))
        for number in [0, 0] as [UInt64] { $0.write(number) }
        $0.write([UInt8](repeating: 2, count: 32))
    }.toArray()

    private static let descriptor = GroupDescriptor(
        members: (1...4).map {
            .init(node: NodeID($0), store: StoreID(high: 1, low: UInt64($0)), role: $0 == 4 ? .learner : .voter)
        }, preferredLeader: NodeID(2))

    private static func noop(_ index: UInt64) -> Entry {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        return Entry(
            kind: .noop, group: GroupID(5), index: LogIndex(index), term: Term(2), timestamp: WallTime(milliseconds: 1),
            headers: nothing, bodies: nothing)
    }

    private static var messages: [(PeerMessageKind, Bytes)] {
        raft.map { (.raft, $0) } + client.map { message in (.client, encoded { message.encode(into: &$0) }) }
            + leader.map { message in (.leader, encoded { message.encode(into: &$0) }) }
            + MachineSeeds.topologyCommands.map { (.topologyCommands, MachineSeeds.requests([$0])) }
            + snapshot.map { message in (.snapshot, encoded { message.encode(into: &$0) }) }
            + [
                (.leadershipInquiry, Bytes([UInt8](repeating: 1, count: 32))),
                (.repair, encoded { $0.write(noop(7).bytes) }),
                (
                    .gateway,
                    encoded { writer in
                        writer.write(GatewayMessage.version)
                        for message in gateway { message.encode(into: &writer) }
                    }
                ),
            ]
    }

    private static var raft: [Bytes] {
        let append = Append(
            term: Term(2), prevIndex: LogIndex(6), prevTerm: Term(1), commit: LogIndex(6), count: 2,
            entriesTerm: Term(2), rank: 1, readContext: 3)
        let reply = AppendReply(
            term: Term(2), isAccepted: false, index: LogIndex(6), hintIndex: LogIndex(3), hintTerm: Term(1),
            readContext: 1, mayVote: true)
        let messages: [RaftMessage] = [
            .preVote(PreVote(term: Term(3), lastIndex: LogIndex(9), lastTerm: Term(2), rank: 0)),
            .preVoteReply(VoteReply(term: Term(3), isGranted: true)),
            .vote(Vote(term: Term(3), lastIndex: LogIndex(9), lastTerm: Term(2), isTransfer: true)),
            .voteReply(VoteReply(term: Term(3), isGranted: false)), .appendReply(reply), .timeoutNow(Term(2)),
            .leaderGone(Term(2)),
        ]
        let entries = encoded {
            RaftMessage.append(append).encode(into: &$0)
            $0.write(noop(7).bytes)
            $0.write(noop(8).bytes)
        }
        return messages.map { message in encoded { message.encode(into: &$0) } } + [entries]
    }

    private static var client: [ClientMessage] {
        let session = ResumedSession(
            number: 3, answered: 1, lastSequence: 9, consumers: [ResumedConsumer(number: 1, received: 4)])
        return MachineSeeds.batches.prefix(2).map {
            .commands(CommandMessage(gateway: MachineSeeds.gateway, epoch: 1, number: 2, batchID: 3, batch: $0))
        } + [
            .resume(
                ResumeRequest(
                    gateway: MachineSeeds.gateway, incarnation: Incarnation(1), epoch: 2, sessions: [session])),
            .status(gateway: MachineSeeds.gateway, requestID: 7),
        ]
    }

    private static var leader: [LeaderMessage] {
        let progress = [SessionProgress(number: 1, lastApplied: nil), SessionProgress(number: 2, lastApplied: 3)]
        let events: [LeaderEvent] = [
            .applied(session: 1, through: 9), .outcome(session: 1, sequence: 2, .got(number: 3, remaining: 4)),
            .outcome(session: 1, sequence: 3, .purged(5)), .outcome(session: 1, sequence: 4, .getEmpty),
            .refused(session: 1, .stale), .outOfSequence(session: 2, expected: 8), .sessionClosed(session: 3),
            .deliver(
                session: 4, consumer: 1, firstNumber: 2, deliveryCount: 1, redelivered: true,
                bodies: MessageBodies(Bytes("abbc"), lengths: [1, 2, 1])),
        ]
        return [
            .notLeader(epoch: 1, term: Term(2), hint: NodeID(3)), .resumeNeeded(epoch: 4), .groupGone,
            .resumed(
                ResumeReply(epoch: 1, term: Term(2), acceptedThrough: 3, sessions: progress, unlisted: progress)),
            .events(
                LeaderEvents(
                    epoch: 1, number: 2, gateway: MachineSeeds.gateway, incarnation: Incarnation(1), events: events)),
            .status(requestID: 1, ready: 2, unacknowledged: 3, consumers: 4),
        ]
    }

    private static var snapshot: [SnapshotMessage] {
        let name = SnapshotName(index: LogIndex(9), term: Term(2))
        return [
            .offer(
                SnapshotOffer(
                    name: name, leaderTerm: Term(2), byteCount: 100,
                    live: [LogIndex(1)...LogIndex(1), LogIndex(3)...LogIndex(8)],
                    configuration: .init(index: LogIndex(4), descriptor: descriptor))),
            .request(name, after: LogIndex(3), offset: 9),
            .entries(name, after: LogIndex(4), through: LogIndex(9), [noop(7), noop(8)]),
            .chunk(name, offset: 77, Bytes("state")),
        ]
    }

    private static var gateway: [GatewayMessage] {
        let queue = TransientID(5)
        return [
            .publish(queue: queue, channel: 1, sequence: 2, message: Bytes("m")),
            .published(queue: queue, channel: 1, through: 2),
            .attach(request: 1, queue: queue, channel: 1, consumer: 2, window: 3, exclusive: true),
            .detach(queue: queue, channel: 1, consumer: 2),
            .window(queue: queue, channel: 1, consumer: 2, window: 3),
            .settle(queue: queue, channel: 1, consumer: 2, numbers: 1...3),
            .giveBack(queue: queue, channel: 1, consumer: 2, numbers: 4...5, counted: true),
            .get(request: 1, queue: queue, channel: 1), .purge(request: 1, queue: queue),
            .counts(request: 1, queue: queue), .channelGone(queue: queue, channel: 1),
            .deliver(
                channel: 1, consumer: 2, number: 3, deliveryCount: 4, redelivered: true, message: Bytes("body")),
            .reply(request: 1, .ok),
            .reply(
                request: 1, .got(number: 1, deliveryCount: 2, redelivered: false, remaining: 3, message: Bytes("m"))),
        ]
    }
}
