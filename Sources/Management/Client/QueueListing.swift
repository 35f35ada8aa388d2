/// Queues as `warren queue list` prints them.
public enum QueueListing {
    /// A row for each queue of `/api/queues`.
    public static func table(_ queues: [JSON]) -> String {
        var table = TextTable(["queue", "vhost", "type", "leader", "online", "ready", "unacked", "consumers", "state"])
        for queue in queues {
            let members = queue["members"]?.array?.count ?? 0
            let online = queue["online"]?.array?.count ?? 0
            table.append([
                queue["name"]?.text ?? "", queue["vhost"]?.text ?? "", queue["type"]?.text ?? "",
                (queue["leader"] ?? queue["node"])?.text ?? "", members == 0 ? "" : "\(online)/\(members)",
                queue["messages_ready"]?.text ?? "", queue["messages_unacknowledged"]?.text ?? "",
                queue["consumers"]?.text ?? "", queue["state"]?.text ?? "",
            ])
        }
        return table.text
    }

    /// A row for each member of one object.
    public static func details(_ object: JSON) -> String {
        var table = TextTable(["field", "value"])
        guard case .object(let members) = object else { return table.text }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) { table.append([name, value.text]) }
        return table.text
    }
}
