import Primitives
import Testing
import Topology

@Suite struct ExchangeTests {
    @Test func everyVirtualHostHasThePredeclaredExchanges() {
        let harness = Harness.bootstrapped()
        #expect(
            harness.topology.exchanges(vhost: "/").map(\.name) == [
                "", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.rabbitmq.trace", "amq.topic",
            ])
        #expect(harness.topology.exchange("amq.rabbitmq.trace", vhost: "/")?.isInternal == true)
        #expect(
            ExchangeRecord.isReserved("") && ExchangeRecord.isReserved("amq.x") && !ExchangeRecord.isReserved("amq"))
    }

    @Test func declaringAgainComparesTypeAndFlagsAndAlternate() {
        var harness = Harness.bootstrapped()
        let record = ExchangeRecord(vhost: "/", name: "x", type: .topic, durable: true)
        #expect(harness.apply(.declareExchange(record)) == .exchange(record, created: true))
        #expect(harness.apply(.declareExchange(record)) == .exchange(record, created: false))
        var other = record
        other.type = .direct
        guard case .inequivalent(let difference) = harness.apply(.declareExchange(other)) else {
            Issue.record("accepted another type")
            return
        }
        #expect(
            difference.description
                == "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but current is 'topic'")
        other = record
        other.autoDelete = true
        guard case .inequivalent = harness.apply(.declareExchange(other)) else {
            Issue.record("accepted other flags")
            return
        }
        #expect(
            harness.apply(.declareExchange(ExchangeRecord(vhost: "v", name: "x", type: .topic, durable: true)))
                == .notFound(.virtualHost("v")))
    }

    @Test func bindingNeedsBothEnds() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        #expect(harness.bind("x", .queue("q")) == .notFound(.exchange("x", vhost: "/")))
        #expect(harness.bind("amq.direct", .queue("r")) == .notFound(.queue("r", vhost: "/")))
        #expect(harness.bind("amq.direct", .exchange("x")) == .notFound(.exchange("x", vhost: "/")))
        guard case .invalid = harness.bind("", .queue("q"), "q") else {
            Issue.record("bound the default exchange")
            return
        }
        guard case .invalid = harness.bind("amq.direct", .exchange("")) else {
            Issue.record("bound to the default exchange")
            return
        }
        guard case .invalid = harness.bind("amq.headers", .queue("q"), "", ["x-match": .string("some")]) else {
            Issue.record("accepted a wrong x-match")
            return
        }
        #expect(harness.topology.bindings(vhost: "/").isEmpty)
    }

    @Test func bindingsAreASet() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        let binding = Binding(vhost: "/", source: "amq.direct", destination: .queue("q"), routingKey: "k")
        #expect(harness.changes(.bind(binding)) == [.bindingCreated(binding)])
        #expect(harness.changes(.bind(binding)) == [])
        #expect(harness.bind("amq.direct", .queue("q"), "k", ["a": .int(1)]) == .done)
        #expect(harness.topology.bindings(source: "amq.direct", vhost: "/").count == 2)
        #expect(harness.topology.bindings(destination: .queue("q"), vhost: "/").count == 2)
        #expect(harness.route("amq.direct", "k") == ["q"])
        #expect(harness.changes(.unbind(binding)) == [.bindingDeleted(binding)])
        #expect(harness.changes(.unbind(binding)) == [])
        #expect(harness.route("amq.direct", "k") == ["q"])
        harness.unbind("amq.direct", .queue("q"), "k", ["a": .int(1)])
        #expect(harness.route("amq.direct", "k") == [])
    }

    @Test func autoDeleteExchangesGoWithTheirLastBindingInACascade() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        for name in ["a", "b", "c"] { harness.declareExchange(name, .fanout, autoDelete: true) }
        harness.bind("a", .exchange("b"))
        harness.bind("b", .exchange("c"))
        harness.bind("c", .queue("q"))
        harness.bind("c", .queue("q"), "2")
        #expect(harness.route("a", "") == ["q"])
        harness.unbind("c", .queue("q"))
        #expect(harness.topology.exchange("c", vhost: "/") != nil)
        let deleted = harness.changes(.deleteQueue(vhost: "/", name: "q", expected: nil)).compactMap {
            change -> String? in
            if case .exchangeDeleted(let record) = change { record.name } else { nil }
        }
        #expect(deleted == ["c", "b", "a"])
        #expect(harness.topology.bindings(vhost: "/").isEmpty)
        #expect(harness.route("a", "") == nil)
    }

    @Test func anAutoDeleteExchangeBoundToItselfEnds() {
        var harness = Harness.bootstrapped()
        harness.declareExchange("a", .fanout, autoDelete: true)
        harness.bind("a", .exchange("a"))
        #expect(harness.route("a", "") == [])
        harness.unbind("a", .exchange("a"))
        #expect(harness.topology.exchange("a", vhost: "/") == nil)
    }

    @Test func aLongCascadeNeedsNoStack() {
        var harness = Harness.bootstrapped()
        let length = 3_000
        _ = harness.applyAll(
            (0..<length).map {
                .declareExchange(
                    ExchangeRecord(vhost: "/", name: "x\($0)", type: .fanout, durable: false, autoDelete: true))
            })
        _ = harness.applyAll(
            (1..<length).map {
                .bind(Binding(vhost: "/", source: "x\($0 - 1)", destination: .exchange("x\($0)"), routingKey: ""))
            })
        harness.declareQueue("q")
        harness.bind("x\(length - 1)", .queue("q"))
        #expect(harness.route("x0", "") == ["q"])
        harness.apply(.deleteQueue(vhost: "/", name: "q", expected: nil))
        #expect(harness.topology.exchanges(vhost: "/").count == 7)
    }

    @Test func deletingMayBeForUnusedExchangesOnly() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.declareExchange("x", .direct)
        harness.bind("x", .queue("q"), "k")
        let delete = TopologyCommand.deleteExchange(vhost: "/", name: "x", ifUnused: true)
        #expect(harness.apply(delete) == .inUse(.exchange("x", vhost: "/")))
        harness.unbind("x", .queue("q"), "k")
        #expect(harness.apply(delete) == .done)
        #expect(harness.apply(delete) == .done)
        guard case .invalid = harness.apply(.deleteExchange(vhost: "/", name: "", ifUnused: false)) else {
            Issue.record("deleted the default exchange")
            return
        }
    }

    @Test func aDeletedExchangeLeavesNoBindingAndAHandleThatLeadsNowhere() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.declareExchange("x", .direct)
        harness.bind("x", .queue("q"), "k")
        harness.bind("amq.fanout", .exchange("x"))
        guard let vhost = harness.topology.virtualHostRef("/"),
            let handle = Bytes("x").withUnsafeBytes({ harness.topology.exchangeRef($0, in: vhost) })
        else {
            Issue.record("no handle")
            return
        }
        harness.apply(.deleteExchange(vhost: "/", name: "x", ifUnused: false))
        harness.declareExchange("y", .fanout)
        #expect(harness.topology.bindings(vhost: "/").isEmpty)
        var buffer = RouteBuffer()
        #expect(!harness.topology.route(handle, in: vhost, key: .init(start: nil, count: 0), into: &buffer))
        #expect(harness.route("amq.fanout", "k") == [])
    }
}
