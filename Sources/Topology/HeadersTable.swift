import Primitives

/// The rule of a headers binding (`x-match`).
struct HeadersRule: Sendable {
    let needsAll: Bool
    /// What the message must carry; a void value asks for the name only.
    let fields: [TopologyArguments.Field]

    /// Nil when `x-match` is none of `all`, `any`, `all-with-x`, `any-with-x`.
    init?(_ arguments: TopologyArguments) {
        let withX: Bool
        switch arguments["x-match"] {
        case nil, .string("all"): (needsAll, withX) = (true, false)
        case .string("any"): (needsAll, withX) = (false, false)
        case .string("all-with-x"): (needsAll, withX) = (true, true)
        case .string("any-with-x"): (needsAll, withX) = (false, true)
        default: return nil
        }
        fields = arguments.fields.filter { field in
            withX ? !field.name.hasSameBytes(as: "x-match") : !field.name.utf8.starts(with: "x-".utf8)
        }
    }

    /// A rule without fields matches everything with `all` and nothing with `any`.
    func matches(_ headers: (String) -> TopologyValue?) -> Bool {
        for field in fields {
            let isMet =
                switch headers(field.name) {
                case nil: false
                case let value?: field.value == .void || field.value == value
                }
            if isMet != needsAll { return isMet }
        }
        return needsAll
    }
}

/// The bindings of a headers exchange, tried one after another.
struct HeadersTable: Sendable {
    private struct Row: Sendable {
        let rule: HeadersRule
        let arguments: TopologyArguments
        let destination: RouterDestination
    }

    private var rows: [Row] = []

    mutating func insert(_ arguments: TopologyArguments, _ destination: RouterDestination) {
        guard let rule = HeadersRule(arguments) else { return }
        rows.append(Row(rule: rule, arguments: arguments, destination: destination))
    }

    /// Removes one such binding: others may differ from it in key only.
    mutating func remove(_ arguments: TopologyArguments, _ destination: RouterDestination) {
        guard let index = rows.firstIndex(where: { $0.destination == destination && $0.arguments == arguments })
        else { return }
        rows.remove(at: index)
    }

    /// Appends what matches to the buffer: queues may be repeated.
    func match(_ headers: (String) -> TopologyValue?, into buffer: inout RouteBuffer) {
        for row in rows where row.rule.matches(headers) {
            switch row.destination {
            case .queue(let target): buffer.targets.append(target)
            case .exchange(let slot): buffer.pending.append(slot)
            }
        }
    }
}
