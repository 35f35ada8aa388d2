import AMQP
import Broker
import Hummingbird
import NIOCore
import Topology

/// Refusals as RabbitMQ writes them: `{"error": "Object Not Found", "reason": "Not Found"}`.
struct Refusals: RouterMiddleware {
    private struct Body: ResponseEncodable {
        var error: String
        var reason: String
    }

    func handle(
        _ request: Request, context: ManagementContext,
        next: (Request, ManagementContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as HTTPError {
            return try refuse(error.status, error.body, error.headers, request, context)
        } catch let error as AMQPError {
            return try refuse(.badRequest, error.replyText, [:], request, context)
        } catch ProposeFailure.unavailable {
            return try refuse(
                .serviceUnavailable, "the cluster's metadata has no leader, or it did not answer in time", [:],
                request, context)
        } catch is NodeView.Timeout {
            return try refuse(.serviceUnavailable, "the queue did not answer in time", [:], request, context)
        }
    }

    private func refuse(
        _ status: HTTPResponse.Status, _ reason: String?, _ headers: HTTPFields, _ request: Request,
        _ context: ManagementContext
    ) throws -> Response {
        let body = Body(error: Refusals.word(status), reason: reason ?? status.reasonPhrase)
        var response = try context.responseEncoder.encode(body, from: request, context: context)
        response.status = status
        for field in headers { response.headers[field.name] = field.value }
        return response
    }

    private static func word(_ status: HTTPResponse.Status) -> String {
        switch status {
        case .unauthorized: "not_authorized"
        case .notFound: "Object Not Found"
        case .badRequest: "bad_request"
        case .serviceUnavailable: "unavailable"
        default: status.reasonPhrase
        }
    }

    /// What the user's permissions do not allow; RabbitMQ says 401 here.
    static var accessRefused: HTTPError { HTTPError(.unauthorized, message: "Access refused.") }
}

extension TopologyOutcome {
    /// Nothing when the change was made.
    ///
    /// - Throws: why it was not.
    func check() throws {
        switch self {
        case .done, .queue, .exchange: return
        case .notFound: throw HTTPError(.notFound)
        case .inequivalent(let difference): throw HTTPError(.badRequest, message: difference.description)
        case .inUse(let resource): throw HTTPError(.badRequest, message: "\(resource) in use")
        case .locked(let resource):
            throw HTTPError(.badRequest, message: "cannot obtain exclusive access to locked \(resource)")
        case .invalid(let reason): throw HTTPError(.badRequest, message: reason)
        case .stale, .unsupported: throw HTTPError(.serviceUnavailable, message: "the node is not up to date")
        }
    }
}
