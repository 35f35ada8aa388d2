import AMQPClient
import NIOCore
import Primitives

/// Consumes with manual acks, each message on its own. It lives on its event loop. When its connection is lost it
/// connects to the next address.
final class FailoverConsumer: @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let board: TrialBoard
    private let addresses: [ClientSettings]
    private let prefetch: UInt16
    private let patience: Interval?

    private var address = 0
    /// Callbacks of connections before the present one are not heard any more.
    private var epoch = 0
    private var connection: AMQPConnection?
    private var isClosed = false

    /// It consumes.
    private(set) var isReady = false
    private var hasConnected = false
    /// The last delivery, or the consumer's start.
    private var lastHeard = Instant.zero
    /// Connections after the first.
    private(set) var reconnects = 0
    /// Why the last connection or attempt failed.
    private(set) var lastError: String?

    init(board: TrialBoard, addresses: [ClientSettings], options: FailoverOptions, eventLoop: any EventLoop) {
        self.board = board
        self.addresses = addresses
        prefetch = options.prefetch
        patience = options.clients == .leader ? Interval(inSeconds: options.patience) : nil
        self.eventLoop = eventLoop
    }

    func connect() {
        guard !isClosed else { return }
        let attempt = epoch
        AMQPConnection.connect(addresses[address], on: eventLoop) { result in
            guard attempt == self.epoch && !self.isClosed else {
                if case .success(let late) = result { late.abort() }
                return
            }
            switch result {
            case .success(let connection): self.connected(connection, attempt)
            case .failure(let error): self.lost("\(error)", attempt)
            }
        }
    }

    private func connected(_ connection: AMQPConnection, _ attempt: Int) {
        self.connection = connection
        connection.onClose = { self.lost("\($0)", attempt) }
        connection.openChannel { result in
            guard case .success(let channel) = result else { return self.lost("no channel", attempt) }
            channel.onClose = { self.lost("\($0)", attempt) }
            Task {
                // A failure ends the channel or the connection, which is heard above.
                try? await channel.qos(prefetchCount: self.prefetch)
                self.eventLoop.execute { self.consume(on: channel, attempt) }
            }
        }
    }

    private func consume(on channel: AMQPChannel, _ attempt: Int) {
        guard attempt == epoch else { return }
        channel.consume(board.queue) { delivery in
            guard attempt == self.epoch else { return }
            let now = Instant.now()
            self.lastHeard = now
            self.board.ledger.deliver(self.board.body.read(delivery.body), redelivered: delivery.redelivered, at: now)
            channel.ack(delivery.deliveryTag)
        } cancelled: {
            self.lost("the server cancelled the consumer", attempt)
        } completion: { result in
            switch result {
            case .success:
                guard attempt == self.epoch else { return }
                self.isReady = true
                if self.hasConnected { self.reconnects += 1 }
                self.hasConnected = true
                self.lastHeard = .now()
                self.watch(attempt)
            case .failure(let error): self.lost("\(error)", attempt)
            }
        }
    }

    /// Gives the connection up when nothing comes on it although messages are sent.
    private func watch(_ attempt: Int) {
        guard let patience, attempt == epoch, !isClosed else { return }
        if board.isFlowing && Instant.now() - lastHeard > patience {
            return lost("no delivery for \(patience.text) ms", attempt)
        }
        if !board.isFlowing { lastHeard = .now() }
        eventLoop.scheduleTask(in: .milliseconds(20)) { self.watch(attempt) }
    }

    private func lost(_ why: String, _ attempt: Int) {
        guard attempt == epoch && !isClosed else { return }
        epoch += 1
        isReady = false
        lastError = why
        address = (address + 1) % addresses.count
        let old = connection
        connection = nil
        old?.abort()
        eventLoop.scheduleTask(in: FailoverPublisher.retryDelay) { self.connect() }
    }

    /// Closes the connection; nothing is taken any more.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        epoch += 1
        connection?.close()
        connection = nil
    }
}
