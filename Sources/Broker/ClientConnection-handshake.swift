import AMQP
import Logging
import Primitives
import Topology

/// From `connection.start` to `connection.open`: what the handshake machine leaves to be checked.
extension ClientConnection {
    func takeHandshake(_ method: Method) throws(AMQPError) {
        if case .connectionClose = method {
            send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
            finish()
            return
        }
        switch try handshake.receive(method) {
        case .authenticate(let name, let password): try authenticate(name, password)
        case .tuned(let tuned):
            tuning = tuned
            parser.maximumFrameSize = tuned.frameMax
        case .open(let vhost): try open(vhost)
        }
    }

    private func authenticate(_ name: String, _ password: [UInt8]) throws(AMQPError) {
        guard let record = broker.node.topology.authenticate(user: name, password: password) else {
            throw refusal(
                "Login was refused using authentication mechanism \(handshake.mechanism). "
                    + "For details see the broker logfile.", user: name, "wrong user or password")
        }
        guard endpoints.isLoopback || !broker.configuration.loopbackUsers.contains(name) else {
            throw refusal(
                "Login was refused using authentication mechanism \(handshake.mechanism). "
                    + "For details see the broker logfile.", user: name, "user may only connect via loopback")
        }
        user = name
        isImpersonator = record.tags.contains("impersonator")
        send(.connectionTune(handshake.authenticated()), channel: 0)
    }

    private func refusal(_ text: String, user: String, _ reason: String) -> AMQPError {
        broker.logger.warning(
            "login refused: \(reason)", metadata: ["connection": "\(endpoints.name)", "user": "\(user)"])
        return AMQPError(.accessRefused, text, scope: .connection)
    }

    private func open(_ name: String) throws(AMQPError) {
        let topology = broker.node.topology
        guard topology.virtualHost(name) != nil else {
            throw AMQPError(.notAllowed, "vhost \(name) not found", method: ConnectionOpen.id)
        }
        guard topology.permissions(user: user, vhost: name) != nil else {
            throw AMQPError(
                .notAllowed, "access to vhost '\(name)' refused for user '\(user)'", method: ConnectionOpen.id)
        }
        vhost = name
        stage = .open
        send(.connectionOpenOk(ConnectionOpenOk()), channel: 0)
        broker.logger.info(
            "connection open",
            metadata: ["connection": "\(endpoints.name)", "user": "\(user)", "vhost": "\(vhost)"])
    }
}
