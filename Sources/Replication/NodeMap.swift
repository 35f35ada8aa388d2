import Primitives

/// A value per node, for the few nodes of a cluster: looked up by comparing numbers, which costs less than a hash.
struct NodeMap<Value> {
    /// In the order of their first values; what was removed leaves its place.
    private var slots: [(node: NodeID, value: Value?)] = []

    private func place(of node: NodeID) -> Int? {
        for place in slots.indices where slots[place].node == node { return place }
        return nil
    }

    /// Nil for a node without a value.
    subscript(node: NodeID) -> Value? {
        get { place(of: node).flatMap { slots[$0].value } }
        _modify {
            if let place = place(of: node) {
                yield &slots[place].value
            } else {
                var value: Value?
                defer { if value != nil { slots.append((node, value)) } }
                yield &value
            }
        }
    }

    /// Forgets all values.
    mutating func removeAll() { slots.removeAll() }
}
