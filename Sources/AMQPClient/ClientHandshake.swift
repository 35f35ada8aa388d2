package import AMQP
import Primitives

/// The client's side of connection negotiation, as a pure machine: a method in, methods out.
package struct ClientHandshake: Sendable {
    private enum State {
        case awaitingStart
        case awaitingTune
        case awaitingOpen
        case done
    }

    /// What the two sides agreed on.
    package struct Agreement: Hashable, Sendable {
        /// Highest channel number.
        package var channelMax: UInt16 = .max
        /// Octets of a whole frame; never 0.
        package var frameMax: UInt32 = FrameFormat.minimumMaximumSize
        /// Seconds, 0 for none.
        package var heartbeat: UInt16 = 0
        /// What the server said of itself.
        package var serverProperties = FieldTable()
    }

    private var state = State.awaitingStart
    private let settings: ClientSettings
    /// Complete once `isDone`.
    package private(set) var agreement = Agreement()

    package init(settings: ClientSettings) { self.settings = settings }

    /// Channels may be opened.
    package var isDone: Bool { state == .done }

    /// Takes a method of channel 0 and returns the methods to send.
    ///
    /// - Throws: `refused` when the server closes, `protocolViolation` for a method out of order.
    package mutating func receive(_ method: Method) throws(ClientError) -> [Method] {
        switch (state, method) {
        case (.awaitingStart, .connectionStart(let start)):
            agreement.serverProperties = start.serverProperties
            let mechanisms = String(decoding: start.mechanisms).split(separator: " ")
            guard mechanisms.contains("PLAIN") else {
                throw .refused(
                    CloseReason(code: 403, text: "the server does not offer PLAIN", method: ConnectionStart.id))
            }
            state = .awaitingTune
            return [.connectionStartOk(startOk)]
        case (.awaitingTune, .connectionTune(let tune)):
            agreement.channelMax = tune.channelMax == 0 ? .max : tune.channelMax
            agreement.frameMax = tune.frameMax == 0 ? settings.frameMax : min(tune.frameMax, settings.frameMax)
            agreement.heartbeat =
                tune.heartbeat == 0 ? settings.heartbeat : min(tune.heartbeat, settings.heartbeat)
            state = .awaitingOpen
            return [
                .connectionTuneOk(
                    ConnectionTuneOk(
                        channelMax: agreement.channelMax, frameMax: agreement.frameMax,
                        heartbeat: agreement.heartbeat)),
                .connectionOpen(ConnectionOpen(virtualHost: settings.virtualHost)),
            ]
        case (.awaitingOpen, .connectionOpenOk):
            state = .done
            return []
        case (_, .connectionClose(let close)):
            throw .refused(CloseReason(close))
        default:
            throw .protocolViolation(
                AMQPError(.commandInvalid, "\(method.name) during the handshake", method: method.id))
        }
    }

    private var startOk: ConnectionStartOk {
        let capabilities: FieldTable = [
            "publisher_confirms": true, "basic.nack": true, "consumer_cancel_notify": true, "connection.blocked": true,
            "exchange_exchange_bindings": true, "authentication_failure_close": true, "per_consumer_qos": true,
        ]
        return ConnectionStartOk(
            clientProperties: [
                "product": "Warren client", "platform": "Swift", "connection_name": .string(settings.name),
                "capabilities": .table(capabilities),
            ],
            response: Bytes("\0\(settings.user)\0\(settings.password)"))
    }
}

extension CloseReason {
    init(_ close: ConnectionClose) {
        self.init(
            code: close.replyCode, text: close.replyText,
            method: MethodID(classID: close.classID, methodID: close.methodID))
    }

    init(_ close: ChannelClose) {
        self.init(
            code: close.replyCode, text: close.replyText,
            method: MethodID(classID: close.classID, methodID: close.methodID))
    }
}
