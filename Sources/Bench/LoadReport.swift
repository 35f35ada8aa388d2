public import Primitives

/// What a load showed.
public struct LoadReport: Sendable {
    /// What was asked for.
    public let options: LoadOptions
    /// Product and version of the broker, as it gives them.
    public var server = ""
    /// The measured time.
    public var measured = Interval.zero
    /// Published per second of it.
    public var publishRate = 0.0
    /// Confirmed per second of it.
    public var confirmRate = 0.0
    /// Delivered per second of it.
    public var deliverRate = 0.0
    /// Of a backlog: delivered and acknowledged per second, once it was complete.
    public var drainRate: Double?
    /// Of queues declared one by one: milliseconds for each.
    public var declareMilliseconds: Double?
    /// Octets that each of them takes in a server process; nil without processes.
    public var residentBytesPerQueue: Double?
    /// Octets resident in the server processes before the run's first message; nil without processes.
    public var idleResidentBytes: UInt64?
    /// Confirmed in each of its seconds; published, without confirms.
    public var confirmedPerSecond: [UInt64] = []
    /// Delivered in each of its seconds.
    public var deliveredPerSecond: [UInt64] = []
    /// From sent (with a rate: from due) to confirmed.
    public var confirmLatency = LatencySummary()
    /// From sent (with a rate: from due) to delivered.
    public var deliveryLatency = LatencySummary()
    /// The longest time without a confirm.
    public var longestConfirmGap = Interval.zero
    /// The longest time without a delivery.
    public var longestDeliveryGap = Interval.zero
    /// How late, at most, this program wrote a due message: above the latencies it measures, they are its own.
    public var worstLag = Interval.zero
    /// User and system seconds of the server processes, from the end of the warm-up until all was consumed; nil
    /// without processes.
    public var serverCPUSeconds: Double?
    /// The same per million messages confirmed (published, without confirms) in that time.
    public var serverCPUPerMillion: Double?
    /// Octets resident in the server processes at the end; with a backlog, when it was complete.
    public var serverResidentBytes: UInt64?
    /// User and system seconds of this program in that time.
    public var clientCPUSeconds = 0.0
    /// The counts, warm-up included. Losses are judged only with consumers.
    public var integrity = Integrity()
    /// Messages the broker refused.
    public var nacked: UInt64 = 0
    /// How often it sent `connection.blocked`.
    public var blockedCount = 0
    /// Why the run ended early.
    public var failure: String?

    package init(options: LoadOptions) { self.options = options }

    /// Nothing was lost, invented, reordered or left unconfirmed, and nothing broke.
    public var isClean: Bool { failure == nil && integrity.isClean && integrity.unconfirmed == nacked }

    /// A few lines.
    public var text: String {
        var lines: [String] = []
        lines.append(options.summary + (server.isEmpty ? "" : ", \(server)"))
        if let declareMilliseconds {
            var line = "declared in \(declareMilliseconds.fixed(2)) ms each"
            if let residentBytesPerQueue {
                line += ", resident \((residentBytesPerQueue / 1_024).fixed(1)) KiB for each in a process"
            }
            return (lines + [line]).joined(separator: "\n")
        }
        lines.append(
            """
            confirmed \(confirmRate.fixed(0))/s, delivered \(deliverRate.fixed(0))/s, published \
            \(publishRate.fixed(0))/s over \(measured.inSeconds.fixed(1)) s
            """)
        if let drainRate { lines.append("drained \(drainRate.fixed(0))/s") }
        if confirmLatency.count > 0 { lines.append("confirm     \(confirmLatency.text)") }
        if deliveryLatency.count > 0 { lines.append("end to end  \(deliveryLatency.text)") }
        var gaps = "longest gap: confirms \(longestConfirmGap.text), deliveries \(longestDeliveryGap.text) ms"
        if options.rate > 0 { gaps += "; written at most \(worstLag.text) ms after due" }
        lines.append(gaps)
        if let serverCPUSeconds {
            var line = "server CPU \(serverCPUSeconds.fixed(2)) s"
            if let serverCPUPerMillion { line += ", \(serverCPUPerMillion.fixed(2)) s per million messages" }
            if let serverResidentBytes { line += ", resident \(serverResidentBytes >> 20) MiB" }
            lines.append(line + "; client CPU \(clientCPUSeconds.fixed(2)) s")
        }
        if blockedCount > 0 { lines.append("blocked by the server \(blockedCount) times") }
        if let failure { lines.append("ended early: \(failure)") }
        lines.append(integrity.verdict)
        return lines.joined(separator: "\n")
    }

    /// All of it as a JSON document on one line.
    public var json: String { document.text }

    var document: JSONValue {
        func optional(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        return [
            ("label", .string(options.label)), ("ok", .bool(isClean)), ("server", .string(server)),
            (
                "scenario",
                [
                    ("queues", .integer(UInt64(options.queues))), ("queue_type", .string(options.queueType)),
                    ("publishers", .integer(UInt64(options.publishers))),
                    ("consumers", .integer(UInt64(options.consumers))), ("size", .integer(UInt64(options.bodySize))),
                    ("confirm_window", .integer(UInt64(options.confirmWindow))), ("rate", .number(options.rate)),
                    ("prefetch", .integer(UInt64(options.prefetch))),
                    ("ack_every", .integer(UInt64(options.acknowledgeEvery))), ("no_ack", .bool(options.noAck)),
                    ("persistent", .bool(options.isPersistent)), ("backlog", .integer(options.backlog)),
                    ("declares_only", .bool(options.declaresOnly)),
                    ("seconds", .number(options.seconds)),
                    ("warmup", .number(options.warmup)),
                ]
            ), ("measured_s", .number(measured.inSeconds)), ("published_per_s", .number(publishRate)),
            ("confirmed_per_s", .number(confirmRate)), ("delivered_per_s", .number(deliverRate)),
            ("drained_per_s", optional(drainRate)), ("declare_ms", optional(declareMilliseconds)),
            ("resident_bytes_per_queue", optional(residentBytesPerQueue)),
            ("idle_resident_bytes", idleResidentBytes.map { .integer($0) } ?? .null),
            ("per_second_confirmed", .array(confirmedPerSecond.map { .integer($0) })),
            ("per_second_delivered", .array(deliveredPerSecond.map { .integer($0) })),
            ("confirm_latency", confirmLatency.json), ("end_to_end_latency", deliveryLatency.json),
            ("longest_confirm_gap_ms", longestConfirmGap.json), ("longest_delivery_gap_ms", longestDeliveryGap.json),
            ("worst_lag_ms", worstLag.json), ("server_cpu_s", optional(serverCPUSeconds)),
            ("server_cpu_s_per_million", optional(serverCPUPerMillion)),
            ("server_resident_bytes", serverResidentBytes.map { .integer($0) } ?? .null),
            ("client_cpu_s", .number(clientCPUSeconds)), ("integrity", integrity.json), ("nacked", .integer(nacked)),
            ("blocked", .integer(UInt64(blockedCount))), ("failure", failure.map { .string($0) } ?? .null),
        ]
    }
}
