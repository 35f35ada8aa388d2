package import LogStore

/// What a node has run low on.
public struct ResourceAlarms: OptionSet, Hashable, Sendable {
    /// One bit a resource.
    public let rawValue: UInt8
    /// The process takes as much memory as it may.
    public static let memory = ResourceAlarms(rawValue: 1)
    /// The data directory's file system has as little space as it may.
    public static let disk = ResourceAlarms(rawValue: 2)

    /// Alarms by their bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// RabbitMQ's reason in `connection.blocked`; nil without an alarm.
    public var reason: String? {
        var resources: [String] = []
        if contains(.memory) { resources.append("memory") }
        if contains(.disk) { resources.append("disk") }
        return resources.isEmpty ? nil : "low on " + resources.joined(separator: " & ")
    }
}

/// One measurement; what could not be measured is nil and changes nothing.
public struct ResourceReading: Hashable, Sendable {
    /// Resident bytes of the process.
    public var memoryUsed: UInt64?
    /// Bytes that the data directory's file system still takes.
    public var diskFree: UInt64?

    /// One measurement.
    public init(memoryUsed: UInt64?, diskFree: UInt64?) {
        self.memoryUsed = memoryUsed
        self.diskFree = diskFree
    }
}

/// What a node has and what it has run low on, in bytes.
public struct NodeResources: Hashable, Sendable {
    /// The last measurement of each resource.
    public var reading: ResourceReading
    /// What the measurements are held against.
    public var limits: ResourceLimits
    /// The alarms in effect.
    public var alarms: ResourceAlarms

    package init(reading: ResourceReading, limits: ResourceLimits, alarms: ResourceAlarms = []) {
        self.reading = reading
        self.limits = limits
        self.alarms = alarms
    }
}

/// Decides from measurements when a node's alarms are raised and cleared.
///
/// An alarm is raised when its limit is reached and cleared only some way back from it (5 % of the memory limit, 10 %
/// of the disk limit), so that a figure at the limit does not stop and start the publishers with every measurement.
/// While the node log lacks space, there is a disk alarm whatever was measured.
package struct ResourceMonitor: Sendable {
    /// The last measurements and the alarms that follow.
    package private(set) var state: NodeResources
    private var isDiskLow = false
    private var logSpace = LogSpace.sufficient

    package init(_ limits: ResourceLimits) {
        state = NodeResources(reading: ResourceReading(memoryUsed: nil, diskFree: nil), limits: limits)
    }

    /// Takes a measurement.
    ///
    /// - Returns: the alarms that were raised or cleared by it.
    package mutating func observe(_ reading: ResourceReading) -> ResourceAlarms {
        let before = state.alarms
        if let used = reading.memoryUsed {
            state.reading.memoryUsed = used
            let limit = state.limits.memory
            if used >= limit {
                state.alarms.insert(.memory)
            } else if used < limit - limit / 20 {
                state.alarms.remove(.memory)
            }
        }
        if let free = reading.diskFree {
            state.reading.diskFree = free
            let limit = state.limits.diskFree
            if free <= limit {
                isDiskLow = true
            } else if free - limit > limit / 10 {
                isDiskLow = false
            }
            settleDisk()
        }
        return before.symmetricDifference(state.alarms)
    }

    /// Takes what the node log says of its disk.
    ///
    /// - Returns: the alarms that were raised or cleared by it.
    package mutating func observe(logSpace space: LogSpace) -> ResourceAlarms {
        let before = state.alarms
        logSpace = space
        settleDisk()
        return before.symmetricDifference(state.alarms)
    }

    private mutating func settleDisk() {
        if isDiskLow || logSpace != .sufficient { state.alarms.insert(.disk) } else { state.alarms.remove(.disk) }
    }
}
