package import AMQP
import Primitives

/// What the two sides agreed on.
package struct ConnectionTuning: Hashable, Sendable {
    /// Bytes of a whole frame.
    package var frameMax: UInt32
    /// Highest channel number.
    package var channelMax: UInt16
    /// Seconds; 0 for none.
    package var heartbeat: UInt16
}

/// What a client says it can do.
package struct ClientCapabilities: Hashable, Sendable {
    /// It wants a `connection.close` when its credentials are refused.
    package var authenticationFailureClose = false
    /// It wants a `basic.cancel` when its consumer ends.
    package var consumerCancelNotify = false
    /// It wants to hear when the broker stops reading from it.
    package var connectionBlocked = false

    package init() {}

    package init(_ properties: FieldTable) {
        guard case .table(let table)? = properties["capabilities"] else { return }
        authenticationFailureClose = table["authentication_failure_close"]?.boolean ?? false
        consumerCancelNotify = table["consumer_cancel_notify"]?.boolean ?? false
        connectionBlocked = table["connection.blocked"]?.boolean ?? false
    }
}

/// The opening of a connection, from `connection.start` to `connection.open` (AMQP 0-9-1, section 2.2.4): a pure
/// machine.
package struct Handshake: Sendable {
    /// What to do next.
    package enum Action: Sendable {
        /// Check the credentials; then call `authenticated` or give up.
        case authenticate(user: String, password: [UInt8])
        /// Nothing until the client goes on.
        case tuned(ConnectionTuning)
        /// Check the virtual host and the permission to enter it; then the connection is open.
        case open(vhost: String)
    }

    private enum State: Sendable {
        case startOk
        case credentials
        case tuneOk
        case open
        case done
    }

    private var state = State.startOk
    private let offer: ConnectionTuning
    /// What the client said of itself.
    package private(set) var clientProperties = FieldTable()
    package private(set) var capabilities = ClientCapabilities()
    package private(set) var mechanism = ""

    package init(offer: ConnectionTuning) { self.offer = offer }

    /// Whether a `connection.close` makes sense to the client: RabbitMQ sends none before the credentials are accepted.
    package var mayExplain: Bool {
        switch state {
        case .startOk: false
        case .credentials: capabilities.authenticationFailureClose
        case .tuneOk, .open, .done: true
        }
    }

    /// The first method of the dialogue.
    package static func start(configuration: BrokerConfiguration) -> ConnectionStart {
        let capabilities: FieldTable = [
            "publisher_confirms": true, "exchange_exchange_bindings": true, "basic.nack": true,
            "consumer_cancel_notify": true, "connection.blocked": true, "consumer_priorities": true,
            "authentication_failure_close": true, "per_consumer_qos": true,
        ]
        let properties: FieldTable = [
            "capabilities": .table(capabilities),
            "cluster_name": .string(configuration.clusterName),
            "copyright": "",
            "information": "",
            "platform": "Swift",
            "product": .string(configuration.product),
            "version": .string(configuration.version),
        ]
        return ConnectionStart(
            versionMajor: 0, versionMinor: 9, serverProperties: properties, mechanisms: Bytes("PLAIN AMQPLAIN"),
            locales: Bytes("en_US"))
    }

    /// Takes the next method of channel 0.
    ///
    /// - Throws: 503 for a method out of turn, 403 for credentials that cannot be read, 530 for values out of range.
    package mutating func receive(_ method: Method) throws(AMQPError) -> Action {
        switch (state, method) {
        case (.startOk, .connectionStartOk(let startOk)):
            clientProperties = startOk.clientProperties
            capabilities = ClientCapabilities(startOk.clientProperties)
            mechanism = startOk.mechanism
            state = .credentials
            let (user, password) = try Handshake.credentials(startOk)
            return .authenticate(user: user, password: password)
        case (.tuneOk, .connectionTuneOk(let tuneOk)):
            let tuning = try tune(tuneOk)
            state = .open
            return .tuned(tuning)
        case (.open, .connectionOpen(let open)):
            state = .done
            return .open(vhost: open.virtualHost)
        default:
            throw AMQPError(.commandInvalid, "unexpected method during connection negotiation", method: method.id)
        }
    }

    /// The credentials hold: gives the offer.
    package mutating func authenticated() -> ConnectionTune {
        state = .tuneOk
        return ConnectionTune(channelMax: offer.channelMax, frameMax: offer.frameMax, heartbeat: offer.heartbeat)
    }

    private func tune(_ answer: ConnectionTuneOk) throws(AMQPError) -> ConnectionTuning {
        func refuse(_ text: String) -> AMQPError { AMQPError(.notAllowed, text, method: ConnectionTuneOk.id) }
        if answer.frameMax != 0 && answer.frameMax < FrameFormat.minimumMaximumSize {
            throw refuse("frame_max=\(answer.frameMax) is below the minimum (\(FrameFormat.minimumMaximumSize))")
        }
        if answer.frameMax > offer.frameMax {
            throw refuse("frame_max=\(answer.frameMax) is above the offered \(offer.frameMax)")
        }
        if answer.channelMax > offer.channelMax {
            throw refuse("channel_max=\(answer.channelMax) is above the offered \(offer.channelMax)")
        }
        return ConnectionTuning(
            frameMax: answer.frameMax == 0 ? offer.frameMax : answer.frameMax,
            channelMax: answer.channelMax == 0 ? offer.channelMax : answer.channelMax, heartbeat: answer.heartbeat)
    }

    // MARK: SASL

    private static func credentials(_ startOk: ConnectionStartOk) throws(AMQPError) -> (String, [UInt8]) {
        switch startOk.mechanism {
        case "PLAIN": return try plain(startOk.response.toArray())
        case "AMQPLAIN": return try amqplain(startOk.response)
        default:
            throw AMQPError(
                .accessRefused, "unsupported authentication mechanism '\(startOk.mechanism)'",
                method: ConnectionStartOk.id, scope: .connection)
        }
    }

    /// RFC 4616: authorization identity, NUL, user, NUL, password.
    private static func plain(_ response: [UInt8]) throws(AMQPError) -> (String, [UInt8]) {
        guard let first = response.firstIndex(of: 0),
            let second = response[(first + 1)...].firstIndex(of: 0),
            let user = String(validating: response[(first + 1)..<second], as: UTF8.self)
        else { throw unreadable("PLAIN") }
        return (user, Array(response[(second + 1)...]))
    }

    /// RabbitMQ's own: the fields of a table without its length word.
    private static func amqplain(_ response: Bytes) throws(AMQPError) -> (String, [UInt8]) {
        var writer = ByteWriter(capacity: response.count + 4)
        writer.writeBigEndian(UInt32(response.count))
        writer.write(response)
        let table = writer.withUnsafeBytes { buffer -> FieldTable? in
            var reader = ByteReader(buffer)
            return try? reader.readFieldTable()
        }
        guard let user = table?["LOGIN"]?.text, let password = table?["PASSWORD"] else { throw unreadable("AMQPLAIN") }
        switch password {
        case .string(let text): return (user, Array(text.utf8))
        case .illFormedString(let bytes), .bytes(let bytes): return (user, bytes.toArray())
        default: throw unreadable("AMQPLAIN")
        }
    }

    private static func unreadable(_ mechanism: String) -> AMQPError {
        AMQPError(
            .accessRefused, "invalid \(mechanism) response", method: ConnectionStartOk.id, scope: .connection)
    }
}
