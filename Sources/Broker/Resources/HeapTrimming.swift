/// Decides, once a second, whether the memory that was freed and that the allocator keeps goes back to the system.
///
/// That locks the heap for as long as there is something to give back. So it is done where memory is short, whatever
/// else goes on, and otherwise when the process has little to do and has grown since the last time: what a flood of
/// clients took is given back when they have gone.
public struct HeapTrimming: Sendable {
    /// Growth that is worth the trouble, in bytes.
    private static let step: UInt64 = 1 << 20

    private let limit: UInt64
    /// Resident bytes after the last time, or the fewest seen since.
    private var floor = UInt64.max

    /// - Parameter limit: resident bytes at which publishers have to wait.
    public init(limit: UInt64) { self.limit = limit }

    /// - Parameters:
    ///   - resident: bytes.
    ///   - load: the process's share of one processor during the last second.
    public mutating func isDue(resident: UInt64, load: Double) -> Bool {
        if resident >= limit - limit / 20 { return true }
        floor = min(floor, resident)
        return load < 0.1 && resident >= floor + HeapTrimming.step
    }

    /// Takes note of what is left.
    public mutating func trimmed(resident: UInt64) { floor = resident }
}
