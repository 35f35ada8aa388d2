import AMQPClient
import NIOCore

/// A client's way into the cluster: a connection with one channel. When it is lost, the next address is tried, round
/// and round. It lives on its event loop.
final class StormLink: @unchecked Sendable {
    private static let retryDelay = TimeAmount.milliseconds(50)
    private static let tickInterval = TimeAmount.milliseconds(20)
    private static let connectTimeout: Int64 = 1_000
    /// Seconds; a node that is silent for two of them is given up.
    private static let heartbeat: UInt16 = 4

    private let eventLoop: any EventLoop
    private let addresses: [ClientSettings]
    private var address: Int
    /// Callbacks of connections before the present one are not heard any more.
    private var epoch = 0
    private var connection: AMQPConnection?
    private(set) var channel: AMQPChannel?
    private var isClosed = false

    /// Connections that were lost.
    private(set) var losses = 0
    /// What the broker did that the protocol does not allow.
    private(set) var violation: String?
    /// Confirms that repeated an earlier one.
    private(set) var repeatedConfirms: UInt64 = 0
    /// Why the last connection or attempt failed.
    private(set) var lastError: String?

    /// A channel is open; messages may pass once this has returned.
    var onOpen: (AMQPChannel) -> Void = { _ in }
    /// The channel is gone.
    var onLoss: () -> Void = {}
    /// Every few milliseconds.
    var onTick: () -> Void = {}

    /// - Parameter first: the place of the first address to try, round and round.
    init(addresses: [BrokerAddress], first: Int, name: String, eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.addresses = addresses.map {
            var settings = $0.settings(name: name, connectTimeoutMilliseconds: Self.connectTimeout)
            settings.heartbeat = Self.heartbeat
            return settings
        }
        address = first % addresses.count
    }

    func start() {
        guard !isClosed else { return }
        connect()
        tick()
    }

    private func tick() {
        guard !isClosed else { return }
        onTick()
        eventLoop.scheduleTask(in: Self.tickInterval) { self.tick() }
    }

    private func connect() {
        let attempt = epoch
        AMQPConnection.connect(addresses[address], on: eventLoop) { result in
            guard self.isCurrent(attempt) else {
                if case .success(let late) = result { late.abort() }
                return
            }
            switch result {
            case .success(let connection): self.connected(connection, attempt)
            case .failure(let error): self.lost(error, attempt)
            }
        }
    }

    private func connected(_ connection: AMQPConnection, _ attempt: Int) {
        self.connection = connection
        connection.onClose = { self.lost($0, attempt) }
        connection.openChannel { result in
            guard self.isCurrent(attempt) else { return }
            switch result {
            case .failure(let error): self.lost(error, attempt)
            case .success(let channel):
                channel.onClose = { self.lost($0, attempt) }
                self.channel = channel
                self.onOpen(channel)
            }
        }
    }

    /// The attempt that is under way or holds: what comes of another one is out of date.
    var attempt: Int { epoch }
    /// Nothing has been lost since then.
    func isCurrent(_ attempt: Int) -> Bool { attempt == epoch && !isClosed }

    /// Gives the connection up.
    func drop(_ why: String) { lost(why, epoch) }

    private func lost(_ error: ClientError, _ attempt: Int) {
        if isCurrent(attempt), case .protocolViolation = error { violation = violation ?? "\(error)" }
        lost("\(error)", attempt)
    }

    private func lost(_ why: String, _ attempt: Int) {
        guard isCurrent(attempt) else { return }
        epoch += 1
        lastError = why
        address = (address + 1) % addresses.count
        forget()?.abort()
        let next = epoch
        // What is dropped while it waits for its next attempt has two of these under way.
        eventLoop.scheduleTask(in: Self.retryDelay) { if self.isCurrent(next) { self.connect() } }
    }

    private func forget() -> AMQPConnection? {
        defer {
            connection = nil
            channel = nil
        }
        repeatedConfirms += channel?.repeatedConfirms ?? 0
        if channel != nil {
            losses += 1
            onLoss()
        }
        return connection
    }

    /// Closes the connection in order; `completion` says whether there was one to close.
    func close(_ completion: @escaping @Sendable (Bool) -> Void = { _ in }) {
        guard !isClosed, let connection else {
            isClosed = true
            return completion(false)
        }
        isClosed = true
        repeatedConfirms += channel?.repeatedConfirms ?? 0
        self.connection = nil
        channel = nil
        connection.close { completion(true) }
    }
}
