/// Numbers that only count up stay far from where an addition overflows, whatever a disk or a peer gives: what is above
/// these bounds is damage, or a lie.
public enum CounterBound {
    /// Of indexes, terms, frames and records that a disk gives back.
    public static let stored: UInt64 = 1 << 56
    /// Of indexes and terms that a peer names; below what the disk gives back, as counting goes on from there.
    public static let received: UInt64 = 1 << 55
    /// Of segments and incarnations that a disk gives back.
    public static let segment: UInt32 = 1 << 31
}
