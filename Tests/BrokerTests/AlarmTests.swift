import AMQP
import Broker
import LogStore
import Primitives
import QuorumQueue
import Testing
import Topology

/// Memory and disk alarms: when they are raised, who waits, and who does not.
@Suite struct AlarmTests {
    // MARK: Measuring

    private func reading(memory: UInt64? = nil, disk: UInt64? = nil) -> ResourceReading {
        ResourceReading(memoryUsed: memory, diskFree: disk)
    }

    @Test func raisesAtTheLimitAndClearsSomeWayBack() {
        var monitor = ResourceMonitor(ResourceLimits(memory: 1_000, diskFree: 100))
        #expect(monitor.observe(reading(memory: 999, disk: 101)) == [])
        #expect(monitor.observe(reading(memory: 1_000, disk: 101)) == .memory)
        #expect(monitor.observe(reading(memory: 950, disk: 100)) == .disk)
        #expect(monitor.state.alarms == [.memory, .disk])
        #expect(monitor.observe(reading(memory: 949, disk: 110)) == .memory)
        #expect(monitor.state.alarms == .disk)
        #expect(monitor.observe(reading(memory: 999, disk: 111)) == .disk)
        #expect(monitor.state.alarms == [])
    }

    @Test func aLogWithoutSpaceIsADiskAlarmWhateverIsMeasured() {
        var monitor = ResourceMonitor(ResourceLimits(memory: 1_000, diskFree: 100))
        #expect(monitor.observe(reading(memory: 1, disk: 500)) == [])
        #expect(monitor.observe(logSpace: .short) == .disk)
        #expect(monitor.observe(logSpace: .exhausted) == [])
        #expect(monitor.observe(reading(memory: 1, disk: 500)) == [] && monitor.state.alarms == .disk)
        #expect(monitor.observe(reading(disk: 50)) == [])
        // Both causes must go.
        #expect(monitor.observe(logSpace: .sufficient) == [] && monitor.state.alarms == .disk)
        #expect(monitor.observe(logSpace: .short) == [] && monitor.observe(reading(disk: 500)) == [])
        #expect(monitor.observe(logSpace: .sufficient) == .disk && monitor.state.alarms == [])
    }

    @Test func whatCannotBeMeasuredChangesNothing() {
        var monitor = ResourceMonitor(ResourceLimits(memory: 1_000, diskFree: 100))
        #expect(monitor.observe(reading()) == [])
        #expect(monitor.observe(reading(memory: 2_000, disk: 0)) == [.memory, .disk])
        #expect(monitor.observe(reading()) == [])
        #expect(monitor.state.reading == reading(memory: 2_000, disk: 0))
    }

    @Test func takesTheExtremesOfLimits() {
        var none = ResourceMonitor(ResourceLimits())
        #expect(none.observe(reading(memory: .max - 1, disk: 1)) == [])
        // As in RabbitMQ, a watermark of 0 holds all publishers back.
        var all = ResourceMonitor(ResourceLimits(memory: 0, diskFree: .max))
        #expect(all.observe(reading(memory: 0, disk: .max)) == [.memory, .disk])
        #expect(ResourceLimit.relative(1_000).bytes(memory: .max) == .max)
    }

    @Test func givesRabbitMQsReasons() {
        #expect(ResourceAlarms.memory.reason == "low on memory" && ResourceAlarms.disk.reason == "low on disk")
        #expect(ResourceAlarms([.memory, .disk]).reason == "low on memory & disk")
        #expect(ResourceAlarms().reason == nil)
    }

    @Test(
        arguments: [
            // Nothing limits the machine's memory.
            (["/proc/meminfo": "MemTotal:  4 kB\nMemFree: 1 kB\n"], 4_096),
            (
                [
                    "/proc/meminfo": "MemTotal:  4 kB\n", "/proc/self/cgroup": "0::/\n",
                    "/sys/fs/cgroup/memory.max": "max\n",
                ], 4_096
            ),
            // Version 2: the process's own group, one around it, and in a container.
            (
                [
                    "/proc/meminfo": "MemTotal: 4 kB\n", "/proc/self/cgroup": "0::/a/b\n",
                    "/sys/fs/cgroup/a/b/memory.max": "99\n",
                ], 99
            ),
            (
                [
                    "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "99",
                    "/sys/fs/cgroup/a/memory.max": "9",
                ], 9
            ),
            (["/proc/self/cgroup": "0::/../x\n", "/sys/fs/cgroup/memory.max": "7\n"], 7),
            // Version 1, where no limit is a very high one.
            (
                [
                    "/proc/meminfo": "MemTotal: 4 kB\n", "/proc/self/cgroup": "5:cpu:/\n4:hugetlb,memory:/d\n",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                ], 4_096
            ),
            (
                [
                    "/proc/meminfo": "MemTotal: 4 kB\n", "/proc/self/cgroup": "4:memory:/d\n",
                    "/sys/fs/cgroup/memory/d/memory.limit_in_bytes": "12\n",
                ], 12
            ),
            ([:], nil), (["/proc/meminfo": "MemTotal: many\n", "/proc/self/cgroup": "nonsense\n0::\n::"], nil),
        ] as [([String: String], UInt64?)])
    func findsTheMemoryOfTheProcess(files: [String: String], bytes: UInt64?) {
        #expect(SystemMemory.available { files[$0] } == bytes)
    }

    @Test func readsTheResidentSet() {
        #expect(SystemMemory.resident(statm: "900 25 3 1 0 7 0\n", pageSize: 4_096) == 102_400)
        #expect(SystemMemory.resident(statm: "900", pageSize: 4_096) == nil)
        #expect(SystemMemory.resident(statm: "1 \(UInt64.max)", pageSize: 4_096) == nil)
    }

    // MARK: A cluster

    private static let low = ResourceReading(memoryUsed: 10, diskFree: 10)
    private static let fine = ResourceReading(memoryUsed: 10, diskFree: 10_000)

    private func cluster(_ nodes: UInt16) -> FakeCluster {
        var configuration = BrokerConfiguration()
        configuration.resourceLimits = ResourceLimits(memory: 1_000, diskFree: 1_000)
        return FakeCluster(nodes: nodes, configuration: configuration)
    }

    private func client(_ cluster: FakeCluster, node: Int = 1) -> TestClient {
        TestClient.open(cluster, node: node, properties: ["capabilities": .table(["connection.blocked": true])])
    }

    /// A node measures, and what it has to tell arrives.
    private func observe(_ cluster: FakeCluster, _ node: Int, _ reading: ResourceReading) {
        cluster[node].broker.observe(reading)
        cluster.run()
    }

    /// The reasons of the `connection.blocked` among what the client has heard.
    private func reasons(_ client: TestClient) -> [String] {
        client.hearMethods().compactMap { method in
            if case .connectionBlocked(let blocked) = method { blocked.reason } else { nil }
        }
    }

    @Test func holdsPublishersBackUnderAnAlarm() {
        let cluster = cluster(1)
        let client = client(cluster)
        observe(cluster, 1, AlarmTests.low)
        #expect(client.hear() == [] && client.isReading)
        client.publish("a", key: "nowhere")
        #expect(reasons(client) == ["low on disk"] && !client.isReading)
        #expect(cluster[1].broker.connectionSnapshots().map(\.state) == ["blocked"])
        observe(cluster, 1, AlarmTests.fine)
        #expect(client.hear() == ["connection.unblocked"] && client.isReading)
        #expect(cluster[1].broker.connectionSnapshots().map(\.state) == ["running"])
        observe(cluster, 1, ResourceReading(memoryUsed: 1_000, diskFree: 1))
        client.publish("a", key: "nowhere")
        #expect(reasons(client) == ["low on memory & disk"])
    }

    @Test func holdsPublishersOfAllNodesBack() {
        let cluster = cluster(3)
        let clients = (1...3).map { client(cluster, node: $0) }
        observe(cluster, 2, AlarmTests.low)
        for client in clients {
            client.publish("a", key: "nowhere")
            #expect(reasons(client) == ["low on disk"] && !client.isReading)
        }
        for node in 1...3 { #expect(cluster[node].broker.alarmedNodes == [NodeID(2)]) }
        #expect(cluster[3].broker.resources(of: NodeID(2))?.reading == AlarmTests.low)
        observe(cluster, 2, AlarmTests.fine)
        for client in clients { #expect(client.hear() == ["connection.unblocked"] && client.isReading) }
        #expect(cluster[3].broker.alarmedNodes == [])
    }

    @Test func aLogWithoutSpaceHoldsPublishersBackAtOnce() {
        let cluster = cluster(3)
        let clients = (1...3).map { client(cluster, node: $0) }
        observe(cluster, 2, AlarmTests.fine)
        cluster[2].broker.observe(logSpace: .short)
        cluster.run()
        for client in clients {
            client.publish("a", key: "nowhere")
            #expect(reasons(client) == ["low on disk"] && !client.isReading)
        }
        cluster[2].broker.observe(logSpace: .sufficient)
        cluster.run()
        for client in clients { #expect(client.hear() == ["connection.unblocked"] && client.isReading) }
    }

    @Test func waitsForTheLastAlarm() {
        let cluster = cluster(3)
        let client = client(cluster)
        for node in [2, 3] { observe(cluster, node, AlarmTests.low) }
        client.publish("a", key: "nowhere")
        #expect(client.hear() == ["connection.blocked"])
        observe(cluster, 2, AlarmTests.fine)
        #expect(client.hear() == [] && !client.isReading)
        observe(cluster, 3, AlarmTests.fine)
        #expect(client.hear() == ["connection.unblocked"] && client.isReading)
    }

    @Test func aLostNodeTakesItsAlarmWithItAndBringsItBack() {
        let cluster = cluster(2)
        let client = client(cluster)
        observe(cluster, 2, AlarmTests.low)
        client.publish("a", key: "nowhere")
        #expect(client.hear() == ["connection.blocked"])
        cluster.reset(1, 2)
        #expect(client.hear() == ["connection.unblocked"] && client.isReading)
        #expect(cluster[1].broker.resources(of: NodeID(2)) == nil)
        cluster[2].broker.nodeUp(NodeID(1), incarnation: Incarnation(1))
        cluster.run()
        client.publish("a", key: "nowhere")
        #expect(client.hear() == ["connection.blocked"] && !client.isReading)
    }

    @Test func whatWasLostIsToldAgain() {
        let cluster = cluster(2)
        observe(cluster, 2, AlarmTests.low)
        cluster.reset(1, 2)
        #expect(cluster[1].broker.alarmedNodes == [])
        // Not with every measurement.
        observe(cluster, 2, AlarmTests.low)
        #expect(cluster[1].broker.alarmedNodes == [])
        cluster.tick(1_000)
        observe(cluster, 2, AlarmTests.low)
        #expect(cluster[1].broker.alarmedNodes == [NodeID(2)])
    }

    @Test func whoeverIsHeardFirstIsAnswered() {
        let cluster = cluster(2)
        observe(cluster, 2, AlarmTests.low)
        cluster.reset(1, 2)
        cluster[1].broker.nodeUp(NodeID(2), incarnation: Incarnation(1))
        cluster.run()
        #expect(cluster[1].broker.alarmedNodes == [NodeID(2)])
    }

    @Test func everythingButPublishingGoesOn() {
        let cluster = cluster(1)
        let publisher = client(cluster)
        publisher.send(.queueDeclare(QueueDeclare(queue: "q", durable: true)))
        for body in ["a", "b", "c", "d"] { publisher.publish(body, key: "q") }
        let consumer = client(cluster)
        observe(cluster, 1, AlarmTests.low)
        publisher.publish("e", key: "q")
        #expect(!publisher.isReading)

        consumer.send(.basicGet(BasicGet(queue: "q")))
        #expect(consumer.hear() == ["get-ok 1 of 4 [a]"])
        consumer.send(.basicAck(BasicAck(deliveryTag: 1)))
        consumer.send(.basicQos(BasicQos(prefetchCount: 1)))
        consumer.send(.basicConsume(BasicConsume(queue: "q", consumerTag: "t")))
        #expect(consumer.hear() == ["basic.qos-ok", "consume-ok t", "deliver t 2 [b]"])
        consumer.send(.basicAck(BasicAck(deliveryTag: 2)))
        // What was published first under the alarm was still taken: d and e are left.
        #expect(consumer.hear() == ["deliver t 3 [c]"])
        #expect(cluster.queue("q")?.machine.messagesReady == 2)
        consumer.send(.queuePurge(QueuePurge(queue: "q")))
        #expect(consumer.hear() == ["purge-ok 2"])
        #expect(cluster.queue("q")?.machine.messagesReady == 0)
        consumer.send(.queueDelete(QueueDelete(queue: "q")))
        #expect(consumer.hear().contains("delete-ok 0"))
        #expect(consumer.isReading)
    }

    @Test func aBlockedConnectionCanBeClosed() {
        let cluster = cluster(1)
        let client = client(cluster)
        observe(cluster, 1, AlarmTests.low)
        client.publish("a", key: "nowhere")
        #expect(client.hear() == ["connection.blocked"] && !client.isReading)
        cluster[1].broker.shutDown()
        #expect(client.hear().first?.hasPrefix("connection.close 320") == true && client.isReading)
        client.send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
        #expect(client.isClosed)
    }

    @Test func resourcesSurviveTheWire() throws {
        for resources in [
            NodeResources(reading: AlarmTests.low, limits: ResourceLimits(memory: 5, diskFree: 6), alarms: [.disk]),
            NodeResources(reading: ResourceReading(memoryUsed: nil, diskFree: nil), limits: ResourceLimits()),
        ] {
            var writer = ByteWriter()
            GatewayMessage.resources(resources).encode(into: &writer)
            let decoded = try writer.withUnsafeBytes { buffer throws(DecodingFailure) in
                var reader = ByteReader(buffer)
                return try GatewayMessage(decoding: &reader)
            }
            guard case .resources(let back) = decoded else {
                Issue.record("another message came out")
                return
            }
            #expect(back == resources)
        }
    }
}
