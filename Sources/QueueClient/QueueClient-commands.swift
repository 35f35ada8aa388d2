import Primitives
public import QuorumQueue

extension QueueClient {
    /// Opens a session.
    /// - Parameter number: higher than any before, of this gateway and incarnation; at most 2⁶² - 1.
    public mutating func openSession(number: UInt64) -> SessionID {
        precondition(number > highestSession && number <= CommandLimits.number)
        highestSession = number
        guard !isGone else { return id(number) }
        sessions.append(ClientSession(number: number))
        lastFound = sessions.count - 1
        _ = begin(lastFound, size: 0)
        encoder.open()
        return id(number)
    }

    /// Ends a session: its consumers go and what they hold returns to the queue. It takes no calls and has no events
    /// from here on but `applied`; the last one covers the close.
    @discardableResult
    public mutating func closeSession(_ session: SessionID) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        sessions[place].closeSequence = sequence
        encoder.close()
        return sequence
    }

    /// Enqueues a message of `length` bytes that `fill` writes in place.
    /// - Parameter expiration: milliseconds to live.
    /// - Returns: the sequence number; 0 when the session is gone.
    @inline(__always)
    public mutating func publish(
        _ session: SessionID, priority: UInt8? = nil, expiration: UInt64? = nil, length: Int,
        fill: (UnsafeMutableRawBufferPointer) -> Void
    ) -> UInt64 {
        guard let place = open(session) else { return 0 }
        let sequence = begin(place, size: length)
        encoder.enqueue(priority: priority, expiration: expiration, length: length, fill: fill)
        return sequence
    }

    /// Attaches a consumer.
    /// - Parameter consumer: not 0, and new in the session.
    /// - Returns: the sequence number; 0 when the session is gone. A refusal is an outcome.
    @discardableResult
    public mutating func attach(_ session: SessionID, consumer: UInt32, options: ConsumerOptions) -> UInt64 {
        guard let place = open(session) else { return 0 }
        precondition(consumer != 0 && sessions[place].consumer(consumer) == nil)
        settleNow(place)
        let sequence = begin(place, size: options.tag.utf8.count)
        sessions[place].insert(ClientConsumer(number: consumer, attachSequence: sequence, prefetch: options.prefetch))
        encoder.attach(consumer: consumer, options: options)
        return sequence
    }

    /// Ends a consumer. Deliveries may come until the answer (`applied` at this number), none later; what the consumer
    /// holds can be settled or returned before and after.
    @discardableResult
    public mutating func detach(_ session: SessionID, consumer: UInt32) -> UInt64 {
        guard let place = open(session), let slot = sessions[place].consumer(consumer), consumer != 0,
            sessions[place].consumers[slot].detachSequence == 0
        else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        sessions[place].consumers[slot].detachSequence = sequence
        sessions[place].hasDetaching = true
        encoder.detach(consumer: consumer)
        return sequence
    }

    /// Sets a consumer's most unsettled messages; 0 leaves it to the queue.
    @discardableResult
    public mutating func setPrefetch(_ session: SessionID, consumer: UInt32, _ prefetch: UInt32) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        if let slot = sessions[place].consumer(consumer) { sessions[place].consumers[slot].prefetch = prefetch }
        encoder.setPrefetch(consumer: consumer, prefetch)
        return sequence
    }

    /// The messages with these delivery numbers are done. Coalesced: they become commands, and get sequence numbers, at
    /// the end of the tick, or of a later one (`defersSettlements`), or before the session's next command that is not a
    /// publish.
    public mutating func settle(_ session: SessionID, consumer: UInt32, _ numbers: ClosedRange<UInt64>) {
        guard let place = open(session) else { return }
        if settlingSessions.isEmpty { areSettlementsDue = false }
        if sessions[place].settling.isEmpty { settlingSessions.append(session.number) }
        sessions[place].settling.add(consumer, numbers)
        if !areSettlementsDue {
            sessions[place].settlingCount += numbers.upperBound - numbers.lowerBound + 1
            let share = sessions[place].consumer(consumer).map { sessions[place].consumers[$0].settlementShare } ?? 0
            areSettlementsDue = sessions[place].settlingCount >= share
        }
        if sessions[place].settling.count >= QueueClient.settlementLimit { settleNow(place) }
    }

    /// The messages with these delivery numbers go back to the queue. `counted`: it was a failed delivery.
    @discardableResult
    public mutating func `return`(
        _ session: SessionID, consumer: UInt32, _ numbers: ClosedRange<UInt64>, counted: Bool
    ) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        encoder.return(consumer: consumer, numbers, counted: counted)
        return sequence
    }

    /// The messages with these delivery numbers are rejected for good.
    @discardableResult
    public mutating func discard(
        _ session: SessionID, consumer: UInt32, _ numbers: ClosedRange<UInt64>
    ) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        encoder.discard(consumer: consumer, numbers)
        return sequence
    }

    /// Takes one message; the outcome is `got` or `getEmpty`, and the message comes as a delivery of consumer 0. The
    /// caller settles it, at once when `autoAck`.
    @discardableResult
    public mutating func get(_ session: SessionID, autoAck: Bool) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        encoder.get(autoAck: autoAck)
        return sequence
    }

    /// Drops all ready messages; the outcome says how many.
    @discardableResult
    public mutating func purge(_ session: SessionID) -> UInt64 {
        guard let place = open(session) else { return 0 }
        settleNow(place)
        let sequence = begin(place, size: 0)
        encoder.purge()
        return sequence
    }

    /// Asks for the queue's counts; answered by an event, as soon as there is a leader.
    /// - Parameter requestID: not in use by another request of this client.
    public mutating func status(requestID: UInt64) {
        guard !isGone else { return }
        statuses.append(PendingStatus(requestID: requestID, isSent: false))
    }

    /// Gives a status request up; there will be no event.
    public mutating func cancelStatus(requestID: UInt64) { statuses.removeAll { $0.requestID == requestID } }
}

extension QueueClient {
    /// The place of a session that takes commands.
    @inline(__always)
    mutating func open(_ id: SessionID) -> Int? {
        guard id.gateway == gateway && id.incarnation == incarnation, let place = find(id.number),
            !sessions[place].isClosing
        else { return nil }
        return place
    }

    /// Numbers the next command of a session and makes the encoder ready for it.
    /// - Parameter size: bytes the command brings beyond a few dozen.
    mutating func begin(_ place: Int, size: Int) -> UInt64 {
        if encoder.isFull || (encoder.commandCount > 0 && encoder.byteCount + size > EntryHeader.sizeLimit) { seal() }
        let number = sessions[place].number
        let sequence = sessions[place].lastSequence + 1
        sessions[place].lastSequence = sequence
        if encodingSession == number {
            encodingSpans[encodingSpans.count - 1].lastSequence = sequence
        } else {
            encoder.session(id(number), firstSequence: sequence, lowWater: sessions[place].answered)
            encodingSession = number
            encodingSpans.append(BatchSpan(session: number, lastSequence: sequence))
        }
        return sequence
    }

    /// Makes a session's settled numbers into commands.
    mutating func settleNow(_ place: Int) {
        guard !sessions[place].settling.isEmpty else { return }
        var settling: [Settlement] = []
        swap(&settling, &sessions[place].settling)
        settling.coalesce()
        for settlement in settling {
            _ = begin(place, size: 0)
            encoder.settle(consumer: settlement.consumer, settlement.lower...settlement.upper)
        }
        settling.removeAll(keepingCapacity: true)
        swap(&settling, &sessions[place].settling)
        sessions[place].settlingCount = 0
        settlementRounds += 1
        if settlingSessions.last == sessions[place].number {
            settlingSessions.removeLast()
        } else {
            let number = sessions[place].number
            settlingSessions.removeAll { $0 == number }
        }
    }

    /// Closes the batch under construction.
    mutating func seal() {
        guard !encoder.isEmpty else { return }
        let batch = encoder.take()
        retainedCommands += batch.commandCount
        retainedBytes += batch.byteCount
        retained.append(RetainedBatch(id: nextBatchID, batch: batch, spans: encodingSpans))
        nextBatchID += 1
        encodingSpans.removeAll(keepingCapacity: true)
        encodingSession = 0
    }
}
