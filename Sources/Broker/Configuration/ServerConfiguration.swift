public import Primitives
public import Replication

/// A host and a port, as in `listeners.tcp.default`.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// Numeric, or a name to resolve.
    public var host: String
    /// 0...65,535.
    public var port: Int

    /// Names a place.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, an IPv6 host in brackets.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A node of `cluster_formation.classic_config.nodes`.
public struct ConfiguredNode: Hashable, Sendable {
    /// The `N` of `nodes.N`.
    public var id: NodeID
    /// What stands before the `@`.
    public var name: String
    /// Where the node listens for its peers.
    public var address: ListenAddress
}

/// Everything a server is told at start: RabbitMQ's keys where RabbitMQ has the key.
public struct ServerConfiguration: Sendable {
    /// This node's name; one of `nodes` has it.
    public var nodeName = "warren"
    /// `data_dir`: where the node log lives.
    public var dataDirectory = "/var/lib/warren"
    /// `cluster_name`: for people.
    public var clusterName = "warren"
    /// `listeners.tcp.default`.
    public var amqp = ListenAddress(host: "0.0.0.0", port: 5672)
    /// `management.tcp.ip` and `management.tcp.port`.
    public var management = ListenAddress(host: "0.0.0.0", port: 15_672)
    /// Sorted by number; a single node when nothing is configured.
    public var nodes: [ConfiguredNode] = []
    /// `cluster.secret`: what the nodes prove to each other.
    public var secret: String?
    /// `cluster.secret_file`: the file that holds it.
    public var secretFile: String?
    /// `default_user`: the first user of a new cluster.
    public var defaultUser = "guest"
    /// `default_pass`.
    public var defaultPassword = "guest"
    /// `default_vhost`.
    public var defaultVirtualHost = "/"
    /// `log.level`: debug, info, warning, error or critical.
    public var logLevel = "info"
    /// `vm_memory_high_watermark`: resident memory at which publishers have to wait.
    public var memoryWatermark = ResourceLimit.relative(0.6)
    /// `disk_free_limit`: free disk space at which publishers have to wait.
    public var diskFreeLimit = ResourceLimit.absolute(50_000_000)
    /// `scrub_interval`: from one background pass over the store's cold segments to the next; zero for never.
    public var scrubInterval = Interval.seconds(24 * 3_600)
    /// `scrub_rate`: bytes that it reads a second.
    public var scrubRate = 8 << 20
    /// Limits of the AMQP front door.
    public var broker = BrokerConfiguration()
    /// Timing and bounds of replication.
    public var shard = ShardConfiguration()

    /// The defaults.
    public init() {}

    /// The node that this server is.
    ///
    /// - Throws: when no configured node has this node's name.
    public func ownNode() throws(ConfigurationError) -> ConfiguredNode {
        guard let own = nodes.first(where: { $0.name == nodeName }) else {
            throw ConfigurationError(
                "node.name = \(nodeName): no cluster_formation.classic_config.nodes.N has this name")
        }
        return own
    }

    /// Applies settings in order; a later one overrides an earlier one.
    ///
    /// - Throws: for an unknown key or a bad value.
    public init(_ settings: [Setting]) throws(ConfigurationError) {
        for setting in settings { try apply(setting) }
        if nodes.isEmpty {
            nodes = [
                ConfiguredNode(id: NodeID(1), name: nodeName, address: ListenAddress(host: "127.0.0.1", port: 25_672))
            ]
        }
        guard nodes.count <= GroupDescriptor.voterLimit else {
            throw ConfigurationError(
                "\(ServerConfiguration.nodePrefix)N: \(nodes.count) nodes; a cluster has at most "
                    + "\(GroupDescriptor.voterLimit), as each votes on its metadata")
        }
        nodes.sort { $0.id < $1.id }
        _ = try ownNode()
        broker.clusterName = clusterName
    }

    /// Turns the memory and disk limits into bytes, and keeps the cache of recent entries within the memory limit.
    ///
    /// - Parameter memory: bytes available to the process; a higher memory limit is lowered to them.
    public mutating func resolveLimits(memory: UInt64) {
        let limits = ResourceLimits(
            memory: min(memoryWatermark.bytes(memory: memory), memory),
            diskFree: diskFreeLimit.bytes(memory: memory))
        broker.resourceLimits = limits
        shard.cacheLimit = limits.entryCache(preferred: shard.cacheLimit)
    }

    private static let nodePrefix = "cluster_formation.classic_config.nodes."

    /// The keys that can stand in a file, `--set` and the environment; `nodes.N` besides.
    public static var keys: [String] {
        table.keys.sorted() + (1...9).map { nodePrefix + "\($0)" }
    }

    private mutating func apply(_ setting: Setting) throws(ConfigurationError) {
        if setting.key.hasPrefix(ServerConfiguration.nodePrefix) {
            try addNode(setting)
            return
        }
        guard let parse = ServerConfiguration.table[setting.key] else {
            throw ConfigurationError(
                "\(setting.origin): unknown key '\(setting.key)'; known keys: "
                    + ServerConfiguration.table.keys.sorted().joined(separator: ", ") + ", "
                    + ServerConfiguration.nodePrefix + "N")
        }
        if let allowed = parse(&self, setting.value) {
            throw ConfigurationError("\(setting.origin): \(setting.key) = \(setting.value): expected \(allowed)")
        }
    }

    private mutating func addNode(_ setting: Setting) throws(ConfigurationError) {
        let number = setting.key.dropFirst(ServerConfiguration.nodePrefix.count)
        let parts = setting.value.split(separator: "@", maxSplits: 1)
        guard let id = UInt16(number), id > 0, parts.count == 2,
            let address = ServerConfiguration.address(String(parts[1]), defaultPort: 25_672)
        else {
            throw ConfigurationError(
                "\(setting.origin): \(setting.key) = \(setting.value): expected name@host or name@host:port, and a "
                    + "number from 1 behind 'nodes.'")
        }
        nodes.removeAll { $0.id == NodeID(id) }
        nodes.append(ConfiguredNode(id: NodeID(id), name: String(parts[0]), address: address))
    }

    /// Takes a value; returns what is allowed when it is not.
    private typealias Parser = @Sendable (inout ServerConfiguration, String) -> String?

    private static let table: [String: Parser] = [
        "node.name": text(\.nodeName),
        "data_dir": text(\.dataDirectory),
        "cluster_name": text(\.clusterName),
        "cluster.secret": {
            $0.secret = $1; return $1.isEmpty ? "a secret" : nil
        },
        "cluster.secret_file": {
            $0.secretFile = $1; return $1.isEmpty ? "a file" : nil
        },
        "listeners.tcp.default": { configuration, value in
            guard let address = address(value, defaultHost: "0.0.0.0") else { return "a port, or host:port" }
            configuration.amqp = address
            return nil
        },
        "management.tcp.port": number(\.management.port, 0...65_535),
        "management.tcp.ip": text(\.management.host),
        "default_user": text(\.defaultUser),
        "default_pass": text(\.defaultPassword),
        "default_vhost": text(\.defaultVirtualHost),
        "heartbeat": number(\.broker.heartbeatSeconds, 0...65_535),
        "channel_max": number(\.broker.channelMax, 1...65_535),
        "frame_max": number(\.broker.frameMax, 8_192...(1 << 30)),
        "max_message_size": number(\.broker.maxMessageSize, 1...(100 << 20)),
        "max_connections": number(\.broker.connectionLimit, 1...1_000_000),
        "vm_memory_high_watermark": fraction(\.memoryWatermark, upTo: 1),
        "vm_memory_high_watermark.relative": fraction(\.memoryWatermark, upTo: 1),
        "vm_memory_high_watermark.absolute": bytes(\.memoryWatermark),
        "disk_free_limit.relative": fraction(\.diskFreeLimit, upTo: 1_000),
        "disk_free_limit.absolute": bytes(\.diskFreeLimit),
        "log.level": { configuration, value in
            guard ["debug", "info", "warning", "error", "critical"].contains(value) else {
                return "debug, info, warning, error or critical"
            }
            configuration.logLevel = value
            return nil
        },
        "event_loops": { $1 == "1" ? nil : "1" },
        "consumer_disconnected_timeout": milliseconds(\.shard.sessionExpiry, from: 1),
        "scrub_interval": milliseconds(\.scrubInterval, from: 0),
        "scrub_rate": { configuration, value in
            guard case .absolute(let bytes) = ResourceLimit.absolute(value), 1 << 16...1 << 40 ~= bytes else {
                return "bytes a second, 64KiB at least"
            }
            configuration.scrubRate = Int(bytes)
            return nil
        },
        "loopback_users.guest": { configuration, value in
            switch value {
            case "true": configuration.broker.loopbackUsers.insert("guest")
            case "false": configuration.broker.loopbackUsers.remove("guest")
            default: return "true or false"
            }
            return nil
        },
        "test.sabotage": { configuration, value in
            guard let kind = SabotageKind(rawValue: value) else { return "drop, duplicate or swap" }
            configuration.broker.sabotage = kind
            return nil
        },
        "loopback_users": { configuration, value in
            guard value == "none" else { return "none, or loopback_users.guest = true|false" }
            configuration.broker.loopbackUsers = []
            return nil
        },
    ]

    private static func text(_ path: any WritableKeyPath<ServerConfiguration, String> & Sendable) -> Parser {
        { configuration, value in
            guard !value.isEmpty else { return "a text" }
            configuration[keyPath: path] = value
            return nil
        }
    }

    private static func number<T: FixedWidthInteger & Sendable>(
        _ path: any WritableKeyPath<ServerConfiguration, T> & Sendable, _ range: ClosedRange<Int>
    ) -> Parser {
        { configuration, value in
            guard let number = Int(value), range.contains(number), let fitting = T(exactly: number) else {
                return "a number from \(range.lowerBound) to \(range.upperBound)"
            }
            configuration[keyPath: path] = fitting
            return nil
        }
    }

    /// Up to 34 years, which sums of times still hold.
    private static func milliseconds(
        _ path: any WritableKeyPath<ServerConfiguration, Interval> & Sendable, from least: UInt64
    ) -> Parser {
        { configuration, value in
            guard let milliseconds = UInt64(value), least...1 << 40 ~= milliseconds else {
                return least == 0 ? "milliseconds, 0 for never" : "milliseconds, from \(least)"
            }
            configuration[keyPath: path] = .milliseconds(milliseconds)
            return nil
        }
    }

    private typealias LimitPath = any WritableKeyPath<ServerConfiguration, ResourceLimit> & Sendable

    private static func fraction(_ path: LimitPath, upTo limit: Double) -> Parser {
        { configuration, value in
            guard let parsed = ResourceLimit.relative(value, upTo: limit) else {
                return "a number from 0 to \(Int(limit)), times the memory"
            }
            configuration[keyPath: path] = parsed
            return nil
        }
    }

    private static func bytes(_ path: LimitPath) -> Parser {
        { configuration, value in
            guard let parsed = ResourceLimit.absolute(value) else {
                return "bytes, or a number with kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB or PiB"
            }
            configuration[keyPath: path] = parsed
            return nil
        }
    }

    /// `host:port`, `[v6]:port`, a port alone when there is a default host, a host alone when there is a default port.
    static func address(_ text: String, defaultHost: String? = nil, defaultPort: Int? = nil) -> ListenAddress? {
        if let defaultHost, let port = Int(text), (0...65_535).contains(port) {
            return ListenAddress(host: defaultHost, port: port)
        }
        let hasPort = text.last != "]" && text.contains(":") && (text.first == "[" || text.count { $0 == ":" } == 1)
        guard hasPort, let colon = text.lastIndex(of: ":") else {
            guard let defaultPort, !text.isEmpty else { return nil }
            return ListenAddress(host: text.filter { $0 != "[" && $0 != "]" }, port: defaultPort)
        }
        guard let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port), colon > text.startIndex
        else { return nil }
        return ListenAddress(host: text[..<colon].filter { $0 != "[" && $0 != "]" }, port: port)
    }
}
