import AMQPClient

/// Where a node takes AMQP clients, and as whom to connect.
public struct BrokerAddress: Hashable, Sendable {
    /// Name or address.
    public var host: String
    /// TCP port.
    public var port: Int
    /// User for SASL PLAIN.
    public var user: String
    /// Password for SASL PLAIN.
    public var password: String
    /// Virtual host.
    public var virtualHost: String

    /// An address; all but the host have RabbitMQ's defaults.
    public init(
        host: String, port: Int = 5672, user: String = "guest", password: String = "guest", virtualHost: String = "/"
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.virtualHost = virtualHost
    }

    /// Reads `amqp://user:password@host:port/vhost`, every part but the host optional, or plain `host:port`.
    /// An empty virtual host is `/`, as most clients take it.
    ///
    /// - Throws: `invalidOption`.
    public init(parsing text: String) throws(BenchError) {
        self.init(host: "")
        var rest = text[...]
        if let scheme = rest.firstRange(of: "://") {
            switch rest[..<scheme.lowerBound] {
            case "amqp": break
            case "amqps": throw .unavailable("\(text): amqps is not available yet")
            default: throw .invalidOption("\(text): an address starts with amqp://")
            }
            rest = rest[scheme.upperBound...]
        }
        if let slash = rest.firstIndex(of: "/") {
            let path = try Self.decoded(rest[rest.index(after: slash)...], of: text)
            virtualHost = path.isEmpty ? "/" : path
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let login = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decoded(login[0], of: text)
            if login.count == 2 { password = try Self.decoded(login[1], of: text) }
            rest = rest[rest.index(after: at)...]
        }
        var name = rest
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("]") {
            guard let number = UInt16(rest[rest.index(after: colon)...]), number > 0 else {
                throw .invalidOption("\(text): a port is a number of 1 to 65535")
            }
            port = Int(number)
            name = rest[..<colon]
        }
        if name.first == "[" && name.last == "]" { name = name.dropFirst().dropLast() }
        guard !name.isEmpty else { throw .invalidOption("\(text): no host") }
        host = String(name)
    }

    /// Reads addresses with commas between them, at least one.
    ///
    /// - Throws: `invalidOption`.
    public static func list(parsing text: String) throws(BenchError) -> [BrokerAddress] {
        var addresses: [BrokerAddress] = []
        for part in text.split(separator: ",") { addresses.append(try BrokerAddress(parsing: String(part))) }
        guard !addresses.isEmpty else { throw .invalidOption("no address") }
        return addresses
    }

    /// Replaces `%XX`.
    private static func decoded(_ part: Substring, of text: String) throws(BenchError) -> String {
        var bytes: [UInt8] = []
        var units = part.utf8.makeIterator()
        while let unit = units.next() {
            guard unit == UInt8(ascii: "%") else {
                bytes.append(unit)
                continue
            }
            guard let high = units.next(), let low = units.next(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { throw .invalidOption("\(text): two hexadecimal digits follow a %") }
            bytes.append(value)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the client needs to connect there. `name` is what the server's management shows.
    func settings(name: String, connectTimeoutMilliseconds: Int64 = 5_000) -> ClientSettings {
        ClientSettings(
            host: host, port: port, user: user, password: password, virtualHost: virtualHost,
            connectTimeoutMilliseconds: connectTimeoutMilliseconds, name: name)
    }
}

extension BrokerAddress: CustomStringConvertible {
    /// `host:port`.
    public var description: String { "\(host):\(port)" }
}
