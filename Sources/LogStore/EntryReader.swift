public import Primitives

/// Why an entry cannot be read.
public enum EntryReadFailure: Error, Hashable, Sendable {
    /// The segment's file cannot be opened.
    case disk(DiskFailure)
    /// The segment's file is not there, the device does not give the bytes, or they are not the entry: its checksum, or
    /// what it says of itself, differs from the location. A peer has it.
    case damaged(EntryLocation)
}

/// Reads entries from their locations, neighbours with one call. Used by one thread at a time.
///
/// Of a segment that was retired meanwhile nothing is read: its file is gone, or its descriptor, still open, gives
/// bytes that are not the entry. The entry is at the place that its relocation named.
public struct EntryReader<D: Disk>: Sendable {
    private let disk: D
    /// Files held open, the least recently used first. Few: reads go forward through the log.
    private var open: [(segment: UInt32, file: D.File)] = []

    /// Files held open at most.
    public static var openFileLimit: Int { 16 }
    /// Bytes read with one call at most, one larger entry excepted.
    public static var readLimit: Int { 1 << 20 }
    /// Bytes between two entries up to which both are read with one call.
    public static var gapLimit: Int { 16 << 10 }

    /// A reader over the log's files.
    public init(disk: D) { self.disk = disk }

    /// Reads one entry.
    public mutating func read(_ location: EntryLocation) throws(EntryReadFailure) -> Entry {
        let file = try openFile(for: location)
        guard isInside(file, location) else { throw .damaged(location) }
        // What the device refuses for good is as lost as what it gives back changed.
        guard
            let bytes = disk.readPatiently(file, at: Int(location.offset), count: Int(location.length))
        else { throw .damaged(location) }
        return try location.verify(bytes)
    }

    /// Reads many; neighbours that follow each other in the argument are read together and share memory.
    public mutating func read(_ locations: [EntryLocation]) -> [Result<Entry, EntryReadFailure>] {
        var results: [Result<Entry, EntryReadFailure>] = []
        results.reserveCapacity(locations.count)
        var start = 0
        while start < locations.count {
            let end = runEnd(in: locations, from: start)
            read(locations[start..<end], into: &results)
            start = end
        }
        return results
    }

    /// Closes all files.
    public mutating func close() {
        for entry in open { disk.close(entry.file) }
        open = []
    }

    /// Closes the file of a segment that was retired.
    public mutating func forget(_ segment: UInt32) {
        guard let index = open.lastIndex(where: { $0.segment == segment }) else { return }
        disk.close(open.remove(at: index).file)
    }

    /// Nothing is allocated for a length that a damaged directory made up.
    private func isInside(_ file: D.File, _ location: EntryLocation) -> Bool {
        guard Int(location.length) > EntryReader.readLimit else { return true }
        guard let length = try? disk.length(of: file) else { return false }
        return Int(location.offset) + Int(location.length) <= length
    }

    private func runEnd(in locations: [EntryLocation], from start: Int) -> Int {
        let first = locations[start]
        var end = start + 1
        while end < locations.count {
            let previous = locations[end - 1]
            let next = locations[end]
            let previousEnd = Int(previous.offset) + Int(previous.length)
            guard next.segment == first.segment, Int(next.offset) >= previousEnd,
                Int(next.offset) - previousEnd <= EntryReader.gapLimit,
                Int(next.offset) + Int(next.length) - Int(first.offset) <= EntryReader.readLimit
            else { break }
            end += 1
        }
        return end
    }

    private mutating func read(
        _ run: ArraySlice<EntryLocation>, into results: inout [Result<Entry, EntryReadFailure>]
    ) {
        guard let first = run.first, let last = run.last else { return }
        guard run.count > 1 else { return results.append(Result { () throws(EntryReadFailure) in try read(first) }) }
        let base = Int(first.offset)
        let file: D.File
        do throws(EntryReadFailure) {
            file = try openFile(for: first)
        } catch {
            for location in run {
                if case .damaged = error {
                    results.append(.failure(.damaged(location)))
                } else {
                    results.append(.failure(error))
                }
            }
            return
        }
        let bytes: Bytes
        do throws(DiskFailure) {
            bytes = try disk.read(file, at: base, count: Int(last.offset) + Int(last.length) - base)
        } catch {
            // A sector that cannot be read costs the entries in it, not their neighbours.
            for location in run {
                do throws(EntryReadFailure) {
                    results.append(.success(try read(location)))
                } catch {
                    results.append(.failure(error))
                }
            }
            return
        }
        for location in run {
            let start = Int(location.offset) - base
            let end = start + Int(location.length)
            guard end <= bytes.count else {
                results.append(.failure(.damaged(location)))
                continue
            }
            do throws(EntryReadFailure) {
                results.append(.success(try location.verify(bytes[start..<end])))
            } catch {
                results.append(.failure(error))
            }
        }
    }

    /// A file that is gone has taken the entry with it, unless it was retired: then nobody needs the place any more.
    private mutating func openFile(for location: EntryLocation) throws(EntryReadFailure) -> D.File {
        do throws(DiskFailure) {
            return try file(of: location.segment)
        } catch {
            if case .notFound = error { throw .damaged(location) }
            throw .disk(error)
        }
    }

    /// The open file of a segment.
    mutating func file(of segment: UInt32) throws(DiskFailure) -> D.File {
        if let index = open.lastIndex(where: { $0.segment == segment }) {
            let entry = open.remove(at: index)
            open.append(entry)
            return entry.file
        }
        let file = try disk.open(SegmentName.name(of: segment))
        if open.count == EntryReader.openFileLimit { disk.close(open.removeFirst().file) }
        open.append((segment, file))
        return file
    }
}

extension EntryLocation {
    /// Checks that `bytes` are this entry.
    func verify(_ bytes: Bytes) throws(EntryReadFailure) -> Entry {
        guard offset > 0, bytes.count == Int(length), CRC32C.checksum(bytes) == checksum else { throw .damaged(self) }
        let entry: Entry
        do throws(DecodingFailure) {
            entry = try Entry(bytes)
        } catch {
            throw .damaged(self)
        }
        guard entry.group == group, entry.index == index, entry.term == term else { throw .damaged(self) }
        return entry
    }
}
