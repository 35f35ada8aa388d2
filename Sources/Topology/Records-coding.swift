import Primitives

// The encodings of records, shared by commands and snapshots.

extension ByteWriter {
    mutating func write(patterns: (String, String, String)) {
        writeLengthPrefixed(patterns.0)
        writeLengthPrefixed(patterns.1)
        writeLengthPrefixed(patterns.2)
    }
}

extension ByteReader {
    mutating func readPatterns() throws(DecodingFailure) -> (String, String, String) {
        (
            try readText(limit: TopologyLimit.text), try readText(limit: TopologyLimit.text),
            try readText(limit: TopologyLimit.text)
        )
    }
}

extension VirtualHostRecord {
    func encode(into writer: inout ByteWriter) {
        writer.writeLengthPrefixed(name)
        writer.writeLengthPrefixed(text)
        writer.writeLengthPrefixed(defaultQueueType)
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        self.init(
            name: try reader.readText(), text: try reader.readText(limit: TopologyLimit.text),
            defaultQueueType: try reader.readText())
    }
}

extension UserRecord {
    func encode(into writer: inout ByteWriter) {
        writer.writeLengthPrefixed(name)
        writer.writeLengthPrefixed(Bytes(passwordHash?.bytes ?? []))
        writer.writeVarint(UInt64(tags.count))
        for tag in tags { writer.writeLengthPrefixed(tag) }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let name = try reader.readText()
        let hash = Array(try reader.readLengthPrefixed(limit: PasswordHash.length))
        guard hash.isEmpty || hash.count == PasswordHash.length else { throw .invalid("password hash") }
        var tags: [String] = []
        for _ in 0..<(try reader.readCount(limit: TopologyLimit.tags)) { tags.append(try reader.readText()) }
        self.init(name: name, passwordHash: PasswordHash(bytes: hash), tags: tags)
    }
}

extension ExchangeRecord {
    func encode(into writer: inout ByteWriter) {
        writer.writeLengthPrefixed(vhost)
        writer.writeLengthPrefixed(name)
        writer.write(type.code)
        writer.write(flag: durable)
        writer.write(flag: autoDelete)
        writer.write(flag: isInternal)
        writer.write(arguments: arguments)
        writer.writeLengthPrefixed(user)
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let vhost = try reader.readText()
        let name = try reader.readText()
        let code = try reader.read(UInt8.self)
        guard let type = ExchangeType.allCases.first(where: { $0.code == code }) else {
            throw .invalid("exchange type")
        }
        self.init(
            vhost: vhost, name: name, type: type, durable: try reader.readFlag(), autoDelete: try reader.readFlag(),
            isInternal: try reader.readFlag(), arguments: try reader.readArguments(), user: try reader.readText())
    }
}

extension ExchangeType {
    /// The number in the log.
    fileprivate var code: UInt8 {
        switch self {
        case .direct: 1
        case .fanout: 2
        case .topic: 3
        case .headers: 4
        }
    }
}

extension QueueDeclaration {
    func encode(into writer: inout ByteWriter) {
        writer.writeLengthPrefixed(vhost)
        writer.writeLengthPrefixed(name)
        writer.write(flag: durable)
        writer.write(flag: autoDelete)
        writer.write(arguments: arguments)
        placement.encode(into: &writer)
        writer.writeLengthPrefixed(user)
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        self.init(
            vhost: try reader.readText(), name: try reader.readText(), durable: try reader.readFlag(),
            autoDelete: try reader.readFlag(), arguments: try reader.readArguments(),
            placement: try QueuePlacement(decoding: &reader), user: try reader.readText())
    }
}

extension QueuePlacement {
    func encode(into writer: inout ByteWriter) {
        switch self {
        case .quorum(let members, let preferredLeader):
            writer.write(UInt8(1))
            writer.writeVarint(UInt64(members.count))
            for member in members { writer.write(member.rawValue) }
            writer.write(preferredLeader.rawValue)
        case .transient(let owner, let incarnation, let connection):
            writer.write(UInt8(2))
            writer.write(owner.rawValue)
            writer.write(incarnation.rawValue)
            writer.write(flag: connection != nil)
            if let connection { writer.write(connection) }
        }
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        switch try reader.read(UInt8.self) {
        case 1:
            var members: [NodeID] = []
            for _ in 0..<(try reader.readCount(limit: TopologyLimit.members)) {
                members.append(NodeID(try reader.read()))
            }
            self = .quorum(members: members, preferredLeader: NodeID(try reader.read()))
            guard isWellFormed else { throw .invalid("members") }
        case 2:
            let owner = NodeID(try reader.read())
            let incarnation = Incarnation(try reader.read())
            let connection: UInt64? = try reader.readFlag() ? try reader.read() : nil
            self = .transient(owner: owner, incarnation: incarnation, connection: connection)
        default: throw .invalid("placement")
        }
    }

    /// Members are sorted, not repeated, at least one, and hold the preferred leader.
    private var isWellFormed: Bool {
        guard case .quorum(let members, let preferredLeader) = self else { return true }
        return members.contains(preferredLeader) && zip(members, members.dropFirst()).allSatisfy { $0 < $1 }
    }
}

extension Binding {
    func encode(into writer: inout ByteWriter) {
        writer.writeLengthPrefixed(vhost)
        writer.writeLengthPrefixed(source)
        if case .exchange = destination { writer.write(UInt8(1)) } else { writer.write(UInt8(0)) }
        writer.writeLengthPrefixed(destination.name)
        writer.writeLengthPrefixed(routingKey)
        writer.write(arguments: arguments)
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        let vhost = try reader.readText()
        let source = try reader.readText()
        let isExchange = try reader.readFlag()
        let name = try reader.readText()
        self.init(
            vhost: vhost, source: source, destination: isExchange ? .exchange(name) : .queue(name),
            routingKey: try reader.readCopy(limit: TopologyLimit.name), arguments: try reader.readArguments())
    }
}

extension NodeRecord {
    func encode(into writer: inout ByteWriter) {
        writer.write(id.rawValue)
        writer.writeLengthPrefixed(name)
        writer.write(store: store)
        writer.writeLengthPrefixed(peerAddress)
        writer.writeLengthPrefixed(clientAddress)
        writer.writeLengthPrefixed(managementAddress)
    }

    init(decoding reader: inout ByteReader) throws(DecodingFailure) {
        self.init(
            id: NodeID(try reader.read()), name: try reader.readText(),
            store: try reader.readStore(),
            peerAddress: try reader.readText(limit: TopologyLimit.text),
            clientAddress: try reader.readText(limit: TopologyLimit.text),
            managementAddress: try reader.readText(limit: TopologyLimit.text))
    }
}
