#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// CPU and memory of a process, from /proc.
struct ProcessUsage: Hashable, Sendable {
    /// User and system time of all its threads, in seconds.
    var cpuSeconds: Double
    /// Resident octets.
    var residentBytes: UInt64

    /// Nil when there is no such process.
    init?(process: Int32) {
        guard let stat = ReportFile.read("/proc/\(process)/stat"), let name = stat.lastIndex(of: ")") else {
            return nil
        }
        // Behind the name, state is field 3; utime and stime are 14 and 15.
        let fields = stat[stat.index(after: name)...].split(separator: " ")
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let pages = UInt64(fields[21])
        else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        residentBytes = pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// The sums over `processes`; nil when one of them is missing.
    static func total(_ processes: [Int32]) -> ProcessUsage? {
        var total: ProcessUsage?
        for process in processes {
            guard let usage = ProcessUsage(process: process) else { return nil }
            total = ProcessUsage(
                cpuSeconds: (total?.cpuSeconds ?? 0) + usage.cpuSeconds,
                residentBytes: (total?.residentBytes ?? 0) + usage.residentBytes)
        }
        return total
    }

    private init(cpuSeconds: Double, residentBytes: UInt64) {
        self.cpuSeconds = cpuSeconds
        self.residentBytes = residentBytes
    }

    /// This process's own CPU seconds.
    static var ownCPUSeconds: Double { ProcessUsage(process: getpid())?.cpuSeconds ?? 0 }
}
