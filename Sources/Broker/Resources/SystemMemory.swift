/// What Linux tells of memory, read from the texts of its files.
public enum SystemMemory {
    /// Bytes that the process can have: the machine's memory, or less where a control group of either version limits
    /// it; nil when neither is known.
    ///
    /// - Parameter read: the text of the file at a path, nil when there is none.
    public static func available(_ read: (String) -> String?) -> UInt64? {
        var least = read("/proc/meminfo").flatMap(total)
        for path in limitFiles(read("/proc/self/cgroup") ?? "") {
            // `max` in version 2: no number, no limit.
            guard let limit = read(path).flatMap({ UInt64($0.trimmed) }), limit > 0 else { continue }
            least = min(least ?? limit, limit)
        }
        return least
    }

    /// Resident bytes of a process.
    ///
    /// - Parameter statm: the text of its `/proc/…/statm`.
    public static func resident(statm: String, pageSize: UInt64) -> UInt64? {
        let fields = statm.split(whereSeparator: \.isWhitespace)
        guard fields.count > 1, let pages = UInt64(fields[1]) else { return nil }
        let (bytes, overflows) = pages.multipliedReportingOverflow(by: pageSize)
        return overflows ? nil : bytes
    }

    private static func total(_ meminfo: String) -> UInt64? {
        guard let line = meminfo.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }) else { return nil }
        let fields = line.split(whereSeparator: \.isWhitespace)
        guard fields.count > 1, let kibibytes = UInt64(fields[1]) else { return nil }
        let (bytes, overflows) = kibibytes.multipliedReportingOverflow(by: 1_024)
        return overflows ? nil : bytes
    }

    /// Where the limits of the process's groups stand: of its own and of those around it, since each one binds.
    private static func limitFiles(_ groups: String) -> [String] {
        groups.split(separator: "\n").flatMap { line -> [String] in
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            let isSecondVersion = parts[0] == "0" && parts[1].isEmpty
            guard isSecondVersion || parts[1].split(separator: ",").contains("memory") else { return [] }
            let root = isSecondVersion ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let file = isSecondVersion ? "memory.max" : "memory.limit_in_bytes"
            let names = parts[2].split(separator: "/")
            // In a container the path may lead out of what is mounted there.
            let depth = names.contains("..") ? 0 : names.count
            return (0...depth).map { ([root] + names.prefix($0).map(String.init) + [file]).joined(separator: "/") }
        }
    }
}
