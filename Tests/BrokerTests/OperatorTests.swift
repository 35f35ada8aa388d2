import AMQP
import Broker
import Primitives
import QueueClient
import QuorumQueue
import Testing
import Topology

/// What operators ask of a broker without a connection.
@Suite struct OperatorTests {
    private func start(_ cluster: FakeCluster) throws -> (client: TestClient, queue: QueueRecord) {
        let client = TestClient.open(cluster)
        client.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        _ = client.hear()
        return (client, try #require(cluster[1].topology.queue("q", vhost: "/")))
    }

    @Test func purgesFromAnyNode() throws {
        let cluster = FakeCluster(nodes: 3)
        let (client, queue) = try start(cluster)
        client.publish("one", key: "q")
        client.publish("two", key: "q")
        cluster.run()
        var answers: [UInt64?] = []
        cluster[3].broker.purge(queue) { answers.append($0) }
        cluster.run()
        #expect(answers == [2])
        #expect(cluster.queue("q")?.machine.messagesReady == 0)
        // Its session goes, so that nothing is kept of it.
        #expect(cluster.queue("q")?.machine.sessionCount == 1)
        cluster[3].broker.purge(queue) { answers.append($0) }
        cluster.run()
        #expect(answers == [2, 0])
    }

    @Test func purgesOnceThereIsALeader() throws {
        let cluster = FakeCluster(nodes: 3)
        let (client, queue) = try start(cluster)
        client.publish("one", key: "q")
        cluster.run()
        let group = try #require(queue.group)
        cluster.depose(group)
        var answers: [UInt64?] = []
        cluster[2].broker.purge(queue) { answers.append($0) }
        cluster.run()
        #expect(answers.isEmpty)
        cluster.elect(NodeID(3), group)
        cluster.run()
        #expect(answers == [1])
    }

    @Test func tellsWhenTheQueueIsGone() throws {
        let cluster = FakeCluster(nodes: 3)
        let (_, queue) = try start(cluster)
        let group = try #require(queue.group)
        cluster.depose(group)
        var answers: [UInt64?] = []
        cluster[2].broker.purge(queue) { answers.append($0) }
        cluster.run()
        cluster.change(.deleteQueue(vhost: "/", name: "q", expected: queue.id))
        #expect(answers == [nil])
    }

    @Test func purgesAQueueInAnotherNodesMemory() throws {
        let cluster = FakeCluster(nodes: 2)
        let client = TestClient.open(cluster)
        client.send(.queueDeclare(QueueDeclare(queue: "t", autoDelete: true)))
        client.publish("one", key: "t")
        _ = client.hear()
        let queue = try #require(cluster[2].topology.queue("t", vhost: "/"))
        var answers: [UInt64?] = []
        cluster[2].broker.purge(queue) { answers.append($0) }
        cluster.run()
        #expect(answers == [1])
    }

    @Test func checksDeclarationsAsAClientsAre() throws {
        let cluster = FakeCluster(nodes: 3)
        let broker = try #require(cluster[2].broker)
        func declare(
            _ name: String, durable: Bool = true, autoDelete: Bool = false, _ arguments: FieldTable = [:]
        ) throws(AMQPError) -> QueueDeclaration {
            try broker.declaration(
                of: name, vhost: "/", durable: durable, autoDelete: autoDelete, arguments: arguments, user: "guest")
        }
        #expect(
            try declare("q").placement
                == .quorum(members: [NodeID(1), NodeID(2), NodeID(3)], preferredLeader: NodeID(2)))
        #expect(
            try declare("q", autoDelete: true).placement
                == .transient(owner: NodeID(2), incarnation: Incarnation(1), connection: nil))
        #expect(try declare("q", ["x-max-length": 5]).arguments["x-max-length"] == .int(5))
        func refusal(_ name: String, _ arguments: FieldTable = [:]) -> ReplyCode? {
            do throws(AMQPError) {
                _ = try declare(name, arguments)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(refusal("amq.mine") == .accessRefused)
        #expect(refusal("") == .preconditionFailed)
        #expect(refusal(String(repeating: "q", count: 256)) == .preconditionFailed)
        #expect(refusal("q", ["x-queue-type": "stream"]) == .preconditionFailed)
        #expect(refusal("q", ["x-max-length": "5"]) == .preconditionFailed)
    }
}
