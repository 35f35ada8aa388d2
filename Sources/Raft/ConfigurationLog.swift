import Primitives

/// The configurations of a group's log. The newest is in force, committed or not; where its entry is truncated, the one
/// before is again.
struct ConfigurationLog: Sendable {
    /// Ascending by index; the first is in force at the log's base. Never empty.
    private(set) var all: [PlacedConfiguration]

    init(_ configuration: RaftConfiguration) {
        all = [PlacedConfiguration(index: .zero, configuration: configuration)]
    }

    var newest: PlacedConfiguration { all[all.count - 1] }
    var previous: PlacedConfiguration? { all.count > 1 ? all[all.count - 2] : nil }

    /// The one in force when the log ends at `index`; the oldest known when that is below the base.
    func configuration(at index: LogIndex) -> PlacedConfiguration { all.last { $0.index <= index } ?? all[0] }

    /// - Precondition: the index is above those of the others.
    mutating func append(_ placed: PlacedConfiguration) {
        precondition(placed.index > newest.index, "configurations out of order")
        all.append(placed)
    }

    /// Drops those of the entries from `index` on, which are above the base.
    mutating func truncate(from index: LogIndex) {
        while all.count > 1, newest.index >= index { all.removeLast() }
    }

    /// The log begins behind `index` from now on.
    mutating func compact(through index: LogIndex) {
        guard let position = all.lastIndex(where: { $0.index <= index }), position > 0 else { return }
        all.removeFirst(position)
    }

    /// A snapshot up to `index`, at which `placed` is in force, takes the place of what is up to there; what is behind
    /// stays if `keepsSuffix`.
    mutating func restart(after index: LogIndex, with placed: PlacedConfiguration, keepsSuffix: Bool) {
        all = [placed] + (keepsSuffix ? all.filter { $0.index > index } : [])
    }
}
