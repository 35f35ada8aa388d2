import Primitives

// Applying entries. Whatever is malformed was checked by the leader that proposed it, so it comes from another version
// or a mistake of ours; every replica skips it alike.

extension TopologyState {
    mutating func apply(_ entry: Entry) -> [TopologyApplied] {
        lastApplied = entry.index
        guard entry.header.kind == .commands else { return [] }
        var applied: [TopologyApplied] = []
        entry.headers.withUnsafeBytes { headers in
            var reader = ByteReader(headers)
            while !reader.isAtEnd {
                guard let bytes = try? reader.readLengthPrefixed(limit: TopologyRequest.sizeLimit) else { break }
                var payload = ByteReader(bytes)
                guard let request = try? TopologyRequest.parse(&payload) else { continue }
                applied.append(apply(request, at: entry.header.timestamp))
            }
        }
        return applied
    }

    private mutating func apply(_ parsed: TopologyRequest.Parsed, at time: WallTime) -> TopologyApplied {
        switch parsed {
        case .unknown(let id): return TopologyApplied(request: id, outcome: .unsupported, changes: [])
        case .known(let request):
            var changes: [TopologyChange] = []
            let outcome = perform(request.command, at: time, &changes)
            if !changes.isEmpty { generation += 1 }
            if changes.contains(where: \.affectsAccess) { accessGeneration += 1 }
            return TopologyApplied(request: request.id, outcome: outcome, changes: changes)
        }
    }

    private mutating func perform(
        _ command: TopologyCommand, at time: WallTime, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        switch command {
        case .bootstrap(let bootstrap): self.bootstrap(bootstrap, &changes)
        case .putVirtualHost(let record): putVirtualHost(record, &changes)
        case .deleteVirtualHost(let name): deleteVirtualHost(name, &changes)
        case .putUser(let record): putUser(record, &changes)
        case .deleteUser(let name): deleteUser(name, &changes)
        case .setPermissions(let user, let vhost, let configure, let write, let read):
            setPermissions(
                Permissions(user: user, vhost: vhost, configure: configure, write: write, read: read), &changes)
        case .clearPermissions(let user, let vhost): clearPermissions(user: user, vhost: vhost, &changes)
        case .declareExchange(let record): declareExchange(record, &changes)
        case .deleteExchange(let vhost, let name, let ifUnused):
            deleteExchange(vhost: vhost, name: name, ifUnused: ifUnused, &changes)
        case .declareQueue(let declaration): declareQueue(declaration, at: time, &changes)
        case .deleteQueue(let vhost, let name, let expected):
            deleteQueue(vhost: vhost, name: name, expected: expected, &changes)
        case .bind(let binding): bind(binding, &changes)
        case .unbind(let binding): unbind(binding, &changes)
        case .connectionClosed(let owner): connectionClosed(owner, &changes)
        case .registerNode(let record): registerNode(record, &changes)
        case .replaceStore(let node, let old, let new): replaceStore(of: node, old, by: new, &changes)
        case .nodeIncarnation(let node, let incarnation): observe(node, incarnation, &changes)
        case .nodeLost(let node, let incarnation): nodeLost(node, incarnation, &changes)
        }
    }
}

extension TopologyChange {
    /// Whether a cached permission check may be wrong after it.
    fileprivate var affectsAccess: Bool {
        switch self {
        case .virtualHostCreated, .virtualHostDeleted, .userChanged, .userDeleted, .permissionsChanged: true
        default: false
        }
    }
}
