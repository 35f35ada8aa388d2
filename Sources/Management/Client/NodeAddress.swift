/// Where a node's HTTP port is, as `--node` takes it: `http://host:port`, or `host:port`.
public struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without its brackets.
    public let host: String
    /// 15672 unless told.
    public let port: Int

    /// The port of RabbitMQ's management API.
    public static let defaultPort = 15_672

    /// Nil when the text is no such address.
    public init?(_ text: some StringProtocol) {
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            guard rest[..<scheme.lowerBound].lowercased() == "http" else { return nil }
            rest = rest[scheme.upperBound...]
        }
        while rest.last == "/" { rest = rest.dropLast() }
        guard !rest.contains(where: { $0 == "/" || $0.isWhitespace }) else { return nil }
        var port: Int? = NodeAddress.defaultPort
        let isBracketed = rest.first == "["
        if rest.last != "]", let colon = rest.lastIndex(of: ":") {
            // Several colons without brackets are an IPv6 address, or a mistake.
            guard isBracketed || rest.firstIndex(of: ":") == colon else { return nil }
            port = Int(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        if isBracketed {
            guard rest.last == "]" else { return nil }
            rest = rest.dropFirst().dropLast()
        }
        guard let port, (1...65_535).contains(port), !rest.isEmpty else { return nil }
        host = String(rest)
        self.port = port
    }

    /// Several, separated by commas. Nil when there is none, or one is none.
    public static func list(_ text: String) -> [NodeAddress]? {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { NodeAddress($0) }
        let addresses = parts.compactMap { $0 }
        return addresses.count == parts.count && !addresses.isEmpty ? addresses : nil
    }

    /// Host and port, as a `Host` header has them.
    public var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// As a URL.
    public var description: String { "http://\(authority)" }
}
