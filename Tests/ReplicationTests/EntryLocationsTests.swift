import LogStore
import Primitives
import Replication
import Testing

@Suite struct EntryLocationsTests {
    private func location(_ index: UInt64, segment: UInt32 = 1, term: UInt64 = 1) -> EntryLocation {
        EntryLocation(
            group: GroupID(5), index: LogIndex(index), term: Term(term), segment: segment, offset: UInt32(index * 100),
            length: UInt32(index), checksum: 0)
    }

    private func filled(_ count: UInt64) -> EntryLocations {
        var locations = EntryLocations()
        for index in 1...count where !locations.append(location(index)) { Issue.record("\(index) does not fit") }
        return locations
    }

    private func all(_ locations: EntryLocations) -> [UInt64] {
        var found: [UInt64] = []
        locations.forEach { found.append($0.index.rawValue) }
        return found
    }

    @Test func takesEntriesInOrderOnly() {
        var locations = filled(3)
        let isTaken = [locations.append(location(3)), locations.append(location(5))]
        #expect(isTaken == [false, false])
        #expect(locations.end == LogIndex(4) && locations.byteCount == 6)
        #expect(locations[LogIndex(2)] == location(2))
        #expect(locations[LogIndex(0)] == nil && locations[LogIndex(4)] == nil)
    }

    @Test func truncationGivesBackWhatItDrops() {
        var locations = filled(5)
        let dropped = [locations.truncate(from: LogIndex(4)), locations.truncate(from: LogIndex(4))]
        #expect(dropped.map { $0.map(\.index.rawValue) } == [[4, 5], []])
        #expect(locations.byteCount == 6)
        let isTaken = locations.append(location(4, term: 2))
        #expect(isTaken)
        #expect(locations[LogIndex(4)]?.term == Term(2))
    }

    @Test func aSnapshotKeepsWhatIsLive() {
        var locations = filled(10)
        let dropped = locations.compact(
            through: LogIndex(8), live: [LogIndex(2)...LogIndex(3), LogIndex(6)...LogIndex(6)])
        #expect(dropped.map(\.index.rawValue) == [1, 4, 5, 7, 8])
        #expect(all(locations) == [2, 3, 6, 9, 10])
        #expect(locations.base == LogIndex(8) && locations.end == LogIndex(11) && locations.retainedCount == 3)
        #expect(locations.byteCount == 30)
        #expect(locations[LogIndex(6)] == location(6) && locations[LogIndex(5)] == nil)
        #expect(locations[LogIndex(9)] == location(9))
        #expect(locations.first(from: LogIndex(4))?.index == LogIndex(6))
        #expect(locations.first(from: LogIndex(7))?.index == LogIndex(9))
        #expect(locations.first(from: LogIndex(11)) == nil)
        #expect(locations.byteCount(in: [LogIndex(1)...LogIndex(2), LogIndex(6)...LogIndex(9)]) == 17)
        let belowBase = locations.truncate(from: LogIndex(3))
        #expect(belowBase.isEmpty)
        let more = locations.compact(
            through: LogIndex(10), live: [LogIndex(3)...LogIndex(3), LogIndex(10)...LogIndex(10)])
        #expect(more.map(\.index.rawValue) == [2, 6, 9])
        #expect(all(locations) == [3, 10] && locations.byteCount == 13)
    }

    @Test func anInstalledSnapshotTakesTheLogsPlace() {
        var locations = filled(6)
        let dropped = locations.install(
            through: LogIndex(20), live: [location(2), location(15, segment: 3)], keepsSuffix: false)
        #expect(dropped.map(\.index.rawValue) == [1, 3, 4, 5, 6])
        #expect(all(locations) == [2, 15] && locations.end == LogIndex(21) && locations.byteCount == 17)
        let isTaken = locations.append(location(21))
        #expect(isTaken)
    }

    @Test func anInstalledSnapshotMayKeepItsContinuation() {
        var locations = filled(6)
        let dropped = locations.install(through: LogIndex(4), live: [location(3, segment: 2)], keepsSuffix: true)
        // The copy that came with the snapshot takes the place of the log's own.
        #expect(dropped.map(\.index.rawValue) == [1, 2, 3, 4])
        #expect(all(locations) == [3, 5, 6] && locations[LogIndex(3)]?.segment == 2)
    }

    @Test func copiesTakeTheOriginalsPlace() {
        var locations = filled(6)
        _ = locations.compact(through: LogIndex(4), live: [LogIndex(2)...LogIndex(2)])
        for index: UInt64 in [2, 5] {
            let copy = location(index, segment: 9)
            let isMoved = locations.move(location(index), to: copy)
            #expect(isMoved)
            #expect(locations.holds(copy) && !locations.holds(location(index)))
            let isMovedAgain = locations.move(location(index), to: location(index, segment: 10))
            #expect(!isMovedAgain)
        }
        let isDeadMoved = locations.move(location(3), to: location(3, segment: 9))
        #expect(!isDeadMoved)
    }
}
