import AMQP
import Broker
import Primitives
import QuorumQueue
import Testing
import Topology

@Suite struct RoutingTests {
    private func declare(_ client: TestClient, _ queue: String) {
        client.send(.queueDeclare(QueueDeclare(queue: queue, durable: true)))
        #expect(client.hear() == ["declare-ok \(queue) 0 0"])
    }

    private func bind(_ client: TestClient, _ queue: String, _ exchange: String, _ key: String) {
        client.send(.queueBind(QueueBind(queue: queue, exchange: exchange, routingKey: key)))
        #expect(client.hear() == ["queue.bind-ok"])
    }

    private func get(_ client: TestClient, _ queue: String) -> String? {
        client.send(.basicGet(BasicGet(queue: queue, noAck: true)))
        guard let line = client.hear().first, line.hasPrefix("get-ok") else { return nil }
        return line.split(separator: "[").last.map { String($0.dropLast()) }
    }

    @Test func routesByTopicAndForgetsOldRoutes() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        client.send(.exchangeDeclare(ExchangeDeclare(exchange: "logs", type: "topic", durable: true)))
        #expect(client.hear() == ["exchange.declare-ok"])
        declare(client, "all")
        declare(client, "errors")
        bind(client, "all", "logs", "#")
        client.publish("1", exchange: "logs", key: "a.error")
        bind(client, "errors", "logs", "*.error")
        client.publish("2", exchange: "logs", key: "a.error")
        client.publish("3", exchange: "logs", key: "a.info")
        #expect([get(client, "all"), get(client, "all"), get(client, "all")] == ["1", "2", "3"])
        #expect([get(client, "errors"), get(client, "errors")] == ["2", nil])
        client.send(.queueUnbind(QueueUnbind(queue: "errors", exchange: "logs", routingKey: "*.error", arguments: [:])))
        #expect(client.hear() == ["queue.unbind-ok"])
        client.publish("4", exchange: "logs", key: "a.error")
        #expect(get(client, "errors") == nil)
    }

    /// The snapshot's topology numbers the virtual hosts anew, here in another order.
    @Test func aConnectionKeepsToItsVirtualHostWhenASnapshotIsInstalled() throws {
        let cluster = FakeCluster()
        for name in ["b", "a"] {
            cluster.change(.putVirtualHost(VirtualHostRecord(name: name)))
            cluster.change(
                .setPermissions(user: "guest", vhost: name, configure: ".*", write: ".*", read: ".*"))
        }
        let clients = ["a", "b"].map { TestClient.open(cluster, vhost: $0) }
        for client in clients {
            declare(client, "q")
            bind(client, "q", "amq.topic", "#")
        }
        try cluster.replaceTopology(of: 1)
        for (name, client) in zip(["a", "b"], clients) { client.publish("1 \(name)", exchange: "amq.topic", key: "1") }
        cluster[1].broker.topologyChanged([.replaced])
        for (name, client) in zip(["a", "b"], clients) { client.publish("2 \(name)", exchange: "amq.topic", key: "2") }
        for (name, client) in zip(["a", "b"], clients) {
            #expect([get(client, "q"), get(client, "q"), get(client, "q")] == ["1 \(name)", "2 \(name)", nil])
        }
    }

    @Test func confirmsOnceAllQueuesHaveTheMessage() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        declare(client, "a")
        declare(client, "b")
        bind(client, "a", "amq.fanout", "")
        bind(client, "b", "amq.fanout", "")
        client.send(.confirmSelect(ConfirmSelect()))
        client.publish("1", exchange: "amq.fanout", key: "")
        #expect(client.hear() == ["confirm.select-ok", "ack 1"])
        guard let group = cluster.group("b") else {
            Issue.record("no queue")
            return
        }
        cluster.depose(group)
        client.publish("2", exchange: "amq.fanout", key: "")
        client.publish("3", key: "a")
        #expect(client.hear() == ["ack 3"])
        cluster.elect(NodeID(1), group)
        #expect(client.hear() == ["ack 2"])
    }

    @Test func returnsWhatCannotBeRouted() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        client.send(.confirmSelect(ConfirmSelect()))
        client.publish("a", key: "nowhere", mandatory: true)
        client.publish("b", key: "nowhere")
        #expect(client.hear() == ["confirm.select-ok", "return 312 /nowhere [a]", "ack 1", "ack 2"])
        client.publish("c", exchange: "missing", key: "x")
        #expect(client.hear() == ["channel.close 404 NOT_FOUND - no exchange 'missing' in vhost '/'"])
    }

    @Test func routesByHeadersAndExtraKeys() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        declare(client, "a")
        declare(client, "b")
        client.send(
            .queueBind(
                QueueBind(queue: "a", exchange: "amq.headers", arguments: ["x-match": "all", "colour": "red"])))
        #expect(client.hear() == ["queue.bind-ok"])
        var properties = BasicProperties()
        properties.headers = ["colour": "red"]
        client.publish("1", exchange: "amq.headers", key: "", properties: properties)
        properties.headers = ["colour": "blue"]
        client.publish("2", exchange: "amq.headers", key: "", properties: properties)
        #expect([get(client, "a"), get(client, "a")] == ["1", nil])
        properties.headers = ["CC": .array(["b"])]
        client.publish("3", key: "a", properties: properties)
        client.publish("4", key: "a")
        #expect([get(client, "a"), get(client, "a"), get(client, "b"), get(client, "b")] == ["3", "4", "3", nil])
    }

    @Test func routesFromExchangeToExchange() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        client.send(.exchangeDeclare(ExchangeDeclare(exchange: "inner", type: "fanout")))
        client.send(.exchangeBind(ExchangeBind(destination: "inner", source: "amq.direct", routingKey: "k")))
        #expect(client.hear() == ["exchange.declare-ok", "exchange.bind-ok"])
        declare(client, "q")
        bind(client, "q", "inner", "")
        client.publish("1", exchange: "amq.direct", key: "k")
        #expect(get(client, "q") == "1")
        client.send(
            .exchangeUnbind(ExchangeUnbind(destination: "inner", source: "amq.direct", routingKey: "k", arguments: [:]))
        )
        client.send(.exchangeDelete(ExchangeDelete(exchange: "inner")))
        #expect(client.hear() == ["exchange.unbind-ok", "exchange.delete-ok"])
    }

    @Test func guardsReservedNamesAndTypes() {
        let cluster = FakeCluster()
        func refusal(_ method: Method) -> String? {
            let client = TestClient.open(cluster)
            client.send(method)
            return client.hear().first
        }
        #expect(
            refusal(.exchangeDeclare(ExchangeDeclare(exchange: "amq.mine")))
                == "channel.close 403 ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'")
        #expect(
            refusal(.queueDeclare(QueueDeclare(queue: "amq.mine")))
                == "channel.close 403 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'")
        #expect(
            refusal(.exchangeDelete(ExchangeDelete(exchange: "")))
                == "channel.close 403 ACCESS_REFUSED - operation not permitted on the default exchange")
        #expect(
            refusal(.exchangeDeclare(ExchangeDeclare(exchange: "e", type: "strange")))
                == "channel.close 406 PRECONDITION_FAILED - unknown exchange type 'strange'")
        #expect(
            refusal(.exchangeDeclare(ExchangeDeclare(exchange: "none", passive: true)))
                == "channel.close 404 NOT_FOUND - no exchange 'none' in vhost '/'")
        #expect(
            refusal(.queueBind(QueueBind(queue: "none", exchange: "amq.direct")))
                == "channel.close 404 NOT_FOUND - no queue 'none' in vhost '/'")
        #expect(
            refusal(.queueDeclare(QueueDeclare(queue: "q", arguments: ["x-message-ttl": "soon"])))
                == "channel.close 406 PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': "
                + "unacceptable type longstr")
        #expect(
            refusal(.queueDeclare(QueueDeclare(queue: "q", exclusive: true, arguments: ["x-queue-type": "quorum"])))
                == "channel.close 406 PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'")
    }

    @Test func checksPermissions() {
        let cluster = FakeCluster()
        cluster.change(.putUser(UserRecord(name: "reader", passwordHash: PasswordHash(password: "x", salt: 1))))
        cluster.change(
            .setPermissions(user: "reader", vhost: "/", configure: "^mine", write: "^mine", read: "^(mine|shared)"))
        let admin = TestClient.open(cluster)
        declare(admin, "shared")
        func refusal(_ speak: (TestClient) -> Void) -> String? {
            let client = TestClient(cluster)
            client.shakeHands(user: "reader", password: "x")
            client.send(.channelOpen(ChannelOpen()))
            _ = client.hear()
            speak(client)
            return client.hear().last
        }
        #expect(
            refusal { $0.send(.queueDeclare(QueueDeclare(queue: "other"))) }
                == "channel.close 403 ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user "
                + "'reader'")
        #expect(
            refusal { $0.publish("x", key: "shared") }
                == "channel.close 403 ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for "
                + "user 'reader'")
        #expect(refusal { $0.send(.basicConsume(BasicConsume(queue: "shared", consumerTag: "c"))) } == "consume-ok c")
        #expect(refusal { $0.send(.queueDeclare(QueueDeclare(queue: "mine"))) } == "declare-ok mine 0 0")
        // Rights that are taken away count at once, cached routes or not.
        let client = TestClient(cluster)
        client.shakeHands(user: "reader", password: "x")
        client.send(.channelOpen(ChannelOpen()))
        cluster.change(
            .setPermissions(user: "reader", vhost: "/", configure: "", write: "amq.default", read: ""))
        client.publish("1", key: "shared")
        #expect(client.hear() == ["channel.open-ok"])
        cluster.change(.setPermissions(user: "reader", vhost: "/", configure: "", write: "", read: ""))
        client.publish("2", key: "shared")
        #expect(client.hear().first?.hasPrefix("channel.close 403") == true)
        // The reader above consumes.
        #expect(cluster.queue("shared")?.machine.messagesUnacknowledged == 1)
    }

    @Test func checksTheUserID() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        var properties = BasicProperties()
        properties.userID = "guest"
        client.publish("a", key: "nowhere", properties: properties)
        #expect(client.hear() == [])
        properties.userID = "root"
        client.publish("a", key: "nowhere", properties: properties)
        #expect(
            client.hear() == [
                "channel.close 406 PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was "
                    + "'guest'"
            ])
    }
}
