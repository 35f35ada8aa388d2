/// What became of the messages of a measurement.
public struct Integrity: Hashable, Sendable {
    /// Messages, each counted once.
    public var sent: UInt64 = 0
    /// Sends beyond the first of each message.
    public var resent: UInt64 = 0
    /// Messages the broker confirmed.
    public var confirmed: UInt64 = 0
    /// Messages it did not.
    public var unconfirmed: UInt64 = 0
    /// Deliveries of any kind.
    public var deliveries: UInt64 = 0
    /// Messages confirmed and never delivered: the broker lost them.
    public var lost: UInt64 = 0
    /// The number of the first of them, as the publisher counts from 0.
    public var firstLost: UInt64?
    /// Repeated deliveries that said so with the redelivered flag.
    public var duplicatesFlagged: UInt64 = 0
    /// Repeated deliveries without the flag, of which the publisher's own resends explain some.
    public var duplicatesUnflagged: UInt64 = 0
    /// Deliveries without the flag beyond the number of sends: the broker made them.
    public var duplicatesUnexplained: UInt64 = 0
    /// First deliveries behind a later message of the same publisher, without the redelivered flag.
    public var reordered: UInt64 = 0
    /// The same with the flag, which AMQP allows.
    public var reorderedFlagged: UInt64 = 0
    /// Bodies that are not what was sent.
    public var corrupt: UInt64 = 0
    /// Intact messages of somebody else.
    public var foreign: UInt64 = 0

    /// Nothing happened.
    public init() {}

    /// The broker kept its promises.
    public var isClean: Bool { lost == 0 && duplicatesUnexplained == 0 && reordered == 0 && corrupt == 0 }

    /// `lost L, duplicates D, reordered R`, and what else is wrong.
    public var verdict: String {
        var text = "lost \(lost), duplicates \(duplicatesUnexplained), reordered \(reordered)"
        if corrupt > 0 { text += ", corrupt \(corrupt)" }
        if unconfirmed > 0 { text += ", unconfirmed \(unconfirmed)" }
        return text
    }

    /// The counts of two publishers together.
    public static func + (a: Integrity, b: Integrity) -> Integrity {
        var sum = a
        sum.sent += b.sent
        sum.resent += b.resent
        sum.confirmed += b.confirmed
        sum.unconfirmed += b.unconfirmed
        sum.deliveries += b.deliveries
        sum.lost += b.lost
        sum.firstLost = a.firstLost ?? b.firstLost
        sum.duplicatesFlagged += b.duplicatesFlagged
        sum.duplicatesUnflagged += b.duplicatesUnflagged
        sum.duplicatesUnexplained += b.duplicatesUnexplained
        sum.reordered += b.reordered
        sum.reorderedFlagged += b.reorderedFlagged
        sum.corrupt += b.corrupt
        sum.foreign += b.foreign
        return sum
    }

    var json: JSONValue {
        [
            ("sent", .integer(sent)), ("resent", .integer(resent)), ("confirmed", .integer(confirmed)),
            ("unconfirmed", .integer(unconfirmed)), ("deliveries", .integer(deliveries)), ("lost", .integer(lost)),
            ("first_lost", firstLost.map { .integer($0) } ?? .null),
            ("duplicates_flagged", .integer(duplicatesFlagged)),
            ("duplicates_unflagged", .integer(duplicatesUnflagged)),
            ("duplicates_unexplained", .integer(duplicatesUnexplained)), ("reordered", .integer(reordered)),
            ("reordered_flagged", .integer(reorderedFlagged)), ("corrupt", .integer(corrupt)),
            ("foreign", .integer(foreign)), ("clean", .bool(isClean)),
        ]
    }
}
