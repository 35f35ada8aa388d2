import AMQP
import Broker
import Primitives
import QuorumQueue
import Testing
import Topology

@Suite struct QuorumQueueTests {
    /// A client with channel 1 open and the durable queue `q` declared.
    private func start(_ cluster: FakeCluster, node: Int = 1, properties: FieldTable = [:]) -> TestClient {
        let client = TestClient.open(cluster, node: node, properties: properties)
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        _ = client.hear()
        return client
    }

    private func consume(_ client: TestClient, _ tag: String = "c", noAck: Bool = false, queue: String = "q") {
        client.send(.basicConsume(BasicConsume(queue: queue, consumerTag: tag, noAck: noAck)))
    }

    @Test func declaresOnceAndAnswersWithCounts() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        #expect(client.hear() == ["declare-ok q 0 0"])
        client.publish("one", key: "q")
        consume(client, noAck: false)
        client.publish("two", key: "q")
        _ = client.hear()
        client.send(.basicCancel(BasicCancel(consumerTag: "c")))
        client.publish("three", key: "q")
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        #expect(client.hear() == ["cancel-ok c", "declare-ok q 1 0"])
        client.send(.queueDeclare(QueueDeclare(queue: "q", passive: true)))
        #expect(client.hear() == ["declare-ok q 1 0"])
        client.send(.queueDeclare(QueueDeclare(queue: "q")))
        #expect(
            client.hear() == [
                "channel.close 406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': "
                    + "received 'false' but current is 'true'"
            ])
    }

    @Test func confirmsInOneAnswer() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        #expect(client.hear() == ["confirm.select-ok"])
        var batch: [UInt8] = []
        for number in 1...3 {
            var writer = ByteWriter()
            Method.basicPublish(BasicPublish(routingKey: "q")).encodeFrame(channel: 1, into: &writer)
            BasicProperties().encoded().withUnsafeBytes { raw in
                Bytes("m\(number)").withUnsafeBytes {
                    writer.writeContent(channel: 1, properties: raw, body: $0, frameMax: 0)
                }
            }
            batch += writer.take().toArray()
        }
        client.sendBytes(batch)
        #expect(client.hear() == ["ack 3 multiple"])
        #expect(cluster.queue("q")?.machine.messagesReady == 3)
    }

    @Test func confirmsOnlyWhatIsCommitted() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        client.publish("one", key: "q")
        #expect(client.hear() == ["confirm.select-ok", "ack 1"])
        guard let group = cluster.group("q") else {
            Issue.record("no queue")
            return
        }
        cluster.depose(group)
        client.publish("two", key: "q")
        client.publish("three", key: "q")
        #expect(client.hear() == [])
        cluster.elect(NodeID(1), group)
        #expect(client.hear() == ["ack 3 multiple"])
        #expect(cluster.queue("q")?.machine.messagesReady == 3)
    }

    @Test func deliversInOrderAndSettles() {
        let cluster = FakeCluster()
        let client = start(cluster)
        for body in ["a", "b", "c"] { client.publish(body, key: "q") }
        consume(client)
        #expect(client.hear() == ["consume-ok c", "deliver c 1 [a]", "deliver c 2 [b]", "deliver c 3 [c]"])
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 3)
        client.send(.basicAck(BasicAck(deliveryTag: 2, multiple: true)))
        _ = client.hear()
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 1)
        client.send(.basicAck(BasicAck(deliveryTag: 2)))
        #expect(client.hear() == ["channel.close 406 PRECONDITION_FAILED - unknown delivery tag 2"])
        #expect(cluster.queue("q")?.machine.messagesReady == 1)
    }

    @Test func autoAcknowledgesWhatTheSocketTook() {
        let cluster = FakeCluster()
        let client = start(cluster)
        consume(client, noAck: true)
        client.isWritable = false
        client.publish("a", key: "q")
        #expect(client.hear() == ["consume-ok c", "deliver c 1 [a]"])
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 1)
        client.isWritable = true
        client.connection.settleAutoAcks()
        _ = client.hear()
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 0)
        client.send(.basicAck(BasicAck(deliveryTag: 1)))
        #expect(client.hear() == ["channel.close 406 PRECONDITION_FAILED - unknown delivery tag 1"])
    }

    @Test func keepsToThePrefetch() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.send(.basicQos(BasicQos(prefetchCount: 2)))
        for body in ["a", "b", "c"] { client.publish(body, key: "q") }
        consume(client)
        #expect(client.hear() == ["basic.qos-ok", "consume-ok c", "deliver c 1 [a]", "deliver c 2 [b]"])
        client.send(.basicAck(BasicAck(deliveryTag: 1)))
        #expect(client.hear() == ["deliver c 3 [c]"])
        client.publish("d", key: "q")
        #expect(client.hear() == [])
        client.send(.basicQos(BasicQos(prefetchCount: 3, global: true)))
        #expect(client.hear() == ["basic.qos-ok", "deliver c 4 [d]"])
    }

    @Test func returnsWhatWasRejected() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.send(.basicQos(BasicQos(prefetchCount: 1)))
        client.publish("a", key: "q")
        client.publish("b", key: "q")
        consume(client)
        _ = client.hear()
        client.send(.basicReject(BasicReject(deliveryTag: 1, requeue: true)))
        let again = client.hear()
        #expect(again == ["deliver c 2 again [a]"])
        client.send(.basicNack(BasicNack(deliveryTag: 2, requeue: true)))
        #expect(client.hear() == ["deliver c 3 again [a]"])
        client.send(.basicNack(BasicNack(deliveryTag: 3, requeue: false)))
        #expect(client.hear() == ["deliver c 4 [b]"])
        client.send(.basicRecover(BasicRecover(requeue: true)))
        #expect(client.hear() == ["basic.recover-ok", "deliver c 5 again [b]"])
    }

    @Test func addsTheDeliveryCountToTheHeaders() {
        let cluster = FakeCluster()
        let client = start(cluster)
        var properties = BasicProperties()
        properties.contentType = "text/plain"
        properties.headers = ["mine": 1, "x-delivery-count": "forged"]
        properties.correlationID = "id"
        client.publish("a", key: "q", properties: properties)
        consume(client)
        #expect(client.hearProperties() == [properties])
        client.send(.basicReject(BasicReject(deliveryTag: 1, requeue: true)))
        guard let second = client.hearProperties().first else {
            Issue.record("not delivered again")
            return
        }
        #expect(second.headers?["x-delivery-count"] == .int64(1))
        #expect(second.headers?["mine"] == 1)
        #expect(second.contentType == "text/plain")
        #expect(second.correlationID == "id")
    }

    @Test func returnsTheMessagesOfAClosedConnection() {
        let cluster = FakeCluster()
        let first = start(cluster)
        first.publish("a", key: "q")
        consume(first)
        _ = first.hear()
        let second = TestClient.open(cluster)
        consume(second, "d")
        #expect(second.hear() == ["consume-ok d"])
        first.disconnect()
        #expect(second.hear() == ["deliver d 1 again [a]"])
    }

    @Test func getsOneByOne() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.publish("a", key: "q")
        client.publish("b", key: "q")
        client.send(.basicGet(BasicGet(queue: "q")))
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        client.send(.basicGet(BasicGet(queue: "q")))
        #expect(client.hear() == ["get-ok 1 of 1 [a]", "get-ok 2 of 0 [b]", "get-empty"])
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 1)
        client.send(.basicNack(BasicNack(deliveryTag: 1, requeue: true)))
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        #expect(client.hear() == ["get-ok 3 again of 0 [a]"])
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 0)
    }

    @Test func keepsFramesBackWhileAnOperationWaits() {
        let cluster = FakeCluster()
        let client = start(cluster)
        guard let group = cluster.group("q") else {
            Issue.record("no queue")
            return
        }
        cluster.depose(group)
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        client.publish("late", key: "q")
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        client.send(.basicQos(BasicQos(prefetchCount: 5)))
        #expect(client.hear() == [])
        cluster.elect(NodeID(1), group)
        #expect(client.hear() == ["get-empty", "get-ok 1 of 0 [late]", "basic.qos-ok"])
    }

    @Test func givesUpOnAQueueWithoutALeader() {
        let cluster = FakeCluster()
        let client = start(cluster)
        if let group = cluster.group("q") { cluster.depose(group) }
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        cluster.tick(2_100)
        #expect(client.hear() == ["declare-ok q 0 0"])
        consume(client)
        cluster.tick(61_000)
        #expect(client.hear().last { $0 != "heartbeat" }?.hasPrefix("channel.close 541 INTERNAL_ERROR") == true)
    }

    @Test func purgesAndDeletes() {
        let cluster = FakeCluster()
        let client = start(cluster)
        for body in ["a", "b", "c"] { client.publish(body, key: "q") }
        client.send(.queuePurge(QueuePurge(queue: "q")))
        #expect(client.hear() == ["purge-ok 3"])
        client.publish("d", key: "q")
        client.send(.queueDelete(QueueDelete(queue: "q", ifEmpty: true)))
        #expect(client.hear() == ["channel.close 406 PRECONDITION_FAILED - queue 'q' in vhost '/' is not empty"])
        client.send(.channelCloseOk(ChannelCloseOk()))
        client.send(.channelOpen(ChannelOpen()))
        client.send(.queueDelete(QueueDelete(queue: "q")))
        client.send(.queueDelete(QueueDelete(queue: "q")))
        #expect(client.hear() == ["channel.open-ok", "delete-ok 1", "delete-ok 0"])
    }

    @Test func tellsConsumersThatTheirQueueIsGone() {
        let cluster = FakeCluster()
        let client = start(
            cluster, properties: ["capabilities": .table(["consumer_cancel_notify": true])])
        client.send(.confirmSelect(ConfirmSelect()))
        consume(client)
        client.publish("a", key: "q")
        #expect(client.hear() == ["confirm.select-ok", "consume-ok c", "deliver c 1 [a]", "ack 1"])
        let other = TestClient.open(cluster)
        other.send(.queueDelete(QueueDelete(queue: "q")))
        #expect(other.hear() == ["delete-ok 0"])
        #expect(client.hear() == ["cancel c"])
        // The message is acknowledged all the same, and a publish goes nowhere.
        client.send(.basicAck(BasicAck(deliveryTag: 1)))
        client.publish("b", key: "q", mandatory: true)
        #expect(client.hear() == ["return 312 /q [b]", "ack 2"])
    }

    @Test func confirmsWhatADeletedQueueHadNotAnswered() {
        let cluster = FakeCluster()
        let client = start(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        _ = client.hear()
        if let group = cluster.group("q") { cluster.depose(group) }
        client.publish("a", key: "q")
        #expect(client.hear() == [])
        cluster.change(.deleteQueue(vhost: "/", name: "q", expected: nil))
        #expect(client.hear() == ["ack 1"])
    }

    @Test func consumersGoOnThroughALeaderChange() {
        let cluster = FakeCluster(nodes: 3)
        let publisher = start(cluster, node: 1)
        publisher.send(.confirmSelect(ConfirmSelect()))
        let consumer = TestClient.open(cluster, node: 2)
        consume(consumer)
        publisher.publish("a", key: "q")
        #expect(consumer.hear() == ["consume-ok c", "deliver c 1 [a]"])
        guard let group = cluster.group("q") else {
            Issue.record("no queue")
            return
        }
        cluster.depose(group)
        publisher.publish("b", key: "q")
        consumer.send(.basicAck(BasicAck(deliveryTag: 1)))
        cluster.elect(NodeID(3), group)
        #expect(publisher.hear() == ["confirm.select-ok", "ack 1", "ack 2"])
        #expect(consumer.hear() == ["deliver c 2 [b]"])
        #expect(cluster.queue("q")?.machine.messagesUnacknowledged == 1)
    }

    @Test func competingConsumersTakeTurns() {
        let cluster = FakeCluster()
        let client = start(cluster)
        consume(client, "one")
        consume(client, "two")
        _ = client.hear()
        for body in ["a", "b", "c", "d"] { client.publish(body, key: "q") }
        #expect(
            client.hear() == ["deliver one 1 [a]", "deliver two 2 [b]", "deliver one 3 [c]", "deliver two 4 [d]"])
    }

    @Test func guardsConsumerTagsAndExclusiveUse() {
        let cluster = FakeCluster()
        let client = start(cluster)
        consume(client)
        client.send(.channelOpen(ChannelOpen()), channel: 2)
        client.send(.basicConsume(BasicConsume(queue: "q", exclusive: true)), channel: 2)
        #expect(
            client.hear() == [
                "consume-ok c", "#2 channel.open-ok",
                "#2 channel.close 403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
            ])
        consume(client)
        #expect(client.hear() == ["connection.close 530 NOT_ALLOWED - attempt to reuse consumer tag 'c'"])
    }

    @Test func stopsReadingWhenAQueueFallsBehind() {
        let cluster = FakeCluster()
        let client = start(cluster)
        guard let group = cluster.group("q") else {
            Issue.record("no queue")
            return
        }
        cluster.depose(group)
        let body = String(repeating: "x", count: 1 << 20)
        for _ in 0..<9 { client.publish(body, key: "q", frameMax: 131_072) }
        #expect(!client.isReading)
        cluster.elect(NodeID(1), group)
        cluster.run()
        #expect(client.isReading)
        #expect(cluster.queue("q")?.machine.messagesReady == 9)
    }

    @Test func takesBodiesInManyFramesAndRefusesTooLargeOnes() {
        var configuration = BrokerConfiguration()
        configuration.maxMessageSize = 100_000
        let cluster = FakeCluster(configuration: configuration)
        let client = start(cluster)
        let body = String(repeating: "0123456789", count: 10_000)
        client.publish(body, key: "q", frameMax: 4_096)
        client.publish("", key: "q")
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        client.send(.basicGet(BasicGet(queue: "q", noAck: true)))
        #expect(client.hear() == ["get-ok 1 of 1 [\(body)]", "get-ok 2 of 0 []"])
        client.publish(body + "x", key: "q")
        #expect(
            client.hear() == [
                "channel.close 406 PRECONDITION_FAILED - message size 100001 is larger than configured max size 100000"
            ])
    }
}
