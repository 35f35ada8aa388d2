import AMQP
import AMQPClient
import NIOCore
import Primitives

/// Queues that a run declares, spread over the nodes by where they are declared, and deletes.
struct QueueSet: Sendable {
    let names: [String]
    let addresses: [BrokerAddress]
    /// Empty for none.
    var type = "quorum"

    /// Declares all of them; what the server says of itself comes back.
    ///
    /// - Throws: `setupFailed`, `CancellationError`.
    func declare(on eventLoop: any EventLoop) async throws -> String {
        let arguments: FieldTable = type.isEmpty ? [:] : ["x-queue-type": .string(type)]
        var server = ""
        for (index, address) in addresses.enumerated() where index < names.count {
            do {
                let connection = try await AMQPConnection.connect(address.settings(name: "declare"), on: eventLoop)
                server = await connection.onLoop { serverName($0.serverProperties) }
                let channel = try await connection.openChannel()
                for position in stride(from: index, to: names.count, by: addresses.count) {
                    try Task.checkCancellation()
                    try await channel.declareQueue(names[position], arguments: arguments)
                }
                await connection.close()
            } catch let error as ClientError {
                throw BenchError.setupFailed("cannot declare queues at \(address): \(error)")
            }
        }
        return server
    }

    /// Messages in all of them together that nobody holds.
    ///
    /// - Throws: `setupFailed`.
    func messageCount(on eventLoop: any EventLoop) async throws(BenchError) -> UInt64 {
        do throws(ClientError) {
            let connection = try await AMQPConnection.connect(addresses[0].settings(name: "count"), on: eventLoop)
            let channel = try await connection.openChannel()
            var count: UInt64 = 0
            for name in names { count += UInt64(try await channel.declareQueue(name, passive: true).messageCount) }
            await connection.close()
            return count
        } catch {
            throw .setupFailed("cannot look at the queues: \(error)")
        }
    }

    /// Deletes them at the first node that does it; those that do not exist are no obstacle.
    func delete(on eventLoop: any EventLoop) async {
        var rest = names[...]
        for address in addresses where !rest.isEmpty {
            guard
                let connection = try? await AMQPConnection.connect(address.settings(name: "clean-up"), on: eventLoop)
            else { continue }
            if let channel = try? await connection.openChannel() {
                while let name = rest.first, (try? await channel.deleteQueue(name)) != nil { rest.removeFirst() }
            }
            await connection.close()
        }
    }
}

/// Product and version, as the server gives them.
private func serverName(_ properties: FieldTable) -> String {
    [properties["product"]?.text, properties["version"]?.text].compactMap(\.self).joined(separator: " ")
}
