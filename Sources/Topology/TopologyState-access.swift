import Primitives

// Virtual hosts, users and permissions.

extension TopologyState {
    mutating func bootstrap(_ bootstrap: TopologyBootstrap, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        guard !isBootstrapped else { return .done }
        guard !bootstrap.vhost.isEmpty, !bootstrap.user.name.isEmpty else { return .invalid("empty default name") }
        isBootstrapped = true
        _ = create(VirtualHostRecord(name: bootstrap.vhost), &changes)
        if users[Bytes(bootstrap.user.name)] == nil { _ = putUser(bootstrap.user, &changes) }
        guard users[Bytes(bootstrap.user.name)]?.permissions[Bytes(bootstrap.vhost)] == nil else { return .done }
        return setPermissions(
            Permissions(
                user: bootstrap.user.name, vhost: bootstrap.vhost, configure: bootstrap.configure,
                write: bootstrap.write, read: bootstrap.read),
            &changes)
    }

    mutating func putVirtualHost(_ record: VirtualHostRecord, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        guard !record.name.isEmpty else { return .invalid("empty vhost name") }
        // Metadata of an existing host is for management, which reads it afresh; nothing caches it.
        if !create(record, &changes) { hosts[Bytes(record.name)]?.record = record }
        return .done
    }

    /// Returns false when there is one of that name.
    private mutating func create(_ record: VirtualHostRecord, _ changes: inout [TopologyChange]) -> Bool {
        guard hosts[Bytes(record.name)] == nil else { return false }
        hosts[Bytes(record.name)] = VirtualHost(record)
        changes.append(.virtualHostCreated(record.name))
        return true
    }

    mutating func deleteVirtualHost(_ name: String, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        let key = Bytes(name)
        guard let host = hosts.removeValue(forKey: key) else { return .done }
        for binding in host.sortedBindings { changes.append(.bindingDeleted(binding)) }
        for queue in host.sortedQueues {
            forget(queue.record)
            changes.append(.queueDeleted(queue.record))
        }
        for exchange in host.sortedExchanges { changes.append(.exchangeDeleted(exchange.record)) }
        for user in users.keys.sorted(by: { $0.precedes($1) }) {
            guard let removed = users[user]?.permissions.removeValue(forKey: key) else { continue }
            changes.append(.permissionsChanged(user: removed.user, vhost: name))
        }
        changes.append(.virtualHostDeleted(name))
        return .done
    }

    mutating func putUser(_ record: UserRecord, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        guard !record.name.isEmpty else { return .invalid("empty user name") }
        let key = Bytes(record.name)
        if let current = users[key] {
            guard current.record != record else { return .done }
            users[key]?.record = record
        } else {
            users[key] = User(record: record)
        }
        changes.append(.userChanged(record.name))
        return .done
    }

    mutating func deleteUser(_ name: String, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        if users.removeValue(forKey: Bytes(name)) != nil { changes.append(.userDeleted(name)) }
        return .done
    }

    mutating func setPermissions(_ permissions: Permissions, _ changes: inout [TopologyChange]) -> TopologyOutcome {
        let user = Bytes(permissions.user)
        let vhost = Bytes(permissions.vhost)
        guard users[user] != nil else { return .notFound(.user(permissions.user)) }
        guard hosts[vhost] != nil else { return .notFound(.virtualHost(permissions.vhost)) }
        if let current = users[user]?.permissions[vhost], current.hasSamePatterns(as: permissions) { return .done }
        users[user]?.permissions[vhost] = permissions
        changes.append(.permissionsChanged(user: permissions.user, vhost: permissions.vhost))
        return .done
    }

    mutating func clearPermissions(
        user: String, vhost: String, _ changes: inout [TopologyChange]
    ) -> TopologyOutcome {
        if users[Bytes(user)]?.permissions.removeValue(forKey: Bytes(vhost)) != nil {
            changes.append(.permissionsChanged(user: user, vhost: vhost))
        }
        return .done
    }
}

extension Permissions {
    fileprivate func hasSamePatterns(as other: Permissions) -> Bool {
        configure.text.hasSameBytes(as: other.configure.text) && write.text.hasSameBytes(as: other.write.text)
            && read.text.hasSameBytes(as: other.read.text)
    }
}
