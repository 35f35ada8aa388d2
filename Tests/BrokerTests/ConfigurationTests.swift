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

    @Test func aClusterHasSevenNodesAtMost() throws {
        func settings(_ count: Int) -> [Setting] {
            (1...count).map {
                Setting(
                    key: "cluster_formation.classic_config.nodes.\($0)", value: $0 == 1 ? "warren@h" : "n\($0)@h",
                    origin: "w.conf:\($0)")
            }
        }
        #expect(try ServerConfiguration(settings(7)).nodes.count == 7)
        let error = #expect(throws: ConfigurationError.self) { try ServerConfiguration(settings(8)) }
        #expect(error?.description.contains("8 nodes; a cluster has at most 7") == true)
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

    @Test(arguments: [
        ("vm_memory_high_watermark = 0.4", 400_000), ("vm_memory_high_watermark.relative = 0.25", 250_000),
        ("vm_memory_high_watermark.absolute = 10kB", 10_000), ("vm_memory_high_watermark.relative = 0", 0),
        // The memory that there is bounds an absolute limit.
        ("vm_memory_high_watermark.absolute = 2GB", 1_000_000),
        ("vm_memory_high_watermark.relative = 0.5\nvm_memory_high_watermark.absolute = 1kB", 1_000),
        ("vm_memory_high_watermark.absolute = 1kB\nvm_memory_high_watermark.relative = 0.5", 500_000), ("", 600_000),
    ])
    func takesMemoryLimits(text: String, bytes: UInt64) throws {
        var configuration = try load(text)
        configuration.resolveLimits(memory: 1_000_000)
        #expect(configuration.broker.resourceLimits.memory == bytes)
    }

    @Test(arguments: [
        ("", 50_000_000), ("disk_free_limit.absolute = 123", 123), ("disk_free_limit.absolute = 1GB", 1_000_000_000),
        ("disk_free_limit.relative = 1.5", 1_500_000),
    ])
    func takesDiskLimits(text: String, bytes: UInt64) throws {
        var configuration = try load(text)
        configuration.resolveLimits(memory: 1_000_000)
        #expect(configuration.broker.resourceLimits.diskFree == bytes)
    }

    @Test(arguments: [
        ("7", 7), ("7k", 7_000), ("7K", 7_000), ("7kB", 7_000), ("7Ki", 7_168), ("7kiB", 7_168), ("7KIB", 7_168),
        ("2M", 2_000_000), ("2MB", 2_000_000), ("2MiB", 2_097_152), ("2 mib", 2_097_152), ("3G", 3_000_000_000),
        ("3GiB", 3_221_225_472), ("4TB", 4_000_000_000_000), ("4Ti", 4_398_046_511_104),
        ("5PiB", 5_629_499_534_213_120),
    ])
    func readsUnits(text: String, bytes: UInt64) throws {
        #expect(try load("disk_free_limit.absolute = \(text)").diskFreeLimit == .absolute(bytes))
    }

    @Test(arguments: [
        "", "MB", "-1", "1.5GB", "1XB", "1kBB", "1iB", "1B", "18446744073709551616", "18446744073709551615kB", "٣",
    ])
    func refusesWhatIsNoNumberOfBytes(text: String) {
        let error = #expect(throws: ConfigurationError.self) { try load("", "disk_free_limit.absolute = \(text)") }
        #expect(
            error?.description == "w.conf:2: disk_free_limit.absolute = \(text): expected bytes, or a number with kB, "
                + "KiB, MB, MiB, GB, GiB, TB, TiB, PB or PiB")
    }

    @Test func takesTheScrubsPace() throws {
        let configuration = try load("scrub_interval = 1500", "scrub_rate = 2MiB")
        #expect(configuration.scrubInterval == .milliseconds(1_500) && configuration.scrubRate == 2 << 20)
        #expect(try load("scrub_interval = 0").scrubInterval == .zero)
    }

    @Test func keepsTheCacheWithinTheMemoryLimit() throws {
        func cache(_ limit: String) throws -> Int {
            var configuration = try load("vm_memory_high_watermark.absolute = \(limit)")
            configuration.resolveLimits(memory: 1 << 40)
            return configuration.broker.resourceLimits.entryCache(preferred: 64 << 20)
        }
        #expect(try cache("100GB") == 64 << 20)
        #expect(try cache("256MiB") == 64 << 20)
        #expect(try cache("200MiB") == 50 << 20)
        // One entry of full size has to fit.
        #expect(try cache("0") == 1 << 20)
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
        ("max_message_size = 0", "w.conf:1: max_message_size = 0: expected a number from 1 to 104857600"),
        (
            "max_message_size = 104857601",
            "w.conf:1: max_message_size = 104857601: expected a number from 1 to 104857600"
        ),
        ("management.tcp.port = -1", "w.conf:1: management.tcp.port = -1: expected a number from 0 to 65535"),
        ("scrub_interval = -1", "w.conf:1: scrub_interval = -1: expected milliseconds, 0 for never"),
        (
            "consumer_disconnected_timeout = 18446744073709551615",
            "w.conf:1: consumer_disconnected_timeout = 18446744073709551615: expected milliseconds, from 1"
        ),
        ("scrub_rate = 1kB", "w.conf:1: scrub_rate = 1kB: expected bytes a second, 64KiB at least"),
        ("data_dir =", "w.conf:1: data_dir = : expected a text"),
        ("log.level = loud", "w.conf:1: log.level = loud: expected debug, info, warning, error or critical"),
        (
            "vm_memory_high_watermark = 1.1",
            "w.conf:1: vm_memory_high_watermark = 1.1: expected a number from 0 to 1, times the memory"
        ),
        (
            "vm_memory_high_watermark.relative = nan",
            "w.conf:1: vm_memory_high_watermark.relative = nan: expected a number from 0 to 1, times the memory"
        ),
        (
            "disk_free_limit.relative = -1",
            "w.conf:1: disk_free_limit.relative = -1: expected a number from 0 to 1000, times the memory"
        ),
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
