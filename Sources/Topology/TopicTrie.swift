package import Primitives

/// The bindings of a topic exchange as a tree over the words of their keys; `*` matches one word, `#` any number.
///
/// Matching advances a set of active nodes word by word, so its cost is bounded by words × nodes whatever the patterns
/// are; trying every split for every `#`, as a recursive matcher does, is exponential in hostile patterns.
package struct TopicTrie: Sendable {
    private struct Node: Sendable {
        var children = BytesTable<Int32>()
        var star: Int32 = -1
        var hash: Int32 = -1
        /// Whether the word that leads here is `#`: such a node stays active on every word.
        var isHash = false
        var destinations = DestinationSet()

        var isUnused: Bool { children.isEmpty && star < 0 && hash < 0 && destinations.isEmpty }
    }

    /// Node 0 is the root.
    private var nodes: [Node] = [Node()]
    private var free: [Int32] = []

    package init() {}

    /// Slots in use and free, for tests of pruning.
    package var nodeCount: Int { nodes.count - free.count }

    package mutating func insert(_ pattern: Bytes, _ destination: RouterDestination) {
        var node: Int32 = 0
        for word in TopicTrie.words(of: pattern) { node = child(of: node, word) }
        nodes[Int(node)].destinations.insert(destination)
    }

    package mutating func remove(_ pattern: Bytes, _ destination: RouterDestination) {
        let words = TopicTrie.words(of: pattern)
        var path: [Int32] = [0]
        for word in words {
            guard let last = path.last, let next = existingChild(of: last, word) else { return }
            path.append(next)
        }
        guard let last = path.last else { return }
        nodes[Int(last)].destinations.remove(destination)
        for depth in stride(from: words.count, to: 0, by: -1) {
            guard nodes[Int(path[depth])].isUnused else { break }
            detach(path[depth], from: path[depth - 1], words[depth - 1])
        }
    }

    /// Appends what matches `key` to the buffer: queues may be repeated.
    package func match(_ key: UnsafeRawBufferPointer, into buffer: inout RouteBuffer) {
        if buffer.marks.count < nodes.count {
            buffer.marks.append(contentsOf: repeatElement(0, count: nodes.count - buffer.marks.count))
        }
        buffer.step += 1
        buffer.next.removeAll(keepingCapacity: true)
        activate(0, &buffer)
        swap(&buffer.active, &buffer.next)
        var start = 0
        // An empty key has no words; otherwise n dots separate n + 1 words, empty ones included.
        while start <= key.count && key.count > 0 && !buffer.active.isEmpty {
            var end = start
            while end < key.count && key[end] != UInt8(ascii: ".") { end += 1 }
            advance(UnsafeRawBufferPointer(rebasing: key[start..<end]), &buffer)
            start = end + 1
        }
        for node in buffer.active {
            buffer.targets.append(contentsOf: nodes[Int(node)].destinations.queues)
            buffer.pending.append(contentsOf: nodes[Int(node)].destinations.exchanges)
        }
    }

    private func advance(_ word: UnsafeRawBufferPointer, _ buffer: inout RouteBuffer) {
        buffer.step += 1
        buffer.next.removeAll(keepingCapacity: true)
        for place in buffer.active.indices {
            // Field by field: a copy of the node would retain all it refers to.
            let index = buffer.active[place]
            if nodes[Int(index)].isHash { activate(index, &buffer) }
            if nodes[Int(index)].star >= 0 { activate(nodes[Int(index)].star, &buffer) }
            if let child = nodes[Int(index)].children[word] { activate(child, &buffer) }
        }
        swap(&buffer.active, &buffer.next)
    }

    /// Makes a node active after this step, and the `#` nodes below it, which match no word as well.
    private func activate(_ index: Int32, _ buffer: inout RouteBuffer) {
        var index = index
        while index >= 0 && buffer.marks[Int(index)] != buffer.step {
            buffer.marks[Int(index)] = buffer.step
            buffer.next.append(index)
            index = nodes[Int(index)].hash
        }
    }

    private static func words(of pattern: Bytes) -> [Bytes] {
        guard !pattern.isEmpty else { return [] }
        var words: [Bytes] = []
        var start = 0
        for index in 0...pattern.count where index == pattern.count || pattern[index] == UInt8(ascii: ".") {
            words.append(pattern[start..<index])
            start = index + 1
        }
        return words
    }

    private enum Word { case star, hash, literal }

    private static func kind(of word: Bytes) -> Word {
        guard word.count == 1 else { return .literal }
        return switch word[0] {
        case UInt8(ascii: "*"): .star
        case UInt8(ascii: "#"): .hash
        default: .literal
        }
    }

    private func existingChild(of parent: Int32, _ word: Bytes) -> Int32? {
        let node = nodes[Int(parent)]
        switch TopicTrie.kind(of: word) {
        case .star: return node.star < 0 ? nil : node.star
        case .hash: return node.hash < 0 ? nil : node.hash
        case .literal: return word.withUnsafeBytes { node.children[$0] }
        }
    }

    private mutating func child(of parent: Int32, _ word: Bytes) -> Int32 {
        if let existing = existingChild(of: parent, word) { return existing }
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(nodes.count)
            nodes.append(Node())
        }
        switch TopicTrie.kind(of: word) {
        case .star: nodes[Int(parent)].star = index
        case .hash:
            nodes[Int(parent)].hash = index
            nodes[Int(index)].isHash = true
        case .literal: nodes[Int(parent)].children.set(word.compacted(), index)
        }
        return index
    }

    private mutating func detach(_ index: Int32, from parent: Int32, _ word: Bytes) {
        switch TopicTrie.kind(of: word) {
        case .star: nodes[Int(parent)].star = -1
        case .hash: nodes[Int(parent)].hash = -1
        case .literal: nodes[Int(parent)].children.remove(word)
        }
        nodes[Int(index)] = Node()
        free.append(index)
    }
}
