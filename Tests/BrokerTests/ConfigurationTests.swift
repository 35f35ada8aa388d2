import Broker
import Primitives
import Testing

@Suite struct ConfigurationTests {
    // MARK: Files

    private func pairs(_ text: String) throws -> [String] {
        try ConfigurationFile.parse(text, name: "w.conf").map { "\($0.origin) \($0.key)=\($0.value)" }
    }

    @Test func readsSettingsWithTheirLines() throws {
        let text = """
            # a comment

            node.name = warren-1
              heartbeat=30   # seconds
            default_pass = 'a # b = c'
            cluster_name = "two words"
            log.level =
            """
        #expect(
            try pairs(text) == [
                "w.conf:3 node.name=warren-1", "w.conf:4 heartbeat=30", "w.conf:5 default_pass=a # b = c",
                "w.conf:6 cluster_name=two words", "w.conf:7 log.level=",
            ])
    }

    @Test func takesLineEndsOfEverySystem() throws {
        #expect(try pairs("a = 1\r\nb = 2\nc = 3\r\n") == ["w.conf:1 a=1", "w.conf:2 b=2", "w.conf:3 c=3"])
    }

    @Test func keepsAHashThatBelongsToTheValue() throws {
        #expect(try pairs("secret = a#b") == ["w.conf:1 secret=a#b"])
        #expect(try pairs("secret = 'half") == ["w.conf:1 secret='half"])
        #expect(try pairs("secret = '") == ["w.conf:1 secret='"])
    }

    @Test(arguments: [
        ("a = 1\nnonsense", "w.conf:2: expected 'key = value', found 'nonsense'"),
        ("\n = 1", "w.conf:2: a key is missing before '='"),
    ])
    func namesTheLineThatIsNoSetting(text: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile.parse(text, name: "w.conf") }
        #expect(error?.description == message)
    }

    @Test func readsArgumentsAndTheEnvironment() throws {
        let setting = try ConfigurationFile.argument("heartbeat = 5")
        #expect(setting == Setting(key: "heartbeat", value: "5", origin: "--set"))
        let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile.argument("heartbeat") }
        #expect(error?.description == "--set: expected key=value, found 'heartbeat'")

        let variables = [
            "WARREN_LOG_LEVEL": "debug", "WARREN_CLUSTER_FORMATION_CLASSIC_CONFIG_NODES_2": "b@h", "HOME": "/root",
        ]
        let settings = ConfigurationFile.environment(variables, keys: ServerConfiguration.keys)
        #expect(
            settings == [
                Setting(key: "log.level", value: "debug", origin: "WARREN_LOG_LEVEL"),
                Setting(
                    key: "cluster_formation.classic_config.nodes.2", value: "b@h",
                    origin: "WARREN_CLUSTER_FORMATION_CLASSIC_CONFIG_NODES_2"),
            ])
    }

    // MARK: Meaning

    private func load(_ lines: String...) throws -> ServerConfiguration {
        try ServerConfiguration(ConfigurationFile.parse(lines.joined(separator: "\n"), name: "w.conf"))
    }

    @Test func isASingleNodeWhenNothingIsSaid() throws {
        let configuration = try ServerConfiguration([])
        #expect(configuration.nodes.count == 1)
        #expect(try configuration.ownNode().id == NodeID(1))
        #expect(configuration.amqp == ListenAddress(host: "0.0.0.0", port: 5_672))
        #expect(configuration.management == ListenAddress(host: "0.0.0.0", port: 15_672))
        #expect(configuration.broker.loopbackUsers == ["guest"])
    }

    @Test func listsNodesByTheirNumbers() throws {
        let configuration = try load(
            "node.name = b", "cluster_formation.classic_config.nodes.3 = c@host-c",
            "cluster_formation.classic_config.nodes.2 = b@[::1]:7", "cluster_formation.classic_config.nodes.1 = a@h:9")
        #expect(
            configuration.nodes.map { "\($0.id.rawValue) \($0.name) \($0.address)" } == [
                "1 a h:9", "2 b [::1]:7", "3 c host-c:25672",
            ])
        #expect(try configuration.ownNode().id == NodeID(2))
    }

    @Test func laterSettingsWin() throws {
        let configuration = try load(
            "heartbeat = 10", "heartbeat = 20", "listeners.tcp.default = 7000", "cluster_name = east",
            "cluster_formation.classic_config.nodes.1 = old@h", "cluster_formation.classic_config.nodes.1 = warren@h")
        #expect(configuration.broker.heartbeatSeconds == 20)
        #expect(configuration.amqp == ListenAddress(host: "0.0.0.0", port: 7_000))
        #expect(configuration.broker.clusterName == "east")
        #expect(configuration.nodes.map(\.name) == ["warren"])
    }

    @Test func opensGuestToTheNetworkOnlyWhenToldTo() throws {
        #expect(try load("loopback_users = none").broker.loopbackUsers.isEmpty)
        #expect(try load("loopback_users.guest = false").broker.loopbackUsers.isEmpty)
        #expect(try load("loopback_users = none", "loopback_users.guest = true").broker.loopbackUsers == ["guest"])
    }

    @Test(arguments: [
        ("heartbeat = many", "w.conf:1: heartbeat = many: expected a number from 0 to 65535"),
        ("heartbeat = 65536", "w.conf:1: heartbeat = 65536: expected a number from 0 to 65535"),
        ("channel_max = 0", "w.conf:1: channel_max = 0: expected a number from 1 to 65535"),
        ("frame_max = 4096", "w.conf:1: frame_max = 4096: expected a number from 8192 to 1073741824"),
        ("management.tcp.port = -1", "w.conf:1: management.tcp.port = -1: expected a number from 0 to 65535"),
        ("data_dir =", "w.conf:1: data_dir = : expected a text"),
        ("log.level = loud", "w.conf:1: log.level = loud: expected debug, info, warning, error or critical"),
        ("event_loops = 4", "w.conf:1: event_loops = 4: expected 1"),
        ("listeners.tcp.default = h:x", "w.conf:1: listeners.tcp.default = h:x: expected a port, or host:port"),
        ("listeners.tcp.default = 70000", "w.conf:1: listeners.tcp.default = 70000: expected a port, or host:port"),
        (
            "loopback_users = some",
            "w.conf:1: loopback_users = some: expected none, or loopback_users.guest = true|false"
        ),
        (
            "cluster_formation.classic_config.nodes.0 = a@h",
            "w.conf:1: cluster_formation.classic_config.nodes.0 = a@h: expected name@host or name@host:port, and a "
                + "number from 1 behind 'nodes.'"
        ),
        (
            "cluster_formation.classic_config.nodes.1 = h:1",
            "w.conf:1: cluster_formation.classic_config.nodes.1 = h:1: expected name@host or name@host:port, and a "
                + "number from 1 behind 'nodes.'"
        ),
        (
            "node.name = x\ncluster_formation.classic_config.nodes.1 = a@h",
            "node.name = x: no "
                + "cluster_formation.classic_config.nodes.N has this name"
        ),
    ])
    func saysWhatIsAllowed(line: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) { try load(line) }
        #expect(error?.description == message)
    }

    @Test func namesTheKnownKeysAtAnUnknownOne() throws {
        let error = #expect(throws: ConfigurationError.self) { try load("", "hartbeat = 10") }
        let text = try #require(error?.description)
        #expect(text.hasPrefix("w.conf:2: unknown key 'hartbeat'; known keys: "))
        #expect(text.contains(", heartbeat, "))
        #expect(!text.contains("\n"))
    }
}
