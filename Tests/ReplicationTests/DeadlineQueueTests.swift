import Primitives
import Replication
import Testing

@Suite struct DeadlineQueueTests {
    private func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }

    @Test func givesWhatIsDueInOrder() {
        var queue = DeadlineQueue<String>()
        #expect(queue.next == .distantFuture)
        #expect(queue.pop(due: at(1_000)) == nil)
        queue.insert("late", at: at(30))
        queue.insert("early", at: at(10))
        queue.insert("middle", at: at(20))
        #expect(queue.next == at(10))
        #expect(queue.pop(due: at(9)) == nil)
        #expect(queue.pop(due: at(20)) == "early")
        #expect(queue.pop(due: at(20)) == "middle")
        #expect(queue.pop(due: at(20)) == nil)
        #expect(queue.next == at(30))
        #expect(queue.pop(due: .distantFuture) == "late")
        #expect(queue.next == .distantFuture)
    }

    @Test func equalDeadlinesKeepTheOrderOfInsertion() {
        var queue = DeadlineQueue<Int>()
        for number in 0..<100 { queue.insert(number, at: at(UInt64(number % 2))) }
        var popped: [Int] = []
        while let number = queue.pop(due: at(1)) { popped.append(number) }
        #expect(popped == (0..<100).filter { $0 % 2 == 0 } + (0..<100).filter { $0 % 2 == 1 })
    }
}
