import AMQP
import Broker
import Primitives
import QuorumQueue
import Testing

/// Large bodies wait for room before they are received.
@Suite struct LargeBodyTests {
    /// One node that has 16 MiB for large bodies.
    private func cluster() -> FakeCluster {
        var configuration = BrokerConfiguration()
        configuration.resourceLimits = ResourceLimits(memory: 1 << 20)
        return FakeCluster(configuration: configuration)
    }

    /// Begins to publish a body of `size` bytes and sends one frame of it.
    private func begin(_ client: TestClient, size: Int, channel: UInt16 = 1) {
        var writer = ByteWriter()
        Method.basicPublish(BasicPublish(routingKey: "q")).encodeFrame(channel: channel, into: &writer)
        // Class, weight, size, and no properties.
        frame(.header, channel, [0, 60, 0, 0] + bigEndian(UInt64(size)) + [0, 0], into: &writer)
        frame(.body, channel, [UInt8](repeating: 1, count: 1_000), into: &writer)
        client.sendBytes(writer.take().toArray())
    }

    /// Sends the rest of a body that `begin` began.
    private func finish(_ client: TestClient, size: Int, channel: UInt16 = 1) {
        var left = size - 1_000
        while left > 0 {
            var writer = ByteWriter()
            frame(.body, channel, [UInt8](repeating: 2, count: min(left, 100_000)), into: &writer)
            client.sendBytes(writer.take().toArray())
            left -= 100_000
        }
    }

    private func frame(_ type: FrameType, _ channel: UInt16, _ payload: [UInt8], into writer: inout ByteWriter) {
        writer.write(type.rawValue)
        writer.writeBigEndian(channel)
        writer.writeBigEndian(UInt32(payload.count))
        writer.write(payload)
        writer.write(UInt8(0xce))
    }

    private func bigEndian(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    private func start(_ cluster: FakeCluster) -> TestClient {
        let client = TestClient.open(cluster)
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        _ = client.hear()
        return client
    }

    @Test func aBodyWithoutRoomIsNotReadUntilOthersAreStored() {
        let cluster = cluster()
        let (first, second, third) = (start(cluster), start(cluster), start(cluster))
        begin(first, size: 9 << 20)
        begin(second, size: 9 << 20)
        begin(third, size: 300_000)
        #expect(first.isReading && !second.isReading)
        // Nobody overtakes who waits.
        #expect(!third.isReading)
        finish(first, size: 9 << 20)
        #expect(second.isReading && third.isReading)
        finish(second, size: 9 << 20)
        finish(third, size: 300_000)
        #expect(cluster.queue("q")?.machine.messagesReady == 3)
    }

    @Test func aChannelThatEndsGivesItsRoomBack() {
        let cluster = cluster()
        let (first, second, third) = (start(cluster), start(cluster), start(cluster))
        begin(first, size: 12 << 20)
        begin(second, size: 12 << 20)
        begin(third, size: 12 << 20)
        #expect(!second.isReading && !third.isReading)
        // One that waited gives its place up.
        second.disconnect()
        first.disconnect()
        #expect(third.isReading)
    }

    @Test func aConnectionDoesNotWaitForItself() {
        let cluster = cluster()
        let client = start(cluster)
        client.send(.channelOpen(ChannelOpen()), channel: 2)
        begin(client, size: 12 << 20)
        begin(client, size: 12 << 20, channel: 2)
        #expect(client.isReading)
    }

    @Test func whatIsPublishedAndNotAnsweredTakesRoom() throws {
        let cluster = cluster()
        let (first, second) = (start(cluster), start(cluster))
        let group = try #require(cluster.group("q"))
        cluster.depose(group)
        begin(first, size: 9 << 20)
        finish(first, size: 9 << 20)
        begin(second, size: 9 << 20)
        #expect(!second.isReading)
        cluster.elect(NodeID(1), group)
        cluster.run()
        #expect(second.isReading)
    }

    /// The old leader had stored everything and did not live to say so; the new one has nothing to store.
    @Test func aBlockedPublisherGoesOnWhenANewLeaderHasEverything() throws {
        let cluster = FakeCluster(nodes: 2)
        let client = start(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        client.publish("first", key: "q")
        #expect(client.hear() == ["confirm.select-ok", "ack 1"])
        let group = try #require(cluster.group("q"))
        let queue = try #require(cluster.queue("q"))
        queue.losesAnswers = true
        var published = 1
        while client.isReading && published < 100 {
            begin(client, size: 1 << 20)
            finish(client, size: 1 << 20)
            published += 1
        }
        #expect(published == 9)
        #expect(queue.machine.messagesReady == published)
        cluster.depose(group)
        #expect(client.hear() == [] && !client.isReading)
        queue.losesAnswers = false
        cluster.elect(NodeID(2), group)
        #expect(client.hear() == ["ack \(published) multiple"])
        #expect(client.isReading)
        #expect(queue.machine.messagesReady == published)
    }

    /// What the old leader did not store, the new one gets once.
    @Test func aBlockedPublisherGoesOnWhenANewLeaderHasNothing() throws {
        let cluster = FakeCluster(nodes: 2)
        let client = start(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        client.publish("first", key: "q")
        #expect(client.hear() == ["confirm.select-ok", "ack 1"])
        let group = try #require(cluster.group("q"))
        cluster.depose(group)
        var published = 1
        while client.isReading && published < 100 {
            begin(client, size: 1 << 20)
            finish(client, size: 1 << 20)
            published += 1
        }
        #expect(published == 9 && client.hear() == [])
        cluster.elect(NodeID(2), group)
        #expect(client.hear() == ["ack \(published) multiple"])
        #expect(client.isReading)
        #expect(cluster.queue("q")?.machine.messagesReady == published)
    }

    @Test func aClientThatStopsDoesNotHoldTheOthersUpForEver() {
        let cluster = cluster()
        let (first, second) = (start(cluster), start(cluster))
        begin(first, size: 16 << 20)
        begin(second, size: 1 << 20)
        #expect(!second.isReading)
        cluster.tick(29_000)
        #expect(!second.isReading)
        cluster.tick(2_000)
        #expect(second.isReading)
    }

    @Test func anAlarmStopsALargeBodyAtItsBeginning() {
        let cluster = cluster()
        let client = start(cluster)
        cluster[1].broker.observe(ResourceReading(memoryUsed: 2 << 20, diskFree: nil))
        begin(client, size: 1 << 20)
        #expect(!client.isReading)
        cluster[1].broker.observe(ResourceReading(memoryUsed: 0, diskFree: nil))
        #expect(client.isReading)
    }
}
