import Primitives
import QuorumQueue

// What clients were told and got: checked against what the committed log says of every message.
extension Checker {
    func newPublisher(of group: GroupID) -> UInt64 {
        publishers.append((group, 0))
        return UInt64(publishers.count)
    }

    func newMessage(_ publisher: UInt64) -> MessageStamp {
        publishers[Int(publisher) - 1].count += 1
        let (group, count) = publishers[Int(publisher) - 1]
        let stamp = MessageStamp(message: UInt64(published.count) + 1, publisher: publisher, number: count)
        published.append(Published(group: group, stamp: stamp))
        return stamp
    }

    func ended(_ session: ClientSession) {}

    /// Entries of a queue that are known to be committed.
    func applied(of group: GroupID) -> Int { models[group]?.counts.count ?? 0 }

    /// A client was told a queue's counts. They are those behind an entry that was not overtaken when it asked.
    func read(_ group: GroupID, since: Int, ready: UInt64, held: UInt64) {
        let counts = models[group]?.counts ?? []
        let isFresh = counts[max(0, min(since, counts.count) - 1)...].contains {
            UInt64($0.ready) == ready && UInt64($0.held) == held
        }
        if !isFresh && !(counts.isEmpty || since == 0) {
            fail("reads are fresh", "\(group) was said to have \(ready) ready and \(held) held, behind entry \(since)")
        }
    }

    func confirmed(_ message: UInt64, of group: GroupID) {
        confirmedCount += 1
        published[Int(message) - 1].isConfirmed = true
        if models[group]?.fates[message] == nil {
            fail("confirm after commit", "message \(message) was confirmed and is not in the committed log of \(group)")
        }
    }

    func delivered(
        _ group: GroupID, _ session: ClientSession, _ consumer: ClientConsumer, number: UInt64, count: UInt32,
        redelivered: Bool, body: Bytes
    ) {
        let id = ConsumerID(session: session.id, number: consumer.number)
        guard let stamp = MessageStamp(body), stamp.message >= 1, stamp.message <= published.count,
            published[Int(stamp.message) - 1].stamp == stamp, published[Int(stamp.message) - 1].group == group
        else { return fail("no invention", "\(id) was delivered what nobody published") }
        guard models[group]?.message(at: number, of: id) == stamp.message else {
            return fail(
                "exclusive assignment",
                "\(id) was delivered message \(stamp.message) as \(number); the log says "
                    + "\(models[group]?.message(at: number, of: id) ?? 0)")
        }
        let place = Int(stamp.message) - 1
        published[place].isReceived = true
        guard !redelivered else { return }
        if published[place].isReceivedFresh { fail("dedup", "message \(stamp.message) was delivered twice, unflagged") }
        published[place].isReceivedFresh = true
        if let newest = consumer.newest[stamp.publisher], newest >= stamp.number {
            fail("FIFO", "\(id) got message \(stamp.number) of publisher \(stamp.publisher) after \(newest)")
        }
        consumer.newest[stamp.publisher] = stamp.number
    }

    /// At the end, with all queues empty: where every confirmed message has gone.
    func account() {
        for message in published where message.isConfirmed {
            guard let fate = models[message.group]?.fates[message.stamp.message] else {
                fail("no loss", "confirmed message \(message.stamp.message) is gone")
                return
            }
            switch fate {
            case .purged: break
            case .settled, .discarded:
                if !message.isReceived {
                    fail("no loss", "confirmed message \(message.stamp.message) was settled and never delivered")
                }
            case nil: fail("no loss", "confirmed message \(message.stamp.message) was not consumed")
            }
        }
    }
}
