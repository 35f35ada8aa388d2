import Primitives
import Topology

/// Where a channel's publishes to one exchange and key go, resolved down to the object that takes them.
enum RouteTarget {
    case quorum(QueueSession)
    /// In this node's memory.
    case local(LocalTransient)
    /// In another node's memory.
    case remote(RemotePublishes)
}

/// One resolved route.
struct Route {
    /// Version, exchange and key as in an envelope: what the route is found by.
    var address: [UInt8]
    var targets: [RouteTarget]
}

/// The routes a channel used last, found by comparing bytes: no string and no hash per publish. They hold for one state
/// of the topology.
struct RouteCache {
    private static let capacity = 16
    private var routes: [Route] = []
    private var generation: UInt64 = 0
    private var last = 0
    private var victim = 0

    /// The place of the route with this address in the topology's state `generation`.
    @inline(__always)
    mutating func find(_ address: UnsafeRawBufferPointer, generation: UInt64) -> Int? {
        guard generation == self.generation else { return nil }
        if last < routes.count, RouteCache.equal(routes[last].address, address) { return last }
        for index in routes.indices where RouteCache.equal(routes[index].address, address) {
            last = index
            return index
        }
        return nil
    }

    @inline(__always)
    private static func equal(_ a: [UInt8], _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        return a.withUnsafeBytes { x in
            var index = 0
            while index + 8 <= x.count {
                guard
                    x.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                        == b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                else { return false }
                index += 8
            }
            while index < x.count {
                guard x[index] == b[index] else { return false }
                index += 1
            }
            return true
        }
    }

    subscript(index: Int) -> Route { routes[index] }

    mutating func insert(_ route: Route, generation: UInt64) {
        if generation != self.generation {
            routes.removeAll(keepingCapacity: true)
            self.generation = generation
        }
        if routes.count < RouteCache.capacity {
            last = routes.count
            routes.append(route)
        } else {
            last = victim
            routes[victim] = route
            victim = (victim + 1) % RouteCache.capacity
        }
    }

    mutating func removeAll() { self = RouteCache() }
}
