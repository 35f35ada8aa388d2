import AMQP
import Broker
import Primitives
import Testing
import Topology

@Suite struct TransientQueueTests {
    private func declareExclusive(_ client: TestClient) -> String {
        client.send(.queueDeclare(QueueDeclare(exclusive: true)))
        guard case .queueDeclareOk(let ok)? = client.hearMethods().first else {
            Issue.record("not declared")
            return ""
        }
        #expect(ok.queue.hasPrefix("amq.gen-"))
        return ok.queue
    }

    @Test func exclusiveQueuesBelongToTheirConnection() {
        let cluster = FakeCluster(nodes: 2)
        let owner = TestClient.open(cluster)
        let name = declareExclusive(owner)
        let stranger = TestClient.open(cluster, node: 2)
        stranger.send(.basicConsume(BasicConsume(queue: name)))
        #expect(stranger.hear().first?.hasPrefix("channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive") == true)
        owner.disconnect()
        let late = TestClient.open(cluster, node: 2)
        late.send(.queueDeclare(QueueDeclare(queue: name, passive: true)))
        #expect(late.hear() == ["channel.close 404 NOT_FOUND - no queue '\(name)' in vhost '/'"])
    }

    @Test func answersComeBackFromAnotherNode() {
        let cluster = FakeCluster(nodes: 2)
        let caller = TestClient.open(cluster, node: 1)
        let name = declareExclusive(caller)
        caller.send(.basicConsume(BasicConsume(queue: name, consumerTag: "c", noAck: true)))
        #expect(caller.hear() == ["consume-ok c"])
        let server = TestClient.open(cluster, node: 2)
        server.send(.confirmSelect(ConfirmSelect()))
        server.publish("answer", key: name)
        #expect(server.hear() == ["confirm.select-ok", "ack 1"])
        #expect(caller.hear() == ["deliver c 1 [answer]"])
        caller.disconnect()
        server.publish("too late", key: name, mandatory: true)
        #expect(server.hear() == ["return 312 /\(name) [too late]", "ack 2"])
    }

    @Test func autoDeleteQueuesGoWithTheirLastConsumer() {
        let cluster = FakeCluster(nodes: 2)
        let first = TestClient.open(cluster, node: 1)
        first.send(.queueDeclare(QueueDeclare(queue: "temp", autoDelete: true)))
        let second = TestClient.open(cluster, node: 2)
        second.send(.basicConsume(BasicConsume(queue: "temp", consumerTag: "far")))
        first.send(.basicConsume(BasicConsume(queue: "temp", consumerTag: "near")))
        #expect(first.hear() == ["declare-ok temp 0 0", "consume-ok near"])
        for body in ["a", "b"] { first.publish(body, key: "temp") }
        #expect(second.hear() == ["consume-ok far", "deliver far 1 [a]"])
        #expect(first.hear() == ["deliver near 1 [b]"])
        // What the far consumer held comes back with its connection.
        second.disconnect()
        #expect(first.hear() == ["deliver near 2 again [a]"])
        first.send(.basicAck(BasicAck(deliveryTag: 2, multiple: true)))
        first.send(.queueDeclare(QueueDeclare(queue: "temp", passive: true)))
        #expect(first.hear() == ["declare-ok temp 0 1"])
        first.send(.basicCancel(BasicCancel(consumerTag: "near")))
        #expect(first.hear() == ["cancel-ok near"])
        first.send(.queueDeclare(QueueDeclare(queue: "temp", passive: true)))
        #expect(first.hear().first?.hasPrefix("channel.close 404") == true)
    }

    @Test func farOperationsWork() {
        let cluster = FakeCluster(nodes: 2)
        let near = TestClient.open(cluster, node: 1)
        near.send(.queueDeclare(QueueDeclare(queue: "temp", autoDelete: true)))
        let far = TestClient.open(cluster, node: 2)
        for body in ["a", "b", "c"] { far.publish(body, key: "temp") }
        far.send(.basicGet(BasicGet(queue: "temp")))
        #expect(far.hear() == ["get-ok 1 of 2 [a]"])
        far.send(.basicNack(BasicNack(deliveryTag: 1, requeue: true)))
        far.send(.queueDeclare(QueueDeclare(queue: "temp", passive: true)))
        #expect(far.hear() == ["declare-ok temp 3 0"])
        far.send(.basicQos(BasicQos(prefetchCount: 1)))
        far.send(.basicConsume(BasicConsume(queue: "temp", consumerTag: "c")))
        #expect(far.hear() == ["basic.qos-ok", "consume-ok c", "deliver c 2 again [a]"])
        far.send(.basicAck(BasicAck(deliveryTag: 2)))
        #expect(far.hear() == ["deliver c 3 [b]"])
        far.send(.queuePurge(QueuePurge(queue: "temp")))
        #expect(far.hear() == ["purge-ok 1"])
        far.send(.queueDelete(QueueDelete(queue: "temp")))
        #expect(far.hear() == ["delete-ok 0"])
    }

    @Test func aLostLinkRefusesAndCancels() {
        let cluster = FakeCluster(nodes: 2)
        let near = TestClient.open(cluster, node: 1)
        near.send(.queueDeclare(QueueDeclare(queue: "temp", autoDelete: true)))
        near.send(.basicConsume(BasicConsume(queue: "temp", consumerTag: "near")))
        _ = near.hear()
        let far = TestClient.open(
            cluster, node: 2, properties: ["capabilities": .table(["consumer_cancel_notify": true])])
        far.send(.confirmSelect(ConfirmSelect()))
        far.send(.basicConsume(BasicConsume(queue: "temp", consumerTag: "far")))
        #expect(far.hear() == ["confirm.select-ok", "consume-ok far"])
        near.publish("a", key: "temp")
        near.publish("b", key: "temp")
        #expect(far.hear() == ["deliver far 1 [b]"])
        cluster.reset(1, 2)
        #expect(far.hear() == ["cancel far"])
        #expect(near.hear() == ["deliver near 1 [a]", "deliver near 2 again [b]"])
        // The acknowledgement of what went back is accepted and means nothing.
        far.send(.basicAck(BasicAck(deliveryTag: 1)))
        far.publish("c", key: "temp")
        #expect(far.hear() == ["ack 1"])
        #expect(near.hear() == ["deliver near 3 [c]"])
    }

    @Test func cleanUpWaitsForTheTopology() {
        let cluster = FakeCluster()
        let owner = TestClient.open(cluster)
        let name = declareExclusive(owner)
        cluster.hasTopologyLeader = false
        owner.disconnect()
        #expect(cluster[1].topology.queue(name, vhost: "/") != nil)
        cluster.hasTopologyLeader = true
        cluster.tick(1_000)
        #expect(cluster[1].topology.queue(name, vhost: "/") == nil)
    }

    // MARK: The queue by itself

    private func id(_ channel: UInt64, _ number: UInt32 = 1) -> TransientConsumerID {
        TransientConsumerID(node: NodeID(1), channel: channel, number: number)
    }

    @Test func returnedMessagesKeepTheirPlace() {
        var queue = TransientQueue(byteLimit: 1_000)
        var out: [TransientDelivery] = []
        for body in ["a", "b", "c", "d"] { queue.publish(Bytes(body), into: &out) }
        #expect(queue.attach(id(1), window: 3, exclusive: false, into: &out))
        #expect(out.map { String(decoding: $0.body) } == ["a", "b", "c"])
        out = []
        queue.detach(id(1))
        queue.giveBack(id(1), 3...3, counted: false, into: &out)
        queue.giveBack(id(1), 1...1, counted: true, into: &out)
        #expect(queue.messagesReady == 3 && queue.messagesUnacknowledged == 1)
        #expect(queue.attach(id(2), window: 0, exclusive: false, into: &out))
        #expect(out.map { String(decoding: $0.body) } == ["a", "c", "d"])
        #expect(out.map(\.redelivered) == [true, true, false])
        #expect(out.map(\.deliveryCount) == [1, 0, 0])
    }

    @Test func fullQueuesDropTheirOldest() {
        var queue = TransientQueue(byteLimit: 10)
        var out: [TransientDelivery] = []
        for body in ["12345", "67890", "abc"] { queue.publish(Bytes(body), into: &out) }
        #expect(queue.dropped == 1 && queue.readyBytes == 8)
        #expect(queue.get(id(1, 0)).map { String(decoding: $0.body) } == "67890")
    }

    @Test func exclusiveConsumersStandAlone() {
        var queue = TransientQueue(byteLimit: 10)
        var out: [TransientDelivery] = []
        #expect(queue.attach(id(1), window: 1, exclusive: true, into: &out))
        #expect(!queue.attach(id(2), window: 1, exclusive: false, into: &out))
        queue.detach(id(1))
        #expect(queue.attach(id(2), window: 1, exclusive: false, into: &out))
        #expect(!queue.attach(id(3), window: 1, exclusive: true, into: &out))
    }
}
