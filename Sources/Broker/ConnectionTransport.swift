import Primitives

/// Where a client's connection meets its socket: implemented over NIO, and by tests.
package protocol ConnectionTransport: AnyObject {
    /// Hands bytes to the socket; they are copied.
    func write(_ bytes: UnsafeRawBufferPointer)
    /// Whether the socket keeps up: false while more than `BrokerConfiguration.outputHighWater` bytes wait for it.
    var isWritable: Bool { get }
    /// Stops or resumes reading.
    func setReading(_ isOn: Bool)
    /// Closes the socket once everything written has left.
    func close()
}

/// The two ends of a client's socket, for limits, logs and management.
package struct ConnectionEndpoints: Sendable {
    package var peerHost: String
    package var peerPort: Int
    package var host: String
    package var port: Int
    /// Whether the peer is on this machine.
    package var isLoopback: Bool

    package init(peerHost: String, peerPort: Int, host: String, port: Int, isLoopback: Bool) {
        self.peerHost = peerHost
        self.peerPort = peerPort
        self.host = host
        self.port = port
        self.isLoopback = isLoopback
    }

    /// As RabbitMQ names a connection.
    package var name: String { "\(peerHost):\(peerPort) -> \(host):\(port)" }
}
