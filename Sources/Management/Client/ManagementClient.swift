import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// Why a node's management API did not do what was asked.
public enum ManagementFailure: Error, CustomStringConvertible {
    /// No node answered; one line for each with the reason.
    case unreachable([String])
    /// User or password are wrong, or the user is no management user.
    case unauthorized(NodeAddress)
    /// Another status than 2xx: the reason as the node gave it.
    case refused(status: Int, reason: String)
    /// The answer is not what the API says.
    case malformed(String)

    /// One line.
    public var description: String {
        switch self {
        case .unreachable(let reasons): "no node answers: " + reasons.joined(separator: "; ")
        case .unauthorized(let node): "\(node) refuses user or password"
        case .refused(let status, let reason): reason.isEmpty ? "refused with HTTP status \(status)" : reason
        case .malformed(let what): "unexpected answer: \(what)"
        }
    }
}

/// Speaks to the management API of the first node that answers, and stays with that node.
public actor ManagementClient {
    private var nodes: [NodeAddress]
    private let authorization: String
    /// One thread for all clients of the process.
    private static let loop: any EventLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()

    /// How long a node may take to answer a question, in milliseconds.
    public static let questionLimit: Int64 = 1_000
    /// How long a node may take to make a change, which may have to wait for an election, in milliseconds.
    public static let changeLimit: Int64 = 10_000

    /// - Parameter nodes: in the order in which they are asked; not empty.
    public init(nodes: [NodeAddress], user: String, password: String) {
        self.nodes = nodes
        authorization = "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    /// What a path holds.
    ///
    /// - Parameter query: behind the question mark, percent-encoded; empty for none.
    public func get(_ path: [String], query: String = "") async throws(ManagementFailure) -> JSON {
        try await ManagementClient.decode(getData(path, query: query))
    }

    /// What a path holds, as the node sent it.
    public func getData(_ path: [String], query: String = "") async throws(ManagementFailure) -> [UInt8] {
        try await ask(.GET, path, query: query, limit: ManagementClient.questionLimit)
    }

    /// Creates what a path names.
    public func put(_ path: [String], _ body: JSON) async throws(ManagementFailure) {
        _ = try await ask(.PUT, path, body: "\(body)", limit: ManagementClient.changeLimit)
    }

    /// Deletes what a path names.
    public func delete(_ path: [String]) async throws(ManagementFailure) {
        _ = try await ask(.DELETE, path, limit: ManagementClient.changeLimit)
    }

    /// Whether a health check passes; the reason when it does not.
    public func check(_ path: [String]) async throws(ManagementFailure) -> (isOk: Bool, reason: String) {
        do {
            _ = try await ask(.GET, ["health", "checks"] + path, limit: ManagementClient.questionLimit)
            return (true, "")
        } catch .refused(503, let reason) {
            return (false, reason)
        }
    }

    /// The ports on which the node that is asked should listen, ascending.
    public func listenerPorts() async throws(ManagementFailure) -> [Int64] {
        let overview = try await get(["overview"])
        var ports: Set<Int64> = []
        for listener in overview["listeners"]?.array ?? [] where listener["node"] == overview["node"] {
            if case .integer(let port)? = listener["port"] { ports.insert(port) }
        }
        return ports.sorted()
    }

    static func decode(_ bytes: [UInt8]) throws(ManagementFailure) -> JSON {
        do {
            return try JSONDecoder().decode(JSON.self, from: Data(bytes))
        } catch {
            throw .malformed("no JSON")
        }
    }

    private func ask(
        _ method: HTTPMethod, _ path: [String], query: String = "", body: String = "", limit: Int64
    ) async throws(ManagementFailure) -> [UInt8] {
        let exchange = HTTPExchange(
            method: method,
            path: "/api/" + path.map(\.escaped).joined(separator: "/") + (query.isEmpty ? "" : "?" + query),
            headers: ["authorization": authorization], body: body)
        var reasons: [String] = []
        while let node = nodes.first {
            let answer: HTTPAnswer
            do {
                answer = try await exchange.run(at: node, within: .milliseconds(limit), on: ManagementClient.loop)
            } catch {
                reasons.append("\(node): \(ManagementClient.reason(error))")
                nodes.removeFirst()
                continue
            }
            let bytes = [UInt8](answer.body.readableBytesView)
            switch answer.status {
            case 200..<300: return bytes
            case 401: throw .unauthorized(node)
            default: throw .refused(status: Int(answer.status), reason: ManagementClient.reason(in: bytes))
            }
        }
        throw .unreachable(reasons)
    }

    private static func reason(_ error: any Error) -> String {
        if let failure = error as? IOError { return String(cString: strerror(failure.errnoCode)).lowercased() }
        if let failure = error as? NIOConnectionError, let first = failure.connectionErrors.first {
            return reason(first.error)
        }
        if case ChannelError.connectTimeout? = error as? ChannelError { return "no connection in time" }
        return "\(error)"
    }

    /// The reason in a refusal: RabbitMQ's `reason`, or the framework's `error.message`.
    static func reason(in body: [UInt8]) -> String {
        guard let value = try? decode(body) else { return "" }
        return value["reason"]?.string ?? value["error"]?["message"]?.string ?? value["error"]?.string ?? ""
    }
}

extension String {
    /// Percent-encoded so that it is one part of a path.
    var escaped: String {
        addingPercentEncoding(withAllowedCharacters: .unreserved) ?? self
    }
}

extension CharacterSet {
    /// RFC 3986, 2.3.
    fileprivate static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
