/// What `warren status --recovery` shows: what the last start of a node read, and how long it took.
public struct RecoveryListing: Sendable {
    /// The API's answer.
    public let json: JSON

    /// - Parameter json: what `/api/nodes/NAME/recovery` answered.
    package init(_ json: JSON) { self.json = json }

    /// Asks the API about the node that answers.
    public init(_ client: ManagementClient) async throws(ManagementFailure) {
        let node = try await client.get(["overview"])["node"]?.string ?? ""
        json = try await client.get(["nodes", node, "recovery"])
    }

    private var rows: [JSON] {
        (json["metadata"].map { [$0] } ?? []) + (json["queues"]?.array ?? [])
    }

    /// Whether everything that the start found is applied.
    public var isCaughtUp: Bool { rows.allSatisfy { $0["caught_up"]?.bool == true } }

    /// Lines and a table.
    public var text: String {
        func number(_ path: String...) -> String {
            path.reduce(Optional(json)) { $0?[$1] }?.text ?? "?"
        }
        let store =
            "\(number("store", "segments")) segments, \(number("store", "sealed_segments")) of them sealed, "
            + "\(number("store", "frames")) frames, \(number("store", "records")) records; "
            + "\(number("store", "bytes_read")) bytes read, \(number("store", "torn_bytes")) torn; "
            + "\(number("store", "damaged_records")) records damaged, \(number("store", "lost_frames")) frames lost"
        let scrub =
            "\(number("scrub", "passes")) passes, \(number("scrub", "segments")) segments, "
            + "\(number("scrub", "bytes")) bytes; \(number("scrub", "damaged_segments")) segments damaged"
        let damage =
            "\(number("scrub", "damaged_entries")) entries found, \(number("scrub", "repaired_entries")) repaired, "
            + "\(number("scrub", "rewritten_records")) other records written again"
        let stop = json["store"]?["clean_stop"]?.bool == true ? "an orderly stop" : "a crash"
        return """
            \(number("node")), start \(number("incarnation")), behind \(stop)
            store   opened in \(number("open_milliseconds")) ms: \(store)
            scrub   \(scrub)
            damage  \(damage)

            \(table)

            \(verdict)
            """
    }

    /// A row for the metadata, where a queue's name would stand, and one for each queue.
    public var table: String {
        var table = TextTable([
            "queue", "vhost", "entries", "bytes", "snapshot", "its bytes", "replayed", "missing", "damaged",
            "repaired", "caught up", "leader",
        ])
        for row in rows {
            func cell(_ name: String) -> String { row[name]?.text ?? "" }
            let time = row["caught_up_milliseconds"].map { "\($0.text) ms" } ?? "not yet"
            let name = row["vhost"]?.string == "" ? "(metadata)" : cell("name")
            table.append([
                name, cell("vhost"), cell("entries"), cell("entry_bytes"), cell("snapshot_index"),
                cell("snapshot_bytes"), cell("replayed"), cell("missing"), cell("damaged"), cell("repaired"), time,
                cell("leader"),
            ])
        }
        return table.text
    }

    /// One line: what is behind, or that nothing is.
    public var verdict: String {
        let behind = rows.filter { $0["caught_up"]?.bool != true }
        guard !behind.isEmpty else { return "everything found is applied" }
        let named = behind.prefix(10).map { $0["vhost"]?.string == "" ? "(metadata)" : $0["name"]?.text ?? "" }
        return "\(behind.count) behind: " + named.joined(separator: ", ") + (behind.count > 10 ? ", …" : "")
    }
}
