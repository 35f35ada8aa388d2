import AMQP
import Broker
import Foundation
import LogStore
import Management
import PeerLink
import Primitives
import Replication
import Testing
import Topology

/// The JSON that RabbitMQ's users read: names and values of every member.
@Suite struct ShapeTests {
    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    private func expect(_ value: some Encodable, _ members: String...) throws {
        #expect(try json(value) == "{" + members.joined(separator: ",") + "}")
    }

    @Test func virtualHosts() throws {
        var view = VirtualHostView(VirtualHostRecord(name: "/", text: "ours"))
        view.cluster_state["warren-1@h"] = "running"
        try expect(
            view, #""cluster_state":{"warren-1@h":"running"}"#, #""default_queue_type":"quorum""#,
            #""description":"ours""#, #""messages":0"#, #""messages_ready":0"#, #""messages_unacknowledged":0"#,
            #""name":"/""#, #""tags":[]"#, #""tracing":false"#)
    }

    @Test func exchanges() throws {
        try expect(
            ExchangeView(
                ExchangeRecord(
                    vhost: "/", name: "e", type: .topic, durable: true,
                    arguments: ["alternate-exchange": .string("f")], user: "alice")),
            #""arguments":{"alternate-exchange":"f"}"#, #""auto_delete":false"#, #""durable":true"#,
            #""internal":false"#, #""name":"e""#, #""type":"topic""#, #""user_who_performed_action":"alice""#,
            #""vhost":"/""#)
        let trace = ExchangeView(ExchangeRecord.predeclared(in: "/")[5])
        #expect(trace.internal && trace.user_who_performed_action == "rmq-internal")
    }

    @Test func bindings() throws {
        try expect(
            BindingView(Binding(vhost: "v", source: "e", destination: .queue("q"), routingKey: "a/b")),
            #""arguments":{}"#, #""destination":"q""#, #""destination_type":"queue""#,
            #""properties_key":"a%2Fb""#, #""routing_key":"a/b""#, #""source":"e""#, #""vhost":"v""#)
        let toExchange = BindingView(
            Binding(vhost: "v", source: "e", destination: .exchange("f"), routingKey: ""))
        #expect(toExchange.destination_type == "exchange" && toExchange.properties_key == "~")
    }

    @Test func bindingsOfOnePairHaveDifferentKeys() {
        let keys = [TopologyArguments(), ["n": .int(1)], ["n": .int(2)]].map {
            BindingView(Binding(vhost: "/", source: "e", destination: .queue("q"), routingKey: "k", arguments: $0))
                .properties_key
        }
        #expect(Set(keys).count == 3 && keys[0] == "k" && keys[1].hasPrefix("k~"))
    }

    @Test func implicitBindings() throws {
        let declaration = QueueDeclaration(
            vhost: "/", name: "q", durable: true, autoDelete: false,
            placement: .quorum(members: [NodeID(1)], preferredLeader: NodeID(1)))
        let view = BindingView(
            implicit: try #require(queue(declaration)))
        #expect(
            [view.source, view.destination, view.destination_type, view.routing_key, view.properties_key]
                == ["", "q", "queue", "q", "q"])
    }

    /// The record that a declaration leads to.
    private func queue(_ declaration: QueueDeclaration) -> QueueRecord? {
        var topology = Topology()
        let user = UserRecord(name: "guest", passwordHash: nil)
        for (index, command) in [.bootstrap(TopologyBootstrap(user: user)), TopologyCommand.declareQueue(declaration)]
            .enumerated()
        {
            var writer = ByteWriter()
            let id = TopologyRequestID(node: NodeID(1), incarnation: Incarnation(1), counter: UInt64(index) + 1)
            TopologyRequest(id: id, command: command).encode(into: &writer)
            _ = writer.withUnsafeBytes {
                topology.apply(
                    Entry(
                        kind: .commands, group: .topology, index: LogIndex(UInt64(index) + 1), term: Term(1),
                        timestamp: .zero, headers: $0, bodies: UnsafeRawBufferPointer(start: nil, count: 0)))
            }
        }
        return topology.queue(declaration.name, vhost: declaration.vhost)
    }

    @Test func connections() throws {
        let snapshot = ConnectionSnapshot(
            id: 1, name: "10.0.0.1:4 -> 10.0.0.2:5672", peerHost: "10.0.0.1", peerPort: 4, host: "10.0.0.2",
            port: 5_672, user: "guest", vhost: "/", state: "running", channels: 2, frameMax: 131_072,
            channelMax: 2_047, heartbeat: 60, clientProperties: ["connection_name": "mine"])
        try expect(
            ConnectionView(snapshot, node: "n"), #""auth_mechanism":"PLAIN""#, #""channel_max":2047"#,
            #""channels":2"#, #""client_properties":{"connection_name":"mine"}"#, #""frame_max":131072"#,
            #""host":"10.0.0.2""#, #""name":"10.0.0.1:4 -> 10.0.0.2:5672""#, #""node":"n""#,
            #""peer_host":"10.0.0.1""#, #""peer_port":4"#, #""port":5672"#, #""protocol":"AMQP 0-9-1""#,
            #""ssl":false"#, #""state":"running""#, #""timeout":60"#, #""type":"network""#, #""user":"guest""#,
            #""user_provided_name":"mine""#, #""vhost":"/""#)
    }

    @Test func channelsAndConsumers() throws {
        let channel = ChannelSnapshot(
            connection: 1, connectionName: "c", number: 3, user: "guest", vhost: "/", isConfirming: true, prefetch: 10,
            consumers: 1, unacknowledged: 4, unconfirmed: 5, published: 6, delivered: 7)
        try expect(
            ChannelView(channel, node: "n"), #""confirm":true"#, #""connection_details":{"name":"c"}"#,
            #""consumer_count":1"#, #""message_stats":{"deliver_get":7,"publish":6}"#,
            #""messages_unacknowledged":4"#, #""messages_unconfirmed":5"#, #""name":"c (3)""#, #""node":"n""#,
            #""number":3"#, #""prefetch_count":10"#, #""state":"running""#, #""transactional":false"#,
            #""user":"guest""#, #""vhost":"/""#)
        let consumer = ConsumerSnapshot(
            connectionName: "c", channel: 3, tag: "t", queue: "q", vhost: "/", ackRequired: true, isExclusive: false,
            prefetch: 10)
        try expect(
            ConsumerView(consumer, node: "n"), #""ack_required":true"#, #""active":true"#,
            #""activity_status":"up""#,
            #""channel_details":{"connection_name":"c","name":"c (3)","node":"n","number":3}"#,
            #""consumer_tag":"t""#, #""exclusive":false"#, #""prefetch_count":10"#,
            #""queue":{"name":"q","vhost":"/"}"#)
    }

    @Test func healthChecks() throws {
        try expect(HealthVerdict(), #""status":"ok""#)
        try expect(HealthVerdict("why"), #""reason":"why""#, #""status":"failed""#)
        try expect(HealthVerdict(port: 5_672, ports: [5_672, 15_672]), #""port":5672"#, #""status":"ok""#)
        try expect(
            HealthVerdict(port: 1, ports: [5_672]), #""missing":1"#, #""ports":[5672]"#,
            #""reason":"No active listener""#, #""status":"failed""#)
    }

    @Test func alarms() throws {
        try expect(HealthVerdict(alarms: [], in: "cluster"), #""status":"ok""#)
        let alarms = HealthVerdict.Alarm.list([.memory, .disk], node: "a")
        try expect(
            HealthVerdict(alarms: alarms, in: "cluster"),
            #""alarms":[{"node":"a","resource":"memory"},{"node":"a","resource":"disk space"}]"#,
            #""reason":"There are alarms in effect in the cluster""#, #""status":"failed""#)
    }

    /// What a queue's row is made of: one entry behind a snapshot.
    private var recovered: GroupRecovery {
        let location = EntryLocation(
            group: GroupID(7), index: LogIndex(11), term: Term(2), segment: 1, offset: 4_096, length: 100, checksum: 0)
        return GroupRecovery(
            RecoveredGroup(
                group: GroupID(7), term: Term(2), vote: nil, created: nil, configuration: nil,
                snapshot: RecoveredSnapshot(index: LogIndex(10), term: Term(2), bytes: Bytes("state"), live: []),
                missing: [LogIndex(3)], entries: [location], damaged: [LogIndex(11)]))
    }

    @Test func recovery() throws {
        let row =
            #""damaged":1,"entries":1,"entry_bytes":100,"last_index":11,"missing":1,"name":"q","#
            + #""repaired":0,"replayed":0,"snapshot_bytes":5,"snapshot_index":10,"vhost":"/""#
        try expect(QueueRecovery(name: "q", vhost: "/", recovered, leader: nil), #""caught_up":false"#, row)
        var report = RecoveryReport()
        report.segments = 3
        report.sealedSegments = 2
        report.bytesRead = 4_096
        let opening = StoreOpening(
            startedAt: WallTime(milliseconds: 1_000), duration: .milliseconds(12), incarnation: Incarnation(4),
            report: report)
        try expect(
            NodeRecovery(
                node: "a", opening, scrub: ScrubView(ScrubTotals(), RepairTotals()), metadata: nil,
                queues: [QueueRecovery(name: "q", vhost: "/", recovered, leader: nil)]),
            #""incarnation":4"#, #""node":"a""#, #""open_milliseconds":12"#,
            #""queues":[{"caught_up":false,\#(row)}]"#,
            #""scrub":{"bytes":0,"damaged_entries":0,"damaged_segments":0,"passes":0,"repaired_entries":0,"#
                + #""rewritten_records":0,"segments":0}"#, #""started_at":1000"#,
            #""store":{"bytes_read":4096,"clean_stop":false,"damaged_records":0,"frames":0,"lost_frames":0,"#
                + #""records":0,"sealed_segments":2,"segments":3,"torn_bytes":0}"#)
    }

    /// An event's JSON without its number and time, which are the same for all.
    private func expect(_ event: JournalEvent, _ members: String...) throws {
        var journal = EventJournal()
        journal.note(event, at: .zero)
        let record = try #require(journal.records(after: 0).first)
        let view = EventView(record, at: 5) { "warren-\($0.rawValue)" }
        let all = (members + [#""microseconds":5"#, #""sequence":1"#]).sorted()
        #expect(try json(view) == "{" + all.joined(separator: ",") + "}")
    }

    @Test func events() throws {
        try expect(
            .nodeUp(NodeID(2), Incarnation(7)), #""event":"node_up""#, #""incarnation":7"#, #""node":"warren-2""#)
        try expect(
            .nodeSuspected(NodeID(2), .silence(.milliseconds(312))), #""duration_microseconds":312000"#,
            #""event":"node_suspected""#, #""node":"warren-2""#, #""reason":"silence""#)
        for (reason, word) in [
            (SuspicionReason.linkReset, "link_reset"), (.neverHeard, "never_heard"), (.stopping, "stopping"),
            (.newIncarnation(Incarnation(3)), "new_incarnation"),
        ] {
            try expect(
                .nodeSuspected(NodeID(3), reason), #""event":"node_suspected""#, #""node":"warren-3""#,
                #""reason":"\#(word)""#)
        }
        try expect(.stoodStill(.seconds(1)), #""duration_microseconds":1000000"#, #""event":"stood_still""#)
        for (event, word) in [
            (JournalEvent.campaigned(GroupID(9), Term(4)), "campaigned"), (.elected(GroupID(9), Term(4)), "elected"),
            (.committed(GroupID(9), Term(4)), "committed"), (.steppedDown(GroupID(9), Term(4)), "stepped_down"),
        ] {
            try expect(event, #""event":"\#(word)""#, #""group":9"#, #""term":4"#)
        }
        try expect(
            .allLed(groups: 12, after: .milliseconds(40)), #""duration_microseconds":40000"#, #""event":"all_led""#,
            #""groups":12"#)
        var journal = EventJournal()
        journal.note(.stoodStill(.zero), at: .zero)
        try expect(
            JournalView(node: "n", journal, leaderless: 3), #""events":[]"#, #""first_sequence":1"#,
            #""leaderless_groups":3"#, #""microseconds":0"#, #""next_sequence":2"#, #""node":"n""#)
    }

    @Test func nodes() throws {
        var node = NodeStatus(
            name: "a", running: true, cluster_leader: false, client_address: "c", management_address: "m",
            peer_address: "p")
        // One that does not tell has no figures.
        try expect(
            node, #""client_address":"c""#, #""cluster_leader":false"#, #""management_address":"m""#, #""name":"a""#,
            #""peer_address":"p""#, #""running":true"#, #""type":"disc""#)
        node.show(
            NodeResources(
                reading: ResourceReading(memoryUsed: 5, diskFree: 7), limits: ResourceLimits(memory: 6, diskFree: 8),
                alarms: .disk))
        try expect(
            node, #""client_address":"c""#, #""cluster_leader":false"#, #""disk_free":7"#, #""disk_free_alarm":true"#,
            #""disk_free_limit":8"#, #""management_address":"m""#, #""mem_alarm":false"#, #""mem_limit":6"#,
            #""mem_used":5"#, #""name":"a""#, #""peer_address":"p""#, #""running":true"#, #""type":"disc""#)
    }
}
