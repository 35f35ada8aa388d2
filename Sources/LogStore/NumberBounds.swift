/// Numbers that only count up stay far from where an addition overflows, whatever a disk gives back: what is above
/// these bounds is damage.
enum NumberBounds {
    /// Of frames, sequence numbers, indexes and terms.
    static let counter: UInt64 = 1 << 56
    /// Of segments and incarnations.
    static let segment: UInt32 = 1 << 31
}
