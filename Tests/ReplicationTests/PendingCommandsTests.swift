import Primitives
import QuorumQueue
import Replication
import Testing

@Suite struct PendingCommandsTests {
    private func takeHeaders(_ pending: inout PendingCommands) -> String? {
        pending.takeEntry().map { String(decoding: $0.headers) }
    }

    @Test func batchesBecomeOneEntry() throws {
        var pending = PendingCommands()
        pending.append(batch("ab", "1", commands: 2))
        pending.append(batch("c", "23", commands: 1))
        pending.append(batch("", commands: 0))
        #expect(pending.commandCount == 3 && pending.byteCount == 6)
        let taken = pending.takeEntry()
        let entry = try #require(taken)
        #expect(String(decoding: entry.headers) == "abc" && String(decoding: entry.bodies) == "123")
        #expect(pending.isEmpty && pending.commandCount == 0 && pending.byteCount == 0)
        #expect(takeHeaders(&pending) == nil)
    }

    @Test func anEntryHasAtMostSoManyCommands() {
        var pending = PendingCommands()
        pending.append(batch("a", commands: EntryHeader.commandLimit - 1))
        pending.append(batch("b", commands: 1))
        pending.append(batch("c", commands: 1))
        #expect(takeHeaders(&pending) == "ab")
        #expect(pending.commandCount == 1)
        #expect(takeHeaders(&pending) == "c")
    }

    @Test func anEntryHasAtMostSoManyBytes() {
        let half = String(repeating: "x", count: EntryHeader.sizeLimit / 2)
        var pending = PendingCommands()
        for _ in 0..<3 { pending.append(batch("", half)) }
        let first = pending.takeEntry()
        #expect(first?.bodies.count == EntryHeader.sizeLimit)
        let second = pending.takeEntry()
        #expect(second?.bodies.count == EntryHeader.sizeLimit / 2)
        #expect(pending.isEmpty)
    }

    /// A message larger than the limit travels alone, and what comes behind it stays behind it.
    @Test func aLargeMessageTravelsAlone() {
        let large = String(repeating: "x", count: EntryHeader.sizeLimit + 1)
        var pending = PendingCommands()
        pending.append(batch("a"))
        pending.append(batch("L", large))
        pending.append(batch("b"))
        var order: [String] = []
        while let headers = takeHeaders(&pending) { order.append(headers) }
        #expect(order == ["a", "L", "b"])
    }

    @Test func removedCommandsAreGone() {
        var pending = PendingCommands()
        pending.append(batch("a"))
        pending.removeAll()
        #expect(pending.isEmpty && pending.commandCount == 0 && pending.byteCount == 0)
    }
}
