import Broker
import Foundation
import Logging
import PeerLink

extension ServerConfiguration {
    /// The settings of the file, then of the environment, then of the command line.
    static func load(file: String?, overrides: [String]) throws -> ServerConfiguration {
        var settings: [Setting] = []
        if let file {
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
                throw ConfigurationError("\(file): cannot be read")
            }
            settings += try ConfigurationFile.parse(text, name: file)
        }
        settings += ConfigurationFile.environment(
            ProcessInfo.processInfo.environment, keys: ServerConfiguration.keys)
        for override in overrides { settings.append(try ConfigurationFile.argument(override)) }
        return try ServerConfiguration(settings)
    }

    /// The secret that peers prove to each other. A single node needs none and makes one up.
    func peerSecret() throws -> PeerSecret {
        var text = secret
        if let secretFile {
            guard let content = try? String(contentsOfFile: secretFile, encoding: .utf8) else {
                throw ConfigurationError("cluster.secret_file = \(secretFile): cannot be read")
            }
            text = content.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        if text == nil && nodes.count == 1 { text = "\(UInt64.random(in: .min ... .max))" }
        guard let text, let secret = PeerSecret(text) else {
            throw ConfigurationError(
                "cluster.secret or cluster.secret_file: a cluster of several nodes needs a shared secret")
        }
        return secret
    }
}

extension ConfiguredNode {
    var peerAddress: PeerAddress { PeerAddress(host: address.host, port: UInt16(clamping: address.port)) }
}

extension Logger {
    /// Lines on standard error at the configured level.
    static func forServer(_ configuration: ServerConfiguration) -> Logger {
        var logger = Logger(label: configuration.nodeName) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = Logger.Level(rawValue: configuration.logLevel) ?? .info
        return logger
    }
}
