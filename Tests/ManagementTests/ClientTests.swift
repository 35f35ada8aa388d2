import Foundation
import Management
import Testing

@Suite struct ClientTests {
    @Test(arguments: [
        ("http://127.0.0.1:15672", "127.0.0.1:15672"), ("HTTP://host:1/", "host:1"), ("host", "host:15672"),
        ("host:80", "host:80"), ("http://[::1]:5", "[::1]:5"), ("[::1]", "[::1]:15672"),
    ])
    func readsAddresses(text: String, authority: String) { #expect(NodeAddress(text)?.authority == authority) }

    @Test(arguments: [
        "", "http://", "https://host", "host:", "host:0", "host:65536", "host:http", "::1", "[::1", "host/path", "a b",
        ":80", "ftp://host",
    ])
    func refusesWhatIsNoAddress(text: String) { #expect(NodeAddress(text) == nil) }

    @Test func readsLists() {
        #expect(NodeAddress.list("a,b:2")?.map(\.authority) == ["a:15672", "b:2"])
        #expect(NodeAddress.list("a,") == nil)
        #expect(NodeAddress.list("") == nil)
    }

    @Test func alignsTables() {
        var table = TextTable(["name", "n"])
        table.append(["a", "1"])
        table.append(["länger", ""])
        table.append(["two\nlines", "22"])
        #expect(table.text == "name       n\na          1\nlänger\ntwo lines  22")
    }

    // MARK: Status

    private func report(nodes: [(String, Bool)], queues: [(String, String, String?)]) -> ClusterReport {
        ClusterReport(
            overview: ["cluster_name": "local", "node": "a"],
            nodes: nodes.map { ["name": .string($0.0), "running": .bool($0.1)] },
            queues: queues.map { name, type, leader in
                ["name": .string(name), "type": .string(type), "leader": leader.map { .string($0) } ?? .null]
            })
    }

    @Test func isHealthyWhenAllNodesAreUpAndAllQueuesAreLed() {
        let healthy = report(nodes: [("a", true), ("b", true)], queues: [("q", "quorum", "b"), ("t", "classic", nil)])
        #expect(healthy.isHealthy)
        #expect(healthy.verdict == "2 nodes up, every queue has a leader")
        #expect(report(nodes: [("a", true)], queues: []).isHealthy)
        #expect(!report(nodes: [], queues: []).isHealthy)
    }

    @Test func namesWhatIsWrong() {
        let down = report(nodes: [("a", true), ("b", false)], queues: [("p", "quorum", "a")])
        #expect(!down.isHealthy && down.verdict == "down: b")
        // A leader on a node that is down leads nothing.
        let stale = report(nodes: [("a", true), ("b", false)], queues: [("p", "quorum", "b"), ("q", "quorum", nil)])
        #expect(!stale.isHealthy && stale.verdict == "down: b; 2 without a leader: p, q")
    }

    @Test func showsAlarms() {
        let report = ClusterReport(
            overview: [:],
            nodes: [
                ["name": "a", "running": true, "mem_alarm": true, "disk_free_alarm": true],
                ["name": "b", "running": true, "mem_alarm": false, "disk_free_alarm": false],
            ], queues: [])
        let lines = report.nodeTable.split(separator: "\n")
        #expect(lines[0].hasSuffix("alarms") && lines[1].hasSuffix("memory, disk"))
        #expect(!lines[2].contains("memory") && report.isHealthy)
    }

    @Test func printsTablesAndTheSameForPrograms() throws {
        let report = report(nodes: [("a", true)], queues: [("q", "quorum", "a")])
        #expect(report.text.hasPrefix("cluster local, as a sees it\n\nnode"))
        #expect(report.text.hasSuffix("1 nodes up, every queue has a leader"))
        let text = report.json.description
        let json = try JSONDecoder().decode(JSON.self, from: Data(text.utf8))
        #expect(json["healthy"]?.bool == true && json["queues"]?.array?.count == 1)
    }

    // MARK: Recovery

    private func row(_ name: String, _ vhost: String, after milliseconds: Int64?) -> JSON {
        var row: [String: JSON] = [
            "name": .string(name), "vhost": .string(vhost), "entries": .integer(3), "entry_bytes": .integer(300),
            "snapshot_index": .integer(9),
            "snapshot_bytes": .integer(50), "replayed": .integer(3), "missing": .integer(0), "damaged": .integer(0),
            "repaired": .integer(0),
            "caught_up": .bool(milliseconds != nil),
        ]
        if let milliseconds {
            row["caught_up_milliseconds"] = .integer(milliseconds)
            row["leader"] = "b"
        }
        return .object(row)
    }

    @Test func showsWhatAStartRead() throws {
        let store: JSON = [
            "segments": .integer(3), "sealed_segments": .integer(2), "bytes_read": .integer(4_096), "clean_stop": false,
        ]
        let listing = RecoveryListing([
            "node": "a", "incarnation": .integer(4), "open_milliseconds": .integer(12), "store": store,
            "metadata": row("", "", after: 1),
            "queues": [row("q", "/", after: 20), row("p", "/", after: nil)],
        ])
        let lines = listing.text.split(separator: "\n")
        #expect(lines[0] == "a, start 4, behind a crash")
        #expect(lines[1].hasPrefix("store   opened in 12 ms: 3 segments, 2 of them sealed"))
        #expect(lines[5].hasPrefix("(metadata)") && lines[6].hasPrefix("q ") && lines[6].hasSuffix("20 ms      b"))
        #expect(lines[7].hasSuffix("not yet"))
        #expect(!listing.isCaughtUp && listing.verdict == "1 behind: p" && lines.last == "1 behind: p")
        let whole = RecoveryListing(["node": "a", "queues": [row("q", "/", after: 20)]])
        #expect(whole.isCaughtUp && whole.verdict == "everything found is applied")
    }
}
