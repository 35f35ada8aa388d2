import Broker
import Foundation
import Hummingbird
import Topology

/// HTTP Basic authentication (RFC 7617) by the cluster's users; any of RabbitMQ's management tags lets a user in.
struct BasicAuthentication: RouterMiddleware {
    let view: NodeView

    func handle(
        _ request: Request, context: ManagementContext,
        next: (Request, ManagementContext) async throws -> Response
    ) async throws -> Response {
        guard let credentials = BasicCredentials(request.headers[.authorization]) else {
            throw BasicAuthentication.refusal("Login failed")
        }
        let isLoopback = context.isLoopback
        let user = try await view.look { broker -> UserRecord? in
            let loopbackUsers = broker.loop?.loopbackUsers ?? []
            guard isLoopback || !loopbackUsers.contains(credentials.name) else { return nil }
            return broker.topology.authenticate(user: credentials.name, password: credentials.password)
        }
        guard let user else { throw BasicAuthentication.refusal("Login failed") }
        var context = context
        context.visitor = Visitor(name: user.name, tags: user.tags)
        guard context.visitor.mayEnter else { throw BasicAuthentication.refusal("Not management user") }
        return try await next(request, context)
    }

    private static func refusal(_ reason: String) -> HTTPError {
        HTTPError(.unauthorized, headers: [.wwwAuthenticate: "Basic realm=\"RabbitMQ Management\""], message: reason)
    }
}

/// Name and password of an `Authorization` header.
package struct BasicCredentials: Hashable, Sendable {
    package var name: String
    package var password: [UInt8]

    /// Nil when the header is no Basic one, or none that decodes.
    package init?(_ header: String?) {
        guard let header, let space = header.firstIndex(of: " "), header[..<space].lowercased() == "basic",
            let data = Data(base64Encoded: header[space...].trimmingCharacters(in: .whitespaces)),
            let colon = data.firstIndex(of: UInt8(ascii: ":")),
            let name = String(bytes: data[..<colon], encoding: .utf8)
        else { return nil }
        self.name = name
        password = [UInt8](data[data.index(after: colon)...])
    }
}
