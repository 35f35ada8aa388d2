import AMQP
import Broker
import Primitives
import QuorumQueue
import Testing

/// After an outage all queue clients have something to send at once; the link to the leader takes so much a tick.
@Suite struct LinkRoomTests {
    private static let names = ["q1", "q2", "q3", "q4"]

    /// Two nodes and four queues, which node 2 leads after an outage in which 2.1 MB were published to each on node 1.
    private func afterOutage(linkRoom: Int?) -> FakeCluster {
        let cluster = FakeCluster(nodes: 2)
        let client = TestClient.open(cluster)
        for name in LinkRoomTests.names {
            client.send(.queueDeclare(QueueDeclare(queue: name, durable: true)))
            client.publish("before", key: name)
        }
        let groups = LinkRoomTests.names.compactMap { cluster.group($0) }
        for group in groups { cluster.depose(group) }
        let body = String(repeating: "x", count: 700_000)
        for name in LinkRoomTests.names {
            for _ in 0..<3 { client.publish(body, key: name, frameMax: 131_072) }
        }
        cluster[1].linkRoom = linkRoom
        for group in groups { cluster.elect(NodeID(2), group) }
        cluster.run()
        return cluster
    }

    private func ready(_ cluster: FakeCluster) -> [Int?] {
        LinkRoomTests.names.map { cluster.queue($0)?.machine.messagesReady }
    }

    @Test func oneTickSendsNoMoreThanTheLinkTakes() {
        let cluster = afterOutage(linkRoom: 1_000_000)
        #expect(ready(cluster) == [4, 4, 4, 4])
        // The limit, and the batch that reached it.
        #expect(cluster[1].mostForwarded > 700_000 && cluster[1].mostForwarded < 1_701_000)
    }

    @Test func commandsWaitForALinkThatIsBackedUp() {
        let cluster = afterOutage(linkRoom: nil)
        cluster.tick(2_000)
        #expect(ready(cluster) == [1, 1, 1, 1] && cluster[1].mostForwarded == 0)
        cluster[1].linkRoom = Int.max
        cluster[1].broker.linkDrained(NodeID(2))
        cluster.run()
        #expect(ready(cluster) == [4, 4, 4, 4])
    }
}
