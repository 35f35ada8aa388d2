import Management
import Primitives
import Testing
import Topology

@Suite struct CredentialsTests {
    private func parts(_ header: String?) -> [String]? {
        BasicCredentials(header).map { [$0.name, String(decoding: $0.password, as: UTF8.self)] }
    }

    @Test func readsBasicHeaders() {
        #expect(parts("Basic Z3Vlc3Q6Z3Vlc3Q=") == ["guest", "guest"])
        #expect(parts("basic  Z3Vlc3Q6Z3Vlc3Q= ") == ["guest", "guest"])
        // A password may hold colons, a name may not (RFC 7617, 2).
        #expect(parts("Basic dTphOmI6") == ["u", "a:b:"])
        #expect(parts("Basic Og==") == ["", ""])
    }

    @Test(arguments: [
        nil, "", "Basic", "Basic ", "Bearer Z3Vlc3Q6Z3Vlc3Q=", "BasicZ3Vlc3Q6Z3Vlc3Q=", "Basic !!!!",
        "Basic Z3Vlc3Q=", "Basic /zph",
    ])
    func refusesEverythingElse(header: String?) { #expect(BasicCredentials(header) == nil) }

    @Test func letsTagsIn() {
        #expect(!Visitor(name: "u", tags: []).mayEnter)
        #expect(!Visitor(name: "u", tags: ["impersonator"]).mayEnter)
        #expect(Visitor(name: "u", tags: ["management"]).mayEnter)
        #expect(!Visitor(name: "u", tags: ["management"]).seesEverything)
        #expect(!Visitor(name: "u", tags: ["policymaker"]).seesEverything)
        #expect(Visitor(name: "u", tags: ["monitoring"]).seesEverything)
        #expect(Visitor(name: "u", tags: ["management", "administrator"]).seesEverything)
    }

    @Test func showsVirtualHostsToThoseWithPermissions() {
        var topology = Topology()
        let guest = UserRecord(name: "guest", passwordHash: nil, tags: ["management"])
        var writer = ByteWriter()
        TopologyRequest(
            id: TopologyRequestID(node: NodeID(1), incarnation: Incarnation(1), counter: 1),
            command: .bootstrap(TopologyBootstrap(user: guest))
        ).encode(into: &writer)
        _ = writer.withUnsafeBytes {
            topology.apply(
                Entry(
                    kind: .commands, group: .topology, index: LogIndex(1), term: Term(1), timestamp: .zero,
                    headers: $0, bodies: UnsafeRawBufferPointer(start: nil, count: 0)))
        }
        #expect(Visitor(name: "guest", tags: ["management"]).sees(vhost: "/", in: topology))
        #expect(!Visitor(name: "other", tags: ["management"]).sees(vhost: "/", in: topology))
        #expect(Visitor(name: "other", tags: ["monitoring"]).sees(vhost: "/", in: topology))
    }
}
