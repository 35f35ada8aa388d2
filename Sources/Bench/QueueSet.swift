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

    /// Declares all of them, at all addresses at a time; what the server says of itself comes back.
    ///
    /// - Throws: `setupFailed`, `CancellationError`.
    func declare(on eventLoop: any EventLoop) async throws -> String {
        try await withThrowingTaskGroup(of: String.self) { tasks in
            for index in addresses.indices where index < names.count {
                tasks.addTask { try await declare(share: index, on: eventLoop) }
            }
            var server = ""
            while let name = try await tasks.next() { server = name }
            return server
        }
    }

    /// Declares them one after the other at the first address.
    ///
    /// - Throws: `setupFailed`, `CancellationError`.
    func declareOneByOne(on eventLoop: any EventLoop) async throws -> String {
        try await QueueSet(names: names, addresses: [addresses[0]], type: type).declare(share: 0, on: eventLoop)
    }

    /// Declares each of them whose turn it is at one address.
    private func declare(share index: Int, on eventLoop: any EventLoop) async throws -> String {
        let arguments: FieldTable = type.isEmpty ? [:] : ["x-queue-type": .string(type)]
        do {
            let connection = try await AMQPConnection.connect(
                addresses[index].settings(name: "declare"), on: eventLoop)
            let channel = try await connection.openChannel()
            for position in stride(from: index, to: names.count, by: addresses.count) {
                try Task.checkCancellation()
                try await channel.declareQueue(names[position], arguments: arguments)
            }
            let server = await connection.onLoop { serverName($0.serverProperties) }
            await connection.close()
            return server
        } catch let error as ClientError {
            throw BenchError.setupFailed("cannot declare queues at \(addresses[index]): \(error)")
        }
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
