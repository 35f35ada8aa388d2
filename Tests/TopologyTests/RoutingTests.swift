import Primitives
import Testing
import Topology

@Suite struct RoutingTests {
    @Test func theDefaultExchangeReachesEveryQueueByName() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.apply(.declareQueue(.exclusive("e", connection: 1)))
        #expect(harness.route("", "q") == ["q"])
        #expect(harness.route("", "e") == ["e"])
        #expect(harness.route("", "") == [])
        harness.apply(.deleteQueue(vhost: "/", name: "q", expected: nil))
        #expect(harness.route("", "q") == [])
    }

    @Test func directAndFanout() {
        var harness = Harness.bootstrapped()
        for name in ["a", "b", "c"] { harness.declareQueue(name) }
        harness.bind("amq.direct", .queue("b"), "k")
        harness.bind("amq.direct", .queue("a"), "k")
        harness.bind("amq.direct", .queue("c"), "l")
        harness.bind("amq.fanout", .queue("c"), "one")
        harness.bind("amq.fanout", .queue("c"), "two")
        harness.bind("amq.fanout", .queue("a"))
        #expect(harness.route("amq.direct", "k") == ["a", "b"])
        #expect(harness.route("amq.direct", "kk") == [])
        #expect(harness.route("amq.fanout", "whatever") == ["a", "c"])
        harness.unbind("amq.fanout", .queue("c"), "one")
        #expect(harness.route("amq.fanout", "") == ["a", "c"])
        harness.unbind("amq.fanout", .queue("c"), "two")
        #expect(harness.route("amq.fanout", "") == ["a"])
        #expect(harness.route("nothing", "") == nil)
    }

    /// The bindings of RabbitMQ's test suite (`rabbit_exchange_type_topic`), with its expected queues.
    @Test func topicsAsRabbitMQTestsThem() {
        var harness = Harness.bootstrapped()
        harness.declareExchange("x", .topic)
        let bindings = [
            ("a.b.c", "t1"), ("a.*.c", "t2"), ("a.#.b", "t3"), ("a.b.b.c", "t4"), ("#", "t5"), ("#.#", "t6"),
            ("#.b", "t7"), ("*.*", "t8"), ("a.*", "t9"), ("*.b.c", "t10"), ("a.#", "t11"), ("a.#.#", "t12"),
            ("b.b.c", "t13"), ("a.b.b", "t14"), ("a.b", "t15"), ("b.c", "t16"), ("", "t17"), ("*.*.*", "t18"),
            ("vodka.martini", "t19"), ("a.b.c", "t20"), ("*.#", "t21"), ("#.*.#", "t22"), ("*.#.#", "t23"),
            ("#.#.#", "t24"), ("*", "t25"), ("#.b.#", "t26"),
        ]
        for (key, queue) in bindings {
            harness.declareQueue(queue)
            harness.bind("x", .queue(queue), key)
        }
        func reached(_ key: String) -> [Int] {
            (harness.route("x", key) ?? []).compactMap { Int($0.dropFirst()) }
        }
        #expect(reached("a.b.c") == [1, 2, 5, 6, 10, 11, 12, 18, 20, 21, 22, 23, 24, 26])
        #expect(reached("a.b") == [3, 5, 6, 7, 8, 9, 11, 12, 15, 21, 22, 23, 24, 26])
        #expect(reached("a.b.b") == [3, 5, 6, 7, 11, 12, 14, 18, 21, 22, 23, 24, 26])
        #expect(reached("") == [5, 6, 17, 24])
        #expect(reached("b.c.c") == [5, 6, 18, 21, 22, 23, 24, 26])
        #expect(reached("a.a.a.a.a") == [5, 6, 11, 12, 21, 22, 23, 24])
        #expect(reached("vodka.gin") == [5, 6, 8, 21, 22, 23, 24])
        #expect(reached("vodka.martini") == [5, 6, 8, 19, 21, 22, 23, 24])
        #expect(reached("b.b.c") == [5, 6, 10, 13, 18, 21, 22, 23, 24, 26])
        #expect(reached("nothing.here.at.all") == [5, 6, 21, 22, 23, 24])
        #expect(reached("oneword") == [5, 6, 21, 22, 23, 24, 25])
    }

    @Test func hostilePatternsAreMatchedInBoundedSteps() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.bind("amq.topic", .queue("q"), Array(repeating: "#", count: 60).joined(separator: ".a.") + ".never")
        let key = Array(repeating: "a", count: 127).joined(separator: ".")
        #expect(harness.route("amq.topic", key) == [])
    }

    @Test func headersMatchAllOrAny() {
        var harness = Harness.bootstrapped()
        let rules: [(String, TopologyArguments)] = [
            ("all", ["a": .int(1), "b": .string("x")]),
            ("any", ["x-match": .string("any"), "a": .int(1), "b": .string("x")]),
            ("none", [:]), ("any-none", ["x-match": .string("any")]),
            ("present", ["c": .void]), ("ignores-x", ["x-a": .int(1)]),
            ("with-x", ["x-match": .string("all-with-x"), "x-a": .int(1)]),
            ("any-with-x", ["x-match": .string("any-with-x"), "x-a": .int(1), "a": .int(7)]),
        ]
        for (name, arguments) in rules {
            harness.declareQueue(name)
            harness.bind("amq.headers", .queue(name), "", arguments)
        }
        #expect(harness.route("amq.headers", "") == ["none", "ignores-x"])
        #expect(
            harness.route("amq.headers", "", headers: ["a": .int(1), "b": .string("x")])
                == ["all", "any", "none", "ignores-x"])
        #expect(
            harness.route("amq.headers", "", headers: ["a": .int(1), "b": .string("y")]) == [
                "any", "none", "ignores-x",
            ])
        #expect(harness.route("amq.headers", "", headers: ["a": .string("1")]) == ["none", "ignores-x"])
        #expect(harness.route("amq.headers", "", headers: ["c": .bool(false)]) == ["none", "present", "ignores-x"])
        #expect(
            harness.route("amq.headers", "", headers: ["x-a": .int(1)]) == [
                "none", "ignores-x", "with-x", "any-with-x",
            ])
        harness.unbind("amq.headers", .queue("none"), "", [:])
        #expect(harness.route("amq.headers", "") == ["ignores-x"])
    }

    @Test func aResultSaysWhetherItDependsOnHeaders() {
        var harness = Harness.bootstrapped()
        harness.bind("amq.fanout", .exchange("amq.headers"))
        guard let vhost = harness.topology.virtualHostRef("/") else {
            Issue.record("no virtual host")
            return
        }
        for (name, expected) in [("amq.fanout", true), ("amq.direct", false), ("amq.headers", true)] {
            var buffer = RouteBuffer()
            let ref = Bytes(name).withUnsafeBytes { harness.topology.exchangeRef($0, in: vhost) }
            if let ref { harness.topology.route(ref, in: vhost, key: .init(start: nil, count: 0), into: &buffer) }
            #expect(buffer.dependsOnHeaders == expected)
        }
    }

    @Test func exchangesInCyclesReachEachQueueOnce() {
        var harness = Harness.bootstrapped()
        for name in ["q", "r"] { harness.declareQueue(name) }
        for name in ["a", "b", "c"] { harness.declareExchange(name, .fanout) }
        harness.bind("a", .exchange("b"))
        harness.bind("b", .exchange("c"))
        harness.bind("c", .exchange("a"))
        for name in ["a", "b", "c"] { harness.bind(name, .queue("r")) }
        harness.bind("c", .queue("q"))
        for name in ["a", "b", "c"] { #expect(harness.route(name, "k") == ["q", "r"]) }
    }

    @Test func theKeyIsLookedAtByEveryExchangeOnTheWay() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.bind("amq.topic", .exchange("amq.direct"), "a.*")
        harness.bind("amq.direct", .queue("q"), "a.b")
        #expect(harness.route("amq.topic", "a.b") == ["q"])
        #expect(harness.route("amq.topic", "a.c") == [])
    }

    @Test func theAlternateTakesWhatGoesNowhere() {
        var harness = Harness.bootstrapped()
        harness.declareQueue("q")
        harness.declareQueue("lost")
        harness.declareExchange("x", .direct, arguments: ["alternate-exchange": .string("ae")])
        harness.bind("x", .queue("q"), "k")
        #expect(harness.route("x", "none") == [])
        harness.declareExchange("ae", .fanout, arguments: ["alternate-exchange": .string("x")])
        #expect(harness.route("x", "none") == [])
        harness.bind("ae", .queue("lost"))
        #expect(harness.route("x", "none") == ["lost"])
        #expect(harness.route("x", "k") == ["q"])
    }

    @Test func theGenerationMovesWithEveryChangeOfRouting() {
        var harness = Harness.bootstrapped()
        var last = harness.topology.generation
        func moved() -> Bool {
            defer { last = harness.topology.generation }
            return harness.topology.generation > last
        }
        harness.declareQueue("q")
        #expect(moved())
        harness.bind("amq.fanout", .queue("q"))
        #expect(moved())
        harness.bind("amq.fanout", .queue("q"))
        #expect(!moved())
        harness.unbind("amq.fanout", .queue("q"))
        #expect(moved())
        harness.apply(.deleteQueue(vhost: "/", name: "q", expected: nil))
        #expect(moved())
    }
}
