import Primitives
import Testing
import Topology

@Suite struct AccessTests {
    @Test func bootstrapCreatesTheDefaultsOnceInTheLifeOfTheCluster() {
        var harness = Harness.bootstrapped()
        #expect(harness.topology.isBootstrapped)
        #expect(harness.topology.virtualHosts.map(\.name) == ["/"])
        #expect(harness.topology.authenticate(user: "guest", password: Array("guest".utf8))?.tags == ["administrator"])
        #expect(harness.topology.authenticate(user: "guest", password: Array("Guest".utf8)) == nil)
        #expect(harness.topology.allows(user: "guest", vhost: "/", .configure, "anything"))
        let guest = UserRecord(name: "guest", passwordHash: nil)
        harness.apply(.deleteUser("guest"))
        #expect(harness.apply(.bootstrap(TopologyBootstrap(user: guest))) == .done)
        #expect(harness.topology.users.isEmpty)
    }

    @Test func usersComeChangeAndGo() {
        var harness = Harness.bootstrapped()
        let user = UserRecord(name: "a", passwordHash: PasswordHash(password: "x", salt: 1), tags: ["monitoring"])
        #expect(harness.changes(.putUser(user)) == [.userChanged("a")])
        #expect(harness.changes(.putUser(user)) == [])
        let generation = harness.topology.accessGeneration
        let other = UserRecord(name: "a", passwordHash: PasswordHash(password: "y", salt: 1), tags: [])
        #expect(harness.changes(.putUser(other)) == [.userChanged("a")])
        #expect(harness.topology.accessGeneration > generation)
        #expect(harness.topology.authenticate(user: "a", password: Array("x".utf8)) == nil)
        #expect(harness.topology.authenticate(user: "a", password: Array("y".utf8)) == other)
        #expect(harness.changes(.deleteUser("a")) == [.userDeleted("a")])
        #expect(harness.changes(.deleteUser("a")) == [])
        #expect(harness.topology.user("a") == nil)
    }

    @Test func aUserWithoutHashCannotLogIn() {
        var harness = Harness.bootstrapped()
        harness.apply(.putUser(UserRecord(name: "a", passwordHash: nil)))
        #expect(harness.topology.authenticate(user: "a", password: []) == nil)
    }

    @Test func permissionsNeedBothEndsAndGoWithEither() {
        var harness = Harness.bootstrapped()
        func set(_ user: String, _ vhost: String) -> TopologyCommand {
            .setPermissions(user: user, vhost: vhost, configure: "^a", write: "", read: ".*")
        }
        #expect(harness.apply(set("nobody", "/")) == .notFound(.user("nobody")))
        #expect(harness.apply(set("guest", "v")) == .notFound(.virtualHost("v")))
        harness.apply(.putVirtualHost(VirtualHostRecord(name: "v")))
        #expect(harness.topology.permissions(user: "guest", vhost: "v") == nil)
        #expect(harness.changes(set("guest", "v")) == [.permissionsChanged(user: "guest", vhost: "v")])
        #expect(harness.changes(set("guest", "v")) == [])
        #expect(harness.topology.allows(user: "guest", vhost: "v", .configure, "abc"))
        #expect(!harness.topology.allows(user: "guest", vhost: "v", .configure, "bac"))
        #expect(!harness.topology.allows(user: "guest", vhost: "v", .write, "abc"))
        #expect(harness.topology.allows(user: "guest", vhost: "v", .read, ""))
        harness.apply(.deleteVirtualHost("v"))
        harness.apply(.putVirtualHost(VirtualHostRecord(name: "v")))
        #expect(harness.topology.permissions(user: "guest", vhost: "v") == nil)
        #expect(
            harness.changes(.clearPermissions(user: "guest", vhost: "/")) == [
                .permissionsChanged(user: "guest", vhost: "/")
            ])
        #expect(!harness.topology.allows(user: "guest", vhost: "/", .read, "q"))
    }

    @Test(arguments: [
        ("", "q", false), ("^$", "q", false), (".*", "q", true), ("q", "my-queue", true), ("^q", "my-queue", false),
        ("^(amq\\.gen.*|task)$", "amq.gen-1", true), ("^(amq\\.gen.*|task)$", "tasks", false),
        ("^(?!secret).*", "secret-1", false), ("^(?!secret).*", "open", true), ("[", "[", false), ("^.$", "é", true),
        ("^.$", "e\u{301}", false), ("^\\d+$", "123", true),
    ])
    func patternsAreSearchedAsInRabbitMQ(_ pattern: String, _ name: String, _ expected: Bool) {
        #expect(PermissionPattern(pattern).matches(name) == expected)
        #expect(PermissionPattern.isValid(pattern) == (pattern != "["))
    }

    @Test func theDefaultExchangeIsAskedForByItsLongName() {
        let permissions = Permissions(user: "u", vhost: "/", configure: "", write: "^amq\\.default$", read: "")
        #expect(permissions.allows(.write, ""))
        #expect(!permissions.allows(.read, ""))
    }

    @Test func deletingAVirtualHostTakesEverythingInIt() {
        var harness = Harness.bootstrapped()
        let target = harness.declareQueue("q")
        harness.bind("amq.direct", .queue("q"), "k")
        let handle = harness.topology.virtualHostRef("/")
        let changes = harness.changes(.deleteVirtualHost("/"))
        #expect(changes.last == .virtualHostDeleted("/"))
        #expect(changes.count == 1 + 1 + 7 + 1 + 1)
        #expect(harness.topology.queues.isEmpty)
        #expect(target.flatMap { harness.topology.queue($0) } == nil)
        harness.apply(.putVirtualHost(VirtualHostRecord(name: "/")))
        #expect(handle != harness.topology.virtualHostRef("/"))
        var buffer = RouteBuffer()
        let exchange = Bytes("amq.direct").withUnsafeBytes { name in
            harness.topology.virtualHostRef("/").flatMap { harness.topology.exchangeRef(name, in: $0) }
        }
        guard let handle, let exchange else {
            Issue.record("no handle")
            return
        }
        #expect(!harness.topology.route(exchange, in: handle, key: .init(start: nil, count: 0), into: &buffer))
    }
}
