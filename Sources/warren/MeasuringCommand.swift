import ArgumentParser
import Bench
import Foundation
import UnixSignals

/// AMQP addresses, separated by commas.
struct AMQPAddresses: ExpressibleByArgument {
    var addresses: [BrokerAddress]

    init(addresses: [BrokerAddress]) { self.addresses = addresses }

    init?(argument: String) {
        guard let addresses = try? BrokerAddress.list(parsing: argument) else { return nil }
        self.addresses = addresses
    }

    var defaultValueDescription: String { addresses.map { "amqp://\($0)" }.joined(separator: ",") }

    /// The first node of a local cluster.
    static let local = AMQPAddresses(addresses: [BrokerAddress(host: "127.0.0.1")])
}

/// A command that measures a broker. Exit codes: 0 nothing wrong, 1 the broker broke a promise or the measurement
/// failed, 64 usage, 69 the broker could not be reached, 130 interrupted.
protocol MeasuringCommand: AsyncParsableCommand, Sendable {
    /// - Returns: whether the broker kept its promises.
    func measure() async throws -> Bool
}

extension MeasuringCommand {
    func run() async throws {
        do {
            guard try await untilSignalled({ try await measure() }) else { throw ExitCode.failure }
        } catch let error as BenchError {
            FileHandle.standardError.write(Data("warren: \(error)\n".utf8))
            switch error {
            case .invalidOption, .unavailable: throw ExitCode(EX_USAGE)
            case .setupFailed: throw ExitCode(EX_UNAVAILABLE)
            case .commandFailed, .faultFailed, .fileFailed: throw ExitCode.failure
            }
        } catch is CancellationError {
            throw ExitCode(130)
        }
    }
}

/// Cancels `body` at SIGINT or SIGTERM and waits for it, so that it can clean up.
private func untilSignalled<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let signals = await UnixSignalsSequence(trapping: [.sigint, .sigterm])
    let work = Task { try await body() }
    let watch = Task {
        for await _ in signals { work.cancel() }
    }
    defer { watch.cancel() }
    return try await work.value
}
