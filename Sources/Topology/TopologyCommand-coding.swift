import Primitives

extension TopologyCommand {
    func encode(into writer: inout ByteWriter) {
        writer.write(tag)
        switch self {
        case .bootstrap(let bootstrap):
            writer.writeLengthPrefixed(bootstrap.vhost)
            bootstrap.user.encode(into: &writer)
            writer.write(patterns: (bootstrap.configure, bootstrap.write, bootstrap.read))
        case .putVirtualHost(let record): record.encode(into: &writer)
        case .deleteVirtualHost(let name), .deleteUser(let name): writer.writeLengthPrefixed(name)
        case .putUser(let record): record.encode(into: &writer)
        case .setPermissions(let user, let vhost, let configure, let write, let read):
            writer.writeLengthPrefixed(user)
            writer.writeLengthPrefixed(vhost)
            writer.write(patterns: (configure, write, read))
        case .clearPermissions(let user, let vhost):
            writer.writeLengthPrefixed(user)
            writer.writeLengthPrefixed(vhost)
        case .declareExchange(let record): record.encode(into: &writer)
        case .deleteExchange(let vhost, let name, let ifUnused):
            writer.writeLengthPrefixed(vhost)
            writer.writeLengthPrefixed(name)
            writer.write(flag: ifUnused)
        case .declareQueue(let declaration): declaration.encode(into: &writer)
        case .deleteQueue(let vhost, let name, let expected):
            writer.writeLengthPrefixed(vhost)
            writer.writeLengthPrefixed(name)
            writer.write(flag: expected != nil)
            if let expected { writer.write(expected) }
        case .bind(let binding), .unbind(let binding): binding.encode(into: &writer)
        case .connectionClosed(let owner):
            writer.write(owner.node.rawValue)
            writer.write(owner.incarnation.rawValue)
            writer.write(owner.connection)
        case .registerNode(let record): record.encode(into: &writer)
        case .replaceStore(let node, let old, let new):
            writer.write(node.rawValue)
            writer.write(store: old)
            writer.write(store: new)
        case .nodeIncarnation(let node, let incarnation), .nodeLost(let node, let incarnation):
            writer.write(node.rawValue)
            writer.write(incarnation.rawValue)
        }
    }

    /// The number of the command in the log. Numbers are never reused.
    private var tag: UInt8 {
        switch self {
        case .bootstrap: 1
        case .putVirtualHost: 2
        case .deleteVirtualHost: 3
        case .putUser: 4
        case .deleteUser: 5
        case .setPermissions: 6
        case .clearPermissions: 7
        case .declareExchange: 8
        case .deleteExchange: 9
        case .declareQueue: 10
        case .deleteQueue: 11
        case .bind: 12
        case .unbind: 13
        case .connectionClosed: 14
        case .registerNode: 15
        case .nodeIncarnation: 16
        case .nodeLost: 17
        case .replaceStore: 18
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.read(UInt8.self) {
        case 1:
            let vhost = try reader.readText()
            let user = try UserRecord(decoding: &reader)
            let patterns = try reader.readPatterns()
            self = .bootstrap(
                TopologyBootstrap(
                    vhost: vhost, user: user, configure: patterns.0, write: patterns.1, read: patterns.2))
        case 2: self = .putVirtualHost(try VirtualHostRecord(decoding: &reader))
        case 3: self = .deleteVirtualHost(try reader.readText())
        case 4: self = .putUser(try UserRecord(decoding: &reader))
        case 5: self = .deleteUser(try reader.readText())
        case 6:
            let user = try reader.readText()
            let vhost = try reader.readText()
            let patterns = try reader.readPatterns()
            self = .setPermissions(
                user: user, vhost: vhost, configure: patterns.0, write: patterns.1, read: patterns.2)
        case 7: self = .clearPermissions(user: try reader.readText(), vhost: try reader.readText())
        case 8: self = .declareExchange(try ExchangeRecord(decoding: &reader))
        case 9:
            self = .deleteExchange(
                vhost: try reader.readText(), name: try reader.readText(), ifUnused: try reader.readFlag())
        case 10: self = .declareQueue(try QueueDeclaration(decoding: &reader))
        case 11:
            let vhost = try reader.readText()
            let name = try reader.readText()
            let expected: UInt64? = try reader.readFlag() ? try reader.read() : nil
            self = .deleteQueue(vhost: vhost, name: name, expected: expected)
        case 12: self = .bind(try Binding(decoding: &reader))
        case 13: self = .unbind(try Binding(decoding: &reader))
        case 14:
            self = .connectionClosed(
                ConnectionOwner(
                    node: NodeID(try reader.read()), incarnation: Incarnation(try reader.read()),
                    connection: try reader.read()))
        case 15: self = .registerNode(try NodeRecord(decoding: &reader))
        case 16: self = .nodeIncarnation(NodeID(try reader.read()), Incarnation(try reader.read()))
        case 17: self = .nodeLost(NodeID(try reader.read()), Incarnation(try reader.read()))
        case 18:
            self = .replaceStore(NodeID(try reader.read()), try reader.readStore(), by: try reader.readStore())
        default: throw .invalid("command")
        }
    }
}
