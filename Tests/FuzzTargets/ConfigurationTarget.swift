import Broker
import Primitives

extension FuzzTarget {
    /// The text of a configuration file; its last byte stands for the machine's memory.
    static let configuration = FuzzTarget(
        name: "configuration", maximumLength: 1_024, seeds: ConfigurationInput.seeds
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        if let setting = try? ConfigurationFile.argument(text) { _ = try? ServerConfiguration([setting]) }
        guard let settings = try? ConfigurationFile.parse(text, name: "warren.conf") else { return }
        for setting in settings { promise(!setting.key.isEmpty, "a setting has a key") }
        guard var configuration = try? ServerConfiguration(settings) else { return }
        promise((try? configuration.ownNode()) != nil, "a configuration that is accepted knows its own node")
        configuration.resolveLimits(memory: input.last == 0 ? .max : UInt64(input.last ?? 1) << 28)
    }
}

private enum ConfigurationInput {
    @Sendable static func seeds() -> [[UInt8]] {
        let values = [
            "5672", "127.0.0.1:5672", "[::1]:5672", "0.4", "2GB", "1000", "true", "guest", "info", "none", "1",
            "drop", "'a quoted value'", "warren@127.0.0.2:25672", "18446744073709551615", "1e300",
        ]
        let lines = ServerConfiguration.keys.flatMap { key in values.map { "\(key) = \($0)" } }
        let accepted = lines.filter { line in
            guard let settings = try? ConfigurationFile.parse(line, name: "seed") else { return false }
            return (try? ServerConfiguration(settings)) != nil
        }
        let whole = """
            # three nodes\r
            node.name = a
            cluster_formation.classic_config.nodes.1 = a@127.0.0.1
            cluster_formation.classic_config.nodes.2 = b@[::1]:25673
            cluster.secret = "sesame"
            listeners.tcp.default = 5673 # a comment
            vm_memory_high_watermark.absolute = 512MiB
            disk_free_limit.relative = 1.5
            """
        return (accepted + ["no setting", "= 1", "unknown.key = 1", whole]).map { Array($0.utf8) }
    }
}
