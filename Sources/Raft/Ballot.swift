import Primitives

/// Who granted and who refused a term, by voter position.
struct Ballot: Sendable {
    /// What is voted about; zero for nothing.
    let term: Term
    private var granted: UInt8 = 0
    private var refused: UInt8 = 0

    init(term: Term = .zero) { self.term = term }

    var grantedCount: Int { granted.nonzeroBitCount }
    var refusedCount: Int { refused.nonzeroBitCount }

    /// Whether the voter at `position` has answered.
    func hasAnswer(of position: Int) -> Bool { (granted | refused) & (1 << UInt8(position)) != 0 }

    /// A grant outweighs an earlier refusal: what was granted stays granted.
    mutating func note(_ position: Int, isGranted: Bool) {
        let bit: UInt8 = 1 << UInt8(position)
        if isGranted {
            granted |= bit
            refused &= ~bit
        } else if granted & bit == 0 {
            refused |= bit
        }
    }
}

/// Who asked for a pre-vote that was refused, and how.
struct RefusedPreVote: Sendable {
    var node: NodeID
    var message: PreVote
}
