import Primitives
import Replication
import Testing
import Topology

@Suite struct TopologyRequestsTests {
    private func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }

    private func add(_ name: String, to requests: inout TopologyRequests, deadline: UInt64 = 100) -> UInt64 {
        requests.add(
            .deleteVirtualHost(name), node: NodeID(3), incarnation: Incarnation(4), deadline: at(deadline)
        ).id.counter
    }

    private func names(_ requests: TopologyRequests) throws -> [String] {
        try requests.encoded.map { encoded in
            let request = try encoded.withUnsafeBytes { buffer throws(DecodingFailure) in
                var reader = ByteReader(buffer)
                return try TopologyRequest(decoding: &reader)
            }
            #expect(request.id.node == NodeID(3) && request.id.incarnation == Incarnation(4))
            guard case .deleteVirtualHost(let name) = request.command else { return "\(request.command)" }
            return name
        }
    }

    @Test func requestsAreNumberedAndKept() throws {
        var requests = TopologyRequests()
        #expect(requests.isEmpty && requests.nextDeadline == .distantFuture)
        #expect(add("a", to: &requests) == 1)
        #expect(add("b", to: &requests, deadline: 200) == 2)
        #expect(try names(requests) == ["a", "b"])
        #expect(requests.nextDeadline == at(100))
    }

    @Test func whatWasAppliedIsNotSentAgain() throws {
        var requests = TopologyRequests()
        for name in ["a", "b", "c", "d"] { _ = add(name, to: &requests) }
        requests.applied(1)
        #expect(try names(requests) == ["b", "c", "d"])
        requests.applied(3)
        #expect(try names(requests) == ["b", "d"])
        requests.applied(3)
        requests.applied(99)
        #expect(try names(requests) == ["b", "d"])
        requests.applied(4)
        requests.applied(2)
        #expect(requests.isEmpty)
        #expect(add("e", to: &requests) == 5)
    }

    @Test func aRequestExpiresOnce() {
        var requests = TopologyRequests()
        _ = add("a", to: &requests, deadline: 100)
        _ = add("b", to: &requests, deadline: 150)
        #expect(requests.popExpired(now: at(99)) == nil)
        #expect(requests.popExpired(now: at(100)) == 1)
        #expect(requests.popExpired(now: at(100)) == nil)
        #expect(requests.popExpired(now: at(1_000)) == 2)
        #expect(requests.popExpired(now: at(1_000)) == nil && requests.isEmpty)
    }
}
