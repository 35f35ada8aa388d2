import Primitives
import Testing
import Topology

@Suite struct QueueTests {
    @Test func declaringAgainFindsTheSameQueue() {
        var harness = Harness.bootstrapped()
        guard case .queue(let record, true) = harness.apply(.declareQueue(.quorum("q"))) else {
            Issue.record("not created")
            return
        }
        #expect(record.group == GroupID(2))
        #expect(record.createdAt == WallTime(milliseconds: 1_002))
        #expect(record.members == [NodeID(1), NodeID(2), NodeID(3)])
        let generation = harness.topology.generation
        #expect(harness.apply(.declareQueue(.quorum("q"))) == .queue(record, created: false))
        #expect(harness.topology.generation == generation)
        #expect(harness.topology.queue(group: GroupID(2)) == record)
        #expect(harness.topology.queue("q", vhost: "/") == record)
    }

    @Test func otherPropertiesAreRefusedInRabbitMQsWords() {
        var harness = Harness.bootstrapped()
        harness.apply(.declareQueue(.quorum("q", arguments: ["x-message-ttl": .int(5), "x-mine": .int(1)])))
        func text(_ declaration: QueueDeclaration) -> String {
            if case .inequivalent(let difference) = harness.apply(.declareQueue(declaration)) {
                difference.description
            } else {
                "none"
            }
        }
        #expect(
            text(.quorum("q", durable: false))
                == "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'")
        #expect(
            text(.quorum("q"))
                == "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the "
                + "value '5' of type 'signedint'")
        #expect(
            text(.quorum("q", arguments: ["x-message-ttl": .int(6)]))
                == "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '6' but current is '5'")
        #expect(text(.quorum("q", arguments: ["x-message-ttl": .int(5), "x-mine": .int(2)])) == "none")
        #expect(
            text(.quorum("q", arguments: ["x-message-ttl": .int(5), "x-queue-type": .string("quorum")])) == "none")
    }

    @Test func queuesOfOneEntryHaveGroupsOfTheirOwnThatNeverComeBack() {
        var harness = Harness.bootstrapped()
        let applied = harness.applyAll(["a", "b", "c"].map { .declareQueue(.quorum($0)) })
        #expect(applied.map(\.request.counter) == [2, 3, 4])
        #expect(harness.topology.queues.map(\.id) == [2, 3, 4])
        harness.apply(.deleteQueue(vhost: "/", name: "c", expected: nil))
        #expect(harness.declareQueue("c") == .quorum(GroupID(5)))
        for _ in 0..<10 { _ = harness.append(headers: Bytes(), kind: .noop) }
        #expect(harness.declareQueue("d") == .quorum(GroupID(15)))
    }

    @Test func deletingIsIdempotentAndMayNameTheQueueItMeans() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        guard let record = harness.topology.queue("q", vhost: "/") else {
            Issue.record("no queue")
            return
        }
        #expect(harness.changes(.deleteQueue(vhost: "/", name: "q", expected: record.id + 1)) == [])
        #expect(harness.changes(.deleteQueue(vhost: "/", name: "q", expected: record.id)) == [.queueDeleted(record)])
        #expect(harness.apply(.deleteQueue(vhost: "/", name: "q", expected: record.id)) == .done)
        #expect(harness.topology.queue(group: GroupID(record.id)) == nil)
    }

    @Test func exclusiveQueuesBelongToOneConnection() {
        var harness = Harness.bootstrapped()
        let mine = QueueDeclaration.exclusive("q", connection: 4)
        guard case .queue(let record, true) = harness.apply(.declareQueue(mine)) else {
            Issue.record("not created")
            return
        }
        #expect(record.target == .transient(TransientID(record.id), node: NodeID(1)))
        #expect(record.exclusiveOwner?.connection == 4)
        let locked = TopologyOutcome.locked(.queue("q", vhost: "/"))
        #expect(harness.apply(.declareQueue(mine)) == .queue(record, created: false))
        #expect(harness.apply(.declareQueue(.exclusive("q", connection: 5))) == locked)
        #expect(harness.apply(.declareQueue(.exclusive("q", connection: nil))) == locked)
        #expect(harness.apply(.declareQueue(.quorum("q"))) == locked)
        harness.declareQueue("other")
        #expect(
            harness.apply(.declareQueue(.exclusive("other", connection: 4))) == .locked(.queue("other", vhost: "/")))
    }

    @Test func aClosedConnectionTakesItsExclusiveQueues() {
        var harness = Harness.bootstrapped()
        for (name, connection) in [("a", 4), ("b", 5), ("c", 4)] as [(String, UInt64)] {
            harness.apply(.declareQueue(.exclusive(name, connection: connection)))
        }
        harness.bind("amq.fanout", .queue("a"))
        harness.bind("amq.fanout", .queue("b"))
        let owner = ConnectionOwner(node: NodeID(1), incarnation: Incarnation(1), connection: 4)
        let deleted = harness.changes(.connectionClosed(owner)).compactMap { change -> String? in
            if case .queueDeleted(let record) = change { record.name } else { nil }
        }
        #expect(deleted == ["a", "c"])
        #expect(harness.route("amq.fanout", "") == ["b"])
    }

    @Test func aNewIncarnationDropsTheQueuesOfTheOldOne() {
        var harness = Harness.bootstrapped()
        harness.apply(.declareQueue(.exclusive("a", connection: nil)))
        harness.apply(.declareQueue(.exclusive("b", node: 2, connection: nil)))
        harness.declareQueue("c")
        #expect(harness.apply(.nodeIncarnation(NodeID(1), Incarnation(2))) == .done)
        #expect(harness.topology.queues.map(\.name) == ["b", "c"])
        #expect(harness.topology.incarnation(of: NodeID(1)) == Incarnation(2))
        #expect(harness.apply(.declareQueue(.exclusive("a", connection: nil))) == .stale)
        #expect(harness.apply(.nodeIncarnation(NodeID(1), Incarnation(1))) == .stale)
        #expect(harness.changes(.nodeIncarnation(NodeID(1), Incarnation(2))) == [])
        // A declare is a sign of life as well.
        harness.apply(.declareQueue(.exclusive("a", incarnation: 2, connection: nil)))
        harness.apply(.declareQueue(.exclusive("d", incarnation: 3, connection: nil)))
        #expect(harness.topology.queues.map(\.name) == ["b", "c", "d"])
    }

    @Test func aLostNodeMayNotDeclareTransientQueuesUntilItStartsAgain() {
        var harness = Harness.bootstrapped()
        harness.apply(.declareQueue(.exclusive("a", incarnation: 4, connection: nil)))
        #expect(harness.apply(.nodeLost(NodeID(1), Incarnation(3))) == .stale)
        #expect(harness.apply(.nodeLost(NodeID(1), Incarnation(4))) == .done)
        #expect(harness.topology.queues.isEmpty)
        #expect(harness.apply(.declareQueue(.exclusive("a", incarnation: 4, connection: nil))) == .stale)
        #expect(harness.apply(.nodeIncarnation(NodeID(1), Incarnation(5))) == .done)
        guard case .queue(_, true) = harness.apply(.declareQueue(.exclusive("a", incarnation: 5, connection: nil)))
        else {
            Issue.record("not created")
            return
        }
    }

    @Test func namesThatLookAlikeAreDifferentNames() {
        var harness = Harness.bootstrapped()
        let composed = harness.declareQueue("\u{e9}")
        let decomposed = harness.declareQueue("e\u{301}")
        #expect(composed != decomposed)
        #expect(harness.topology.queues.count == 2)
        #expect(harness.topology.queue("e\u{301}", vhost: "/")?.target == decomposed)
        #expect(harness.route("", "\u{e9}")?.count == 1)
    }

    @Test func nodesAreMembersWithTheirDisk() {
        var harness = Harness.bootstrapped()
        var node = NodeRecord(
            id: NodeID(2), name: "b", store: StoreID(high: 1, low: 2), peerAddress: "127.0.0.2:25672",
            clientAddress: "127.0.0.2:5672", managementAddress: "127.0.0.2:15672")
        #expect(harness.changes(.registerNode(node)) == [.nodeRegistered(node)])
        #expect(harness.changes(.registerNode(node)) == [])
        node.clientAddress = "127.0.0.2:5673"
        #expect(harness.apply(.registerNode(node)) == .done)
        #expect(harness.topology.nodes == [node])
        var other = node
        other.store = StoreID(high: 9, low: 9)
        guard case .invalid = harness.apply(.registerNode(other)) else {
            Issue.record("another disk was taken for the same member")
            return
        }
        #expect(harness.topology.node(NodeID(2)) == node)
    }

    @Test func aReplacedStoreNeverCountsAgain() throws {
        let (first, second, third) = (StoreID(high: 1, low: 2), StoreID(high: 3, low: 4), StoreID(high: 5, low: 6))
        let node = NodeID(2)
        var harness = Harness.bootstrapped()
        let record = NodeRecord(
            id: node, name: "b", store: first, peerAddress: "", clientAddress: "", managementAddress: "")
        #expect(harness.apply(.registerNode(record)) == .done)
        let before = harness.declareQueue("before")
        #expect(harness.changes(.replaceStore(node, first, by: second)) == [.storeReplaced(node, by: second)])
        // Proposed again by whoever missed the answer.
        #expect(harness.changes(.replaceStore(node, first, by: second)) == [])
        #expect(harness.apply(.replaceStore(node, first, by: second)) == .done)
        let between = harness.declareQueue("between")
        // Not what the node has, and not what it had.
        #expect(harness.apply(.replaceStore(node, first, by: third)) == .stale)
        guard case .invalid = harness.apply(.replaceStore(node, second, by: first)) else {
            Issue.record("an old disk came back")
            return
        }
        guard case .invalid = harness.apply(.registerNode(record)) else {
            Issue.record("an old disk was registered")
            return
        }
        #expect(harness.apply(.replaceStore(node, second, by: third)) == .done)
        let after = harness.declareQueue("after")
        for topology in [harness.topology, try harness.restored()] {
            #expect(topology.store(of: node) == third)
            #expect(topology.node(node)?.store == third)
            #expect([first, second, third].map { topology.isRetired($0, of: node) } == [true, true, false])
            let groups = [before, between, after].compactMap { $0.map { GroupID($0.id) } }
            #expect(groups.map { topology.store(of: node, at: $0) } == [first, second, third])
        }
    }

    @Test func aStoreIsReplacedBeforeItsNodeWasRegistered() {
        let (first, second) = (StoreID(high: 1, low: 2), StoreID(high: 3, low: 4))
        var harness = Harness.bootstrapped()
        #expect(harness.topology.store(of: NodeID(2)) == nil)
        #expect(harness.apply(.replaceStore(NodeID(2), first, by: second)) == .done)
        #expect(harness.topology.store(of: NodeID(2)) == second)
        #expect(harness.topology.store(of: NodeID(2), at: GroupID(1)) == first)
    }
}
