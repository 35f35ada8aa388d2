import Primitives
import Testing
import Topology

/// Random bindings against a matcher that is slow and plain.
@Suite struct RandomRoutingTests {
    /// What the topology should do, kept as a list.
    private struct Model {
        var bindings: Set<Binding> = []
        var queues: Set<String> = []

        func route(_ exchange: String, _ key: String, _ harness: Harness) -> Set<String> {
            var seen: Set<String> = []
            var reached: Set<String> = []
            var pending = [exchange]
            while let name = pending.popLast() {
                guard seen.insert(name).inserted, let record = harness.topology.exchange(name, vhost: "/")
                else { continue }
                var isRouted = false
                for binding in bindings where binding.source == name {
                    let pattern = String(decoding: binding.routingKey)
                    let isMatch =
                        switch record.type {
                        case .direct: pattern == key
                        case .fanout: true
                        case .topic: RandomRoutingTests.matches(pattern, key)
                        case .headers: false
                        }
                    guard isMatch else { continue }
                    isRouted = true
                    switch binding.destination {
                    case .queue(let queue): reached.insert(queue)
                    case .exchange(let next): pending.append(next)
                    }
                }
                if !isRouted, let alternate = record.alternate { pending.append(alternate) }
            }
            return reached
        }
    }

    /// The definition of topic patterns, by recursion.
    static func matches(_ pattern: String, _ key: String) -> Bool {
        func words(_ text: String) -> ArraySlice<Substring> {
            text.isEmpty ? [] : text.split(separator: ".", omittingEmptySubsequences: false)[...]
        }
        func match(_ pattern: ArraySlice<Substring>, _ key: ArraySlice<Substring>) -> Bool {
            guard let first = pattern.first else { return key.isEmpty }
            if first == "#" {
                return match(pattern.dropFirst(), key) || (!key.isEmpty && match(pattern, key.dropFirst()))
            }
            guard let word = key.first, first == "*" || first == word else { return false }
            return match(pattern.dropFirst(), key.dropFirst())
        }
        return match(words(pattern), words(key))
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func everyRouteEqualsTheNaiveOne(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var harness = Harness.bootstrapped()
        var model = Model()
        let exchanges = [("d", ExchangeType.direct), ("f", .fanout), ("t", .topic), ("u", .topic)]
        for (name, type) in exchanges {
            harness.declareExchange(name, type, arguments: name == "t" ? ["alternate-exchange": .string("d")] : [:])
        }
        func text(_ alphabet: [String]) -> String {
            (0..<random.next(below: 5)).map { _ in alphabet[Int(random.next(below: UInt64(alphabet.count)))] }
                .joined(separator: ".")
        }
        func exchange() -> String { exchanges[Int(random.next(below: 4))].0 }
        for _ in 0..<400 {
            switch random.next(below: 10) {
            case 0:
                let name = "q\(random.next(below: 8))"
                harness.declareQueue(name)
                model.queues.insert(name)
            case 1:
                let name = "q\(random.next(below: 8))"
                harness.apply(.deleteQueue(vhost: "/", name: name, expected: nil))
                model.queues.remove(name)
                model.bindings = model.bindings.filter { $0.destination != .queue(name) }
            case 2...5:
                let destination: BindingDestination =
                    random.oneIn(6) ? .exchange(exchange()) : .queue("q\(random.next(below: 8))")
                let binding = Binding(
                    vhost: "/", source: exchange(), destination: destination,
                    routingKey: text(["a", "b", "", "*", "#", "#"]))
                if harness.apply(.bind(binding)) == .done { model.bindings.insert(binding) }
            case 6:
                let sorted = harness.topology.bindings(vhost: "/")
                guard !sorted.isEmpty else { continue }
                let binding = sorted[Int(random.next(below: UInt64(sorted.count)))]
                harness.apply(.unbind(binding))
                model.bindings.remove(binding)
            default:
                let (source, key) = (exchange(), text(["a", "b", "c", ""]))
                let names = harness.route(source, key) ?? []
                #expect(Set(names) == model.route(source, key, harness), "\(source) \(key)")
                #expect(Set(names).count == names.count)
                let ids = names.compactMap { harness.topology.queue($0, vhost: "/")?.id }
                #expect(ids.isSortedStrictly)
            }
        }
        #expect(Set(harness.topology.bindings(vhost: "/")) == model.bindings)
        #expect(Set(harness.topology.queues.map(\.name)) == model.queues)
    }

    @Test func theTrieShrinksToItsRoot() {
        var random = SeededRandom(seed: 5)
        var trie = TopicTrie()
        let words = ["a", "b", "*", "#", ""]
        var inserted: [(Bytes, RouterDestination)] = []
        for number in 0..<300 {
            let pattern = (0..<random.next(below: 6)).map { _ in words[Int(random.next(below: 5))] }
                .joined(separator: ".")
            let destination = RouterDestination.queue(.quorum(GroupID(UInt64(number % 7))))
            trie.insert(Bytes(pattern), destination)
            inserted.append((Bytes(pattern), destination))
        }
        #expect(trie.nodeCount > 100)
        inserted.shuffle(using: &random)
        for (pattern, destination) in inserted { trie.remove(pattern, destination) }
        #expect(trie.nodeCount == 1)
    }

    @Test func theTableBehavesAsADictionary() {
        var random = SeededRandom(seed: 9)
        var table = BytesTable<Int>()
        var model: [Bytes: Int] = [:]
        for step in 0..<20_000 {
            let key = Bytes("key-\(random.next(below: 200))")
            switch random.next(below: 4) {
            case 0, 1:
                table.set(key, step)
                model[key] = step
            case 2:
                table.remove(key)
                model[key] = nil
            default:
                table.update(key, initial: { step }) { value in
                    value += 1
                    return value % 3 != 0
                }
                let value = model[key, default: step] + 1
                model[key] = value % 3 != 0 ? value : nil
            }
            #expect(table.count == model.count)
            let probe = Bytes("key-\(random.next(below: 200))")
            #expect(probe.withUnsafeBytes { table[$0] } == model[probe])
        }
    }
}

extension [UInt64] {
    fileprivate var isSortedStrictly: Bool { zip(self, dropFirst()).allSatisfy { $0 < $1 } }
}
