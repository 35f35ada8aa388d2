import Management
import Testing

@Suite struct ManagementClientTests {
    /// Runs `body` with a client of one node that gives this answer.
    private func withNode(
        _ status: Int, _ answer: String, before others: String = "",
        _ body: (ManagementClient, ScriptedNode) async throws -> Void
    ) async throws {
        let node = try await ScriptedNode(status: status, body: answer)
        let addresses = try #require(NodeAddress.list(others + "127.0.0.1:\(node.port)"))
        do {
            try await body(ManagementClient(nodes: addresses, user: "guest", password: "a:b"), node)
        } catch {
            try await node.stop()
            throw error
        }
        try await node.stop()
    }

    @Test func asksWithPathAndPassword() async throws {
        try await withNode(200, #"{"name":"a/b"}"#) { (client, node) async throws in
            #expect(try await client.get(["queues", "/", "a/b c%"])["name"] == "a/b")
            _ = try await client.get(["warren", "events"], query: "after=7")
            try await client.put(["queues", "/", "q"], ["durable": true])
            try await client.delete(["queues", "/", "q", "contents"])
            let basic = "Basic Z3Vlc3Q6YTpi"
            #expect(
                try await node.requests == [
                    "GET /api/queues/%2F/a%2Fb%20c%25 \(basic)",
                    "GET /api/warren/events?after=7 \(basic)",
                    #"PUT /api/queues/%2F/q \#(basic) {"durable":true}"#,
                    "DELETE /api/queues/%2F/q/contents \(basic)",
                ])
        }
    }

    @Test func goesToTheNextNodeAndStaysThere() async throws {
        // Nobody listens at port 1 of the loopback interface.
        try await withNode(200, "[]", before: "127.0.0.1:1,") { (client, node) async throws in
            #expect(try await client.get(["queues"]) == [])
            #expect(try await client.get(["nodes"]) == [])
            #expect(try await node.requests.count == 2)
        }
    }

    @Test func saysWhyNoNodeAnswers() async throws {
        let addresses = try #require(NodeAddress.list("127.0.0.1:1"))
        let client = ManagementClient(nodes: addresses, user: "guest", password: "guest")
        let error = await #expect(throws: ManagementFailure.self) { try await client.get(["nodes"]) }
        #expect(error?.description == "no node answers: http://127.0.0.1:1: connection refused")
    }

    @Test func tellsChecksFromFailures() async throws {
        try await withNode(200, #"{"status":"ok"}"#) { (client, _) async throws in
            #expect(try await client.check(["alarms"]).isOk)
        }
        try await withNode(503, #"{"status":"failed","reason":"no leader"}"#) { (client, _) async throws in
            let verdict = try await client.check(["alarms"])
            #expect(!verdict.isOk && verdict.reason == "no leader")
        }
        try await withNode(404, #"{"error":"Object Not Found","reason":"Not Found"}"#) { (client, _) async throws in
            let error = await #expect(throws: ManagementFailure.self) { try await client.check(["nonsense"]) }
            #expect(error?.description == "Not Found")
        }
    }

    @Test func givesRefusalsTheirReason() async throws {
        try await withNode(401, "") { (client, _) async throws in
            let error = await #expect(throws: ManagementFailure.self) { try await client.get(["nodes"]) }
            #expect(error?.description.hasSuffix("refuses user or password") == true)
        }
        try await withNode(500, "oops") { (client, _) async throws in
            let error = await #expect(throws: ManagementFailure.self) { try await client.get(["nodes"]) }
            #expect(error?.description == "refused with HTTP status 500")
        }
        try await withNode(200, "oops") { (client, _) async throws in
            let error = await #expect(throws: ManagementFailure.self) { try await client.get(["nodes"]) }
            #expect(error?.description == "unexpected answer: no JSON")
        }
    }

    @Test func findsThePortsOfItsNode() async throws {
        let overview = #"""
            {"node":"a","listeners":[{"node":"a","port":15672},{"node":"a","port":5672},{"node":"b","port":1}]}
            """#
        try await withNode(200, overview) { (client, _) async throws in
            #expect(try await client.listenerPorts() == [5672, 15672])
        }
    }
}
