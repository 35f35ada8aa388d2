import Foundation
import Hummingbird
import NIOCore
package import Topology

/// A request's circumstances: who asks, and from where.
struct ManagementContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Nil when the transport does not say.
    let peer: SocketAddress?
    /// Set by `BasicAuthentication`.
    var visitor = Visitor(name: "", tags: [])

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = source.channel.remoteAddress
    }

    var isLoopback: Bool {
        guard let address = peer?.ipAddress else { return false }
        return address == "::1" || address.hasPrefix("127.") || address.hasPrefix("::ffff:127.")
    }

    /// Members in order of their names, so that equal answers are equal texts.
    var responseEncoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    /// A part of the path, decoded.
    func part(_ name: String) throws -> String { try parameters.require(name).unescaped }
}

/// The user behind a request.
package struct Visitor: Hashable, Sendable {
    package var name: String
    /// RabbitMQ's: `administrator`, `monitoring`, `policymaker`, `management`.
    package var tags: [String]

    package init(name: String, tags: [String]) {
        self.name = name
        self.tags = tags
    }

    private static let entitled: Set<String> = ["administrator", "monitoring", "policymaker", "management"]

    /// Whether the tags let the user in at all.
    package var mayEnter: Bool { tags.contains { Visitor.entitled.contains($0) } }

    /// Whether the user sees every virtual host and everybody's connections.
    package var seesEverything: Bool { tags.contains { $0 == "administrator" || $0 == "monitoring" } }

    /// Whether the user sees what is in a virtual host.
    package func sees(vhost: String, in topology: Topology) -> Bool {
        seesEverything || topology.permissions(user: name, vhost: vhost) != nil
    }
}
