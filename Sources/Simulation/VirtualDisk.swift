import Primitives

/// A disk in memory that loses what was not synced: when power fails, every such sector is kept, lost or torn for
/// itself, a file that grew may be shorter, and of the directory's changes a prefix stays.
///
/// What a process wrote survives the process: the page cache shows it to the next one, synced or not.
/// Confined to the simulation's one thread.
final class VirtualDisk: Disk, @unchecked Sendable {
    struct File: Hashable, Sendable { let number: Int }

    private enum DirectoryChange {
        case created(String, Int)
        case renamed(String, String)
        case exchanged(String, String)
        case removed(String)
    }

    static let sector = 512

    private var files: [VirtualFile] = []
    /// Names as they are, as they are durable, and what was done in between.
    private var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    private var changes: [DirectoryChange] = []

    /// The next reads, so many, fail.
    var readErrorsLeft = 0
    /// The next sync fails, once.
    var failsNextSync = false
    /// Power fails at the change after so many; nil for never.
    var changesLeft: Int?
    /// Power has failed: nothing works until `crash`.
    private(set) var isOff = false
    /// Called when power fails.
    var onPowerLoss: () -> Void = {}
    /// Bytes that all files may take; nil while there is space enough.
    private var capacity: Int?
    /// Failures that the process has met.
    private(set) var readErrors: UInt64 = 0
    private(set) var failedSyncs: UInt64 = 0
    /// Writes, reservations and creations that a full disk refused.
    private(set) var refusals: UInt64 = 0
    /// For a planted bug: a write of what the page cache shows anyway does nothing.
    var skipsEqualWrites = false
    /// For a planted bug: the directory is not synced.
    var skipsDirectorySyncs = false

    // MARK: Disk

    func list() throws(DiskFailure) -> [String] { names.keys.sorted() }

    func open(_ name: String) throws(DiskFailure) -> File {
        guard let number = names[name] else { throw .notFound(name) }
        return File(number: number)
    }

    func create(_ name: String) throws(DiskFailure) -> File {
        try draw("create")
        guard names[name] == nil else { throw .system(errno: 17, operation: "create", file: name) }
        guard space > 0 else { throw refuse() }
        files.append(VirtualFile())
        change(.created(name, files.count - 1))
        return File(number: files.count - 1)
    }

    func reserve(_ file: File, count: Int) throws(DiskFailure) {
        guard count - files[file.number].bytes.count <= space else { throw refuse() }
    }

    func length(of file: File) throws(DiskFailure) -> Int { files[file.number].bytes.count }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        let isRefused = isOff || readErrorsLeft > 0
        if isRefused && !isOff { readErrorsLeft -= 1 }
        guard !isRefused, !files[file.number].isUnreadable(offset..<offset + buffer.count) else {
            readErrors += 1
            throw .system(errno: 5, operation: "read", file: "\(file.number)")
        }
        return files[file.number].bytes.withUnsafeBytes { bytes in
            let start = min(offset, bytes.count)
            let count = min(buffer.count, bytes.count - start)
            guard count > 0 else { return 0 }
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            return count
        }
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        let count = parts.reduce(0) { $0 + $1.count }
        guard count > 0 else { return }
        try draw("write")
        if skipsEqualWrites, shows(file, at: offset, parts) { return }
        guard offset + count - files[file.number].bytes.count <= space else {
            // What fits is written, as a file system does it.
            let fitting = files[file.number].bytes.count + space - offset
            let bytes = parts.flatMap { $0.toArray() }.prefix(max(0, fitting))
            if !bytes.isEmpty { put([Bytes(Array(bytes))], count: bytes.count, in: file, at: offset) }
            throw refuse()
        }
        put(parts, count: count, in: file, at: offset)
    }

    private func put(_ parts: [Bytes], count: Int, in file: File, at offset: Int) {
        files[file.number].prepare(offset..<offset + count)
        var place = offset
        files[file.number].bytes.withUnsafeMutableBytes { bytes in
            for part in parts {
                part.withUnsafeBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: bytes[place...]).copyMemory(from: source)
                }
                place += part.count
            }
        }
    }

    func sync(_ file: File) throws(DiskFailure) {
        try draw("fdatasync")
        guard !failsNextSync else {
            failsNextSync = false
            failedSyncs += 1
            files[file.number].failSync()
            throw .system(errno: 5, operation: "fdatasync", file: "\(file.number)")
        }
        files[file.number].sync()
    }

    func close(_ file: File) {}

    func rename(_ name: String, to newName: String) throws(DiskFailure) {
        try draw("rename")
        guard names[name] != nil else { throw .notFound(name) }
        change(.renamed(name, newName))
    }

    func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        try draw("rename")
        guard names[name] != nil else { throw .notFound(name) }
        guard names[other] != nil else { throw .notFound(other) }
        change(.exchanged(name, other))
    }

    func remove(_ name: String) throws(DiskFailure) {
        try draw("unlink")
        guard names[name] != nil else { throw .notFound(name) }
        change(.removed(name))
    }

    func syncDirectory() throws(DiskFailure) {
        try draw("fsync")
        if skipsDirectorySyncs { return }
        durableNames = names
        changes = []
    }

    /// A change needs power.
    private func draw(_ operation: String) throws(DiskFailure) {
        if changesLeft == 0 && !isOff {
            isOff = true
            onPowerLoss()
        }
        guard !isOff else { throw .system(errno: 5, operation: operation, file: "") }
        if let left = changesLeft { changesLeft = left - 1 }
    }

    private func change(_ change: DirectoryChange) {
        changes.append(change)
        VirtualDisk.apply(change, to: &names)
    }

    private static func apply(_ change: DirectoryChange, to names: inout [String: Int]) {
        switch change {
        case .created(let name, let number): names[name] = number
        case .renamed(let name, let newName): names[newName] = names.removeValue(forKey: name)
        case .exchanged(let name, let other):
            let number = names[name]
            names[name] = names[other]
            names[other] = number
        case .removed(let name): names[name] = nil
        }
    }

    /// What the disk still takes.
    private var space: Int {
        guard let capacity else { return .max }
        return max(0, capacity - names.values.reduce(0) { $0 + files[$1].bytes.count })
    }

    private func refuse() -> DiskFailure {
        refusals += 1
        return .noSpace
    }

    private func shows(_ file: File, at offset: Int, _ parts: [Bytes]) -> Bool {
        var place = offset
        for part in parts {
            let range = place..<place + part.count
            guard contents(file, range).elementsEqual(part.toArray()) else { return false }
            place = range.upperBound
        }
        return true
    }

    // MARK: Faults

    /// Others take all space but for so many bytes.
    func fill(leaving count: Int) {
        capacity = names.values.reduce(count) { $0 + files[$1].bytes.count }
    }

    /// There is space enough again.
    func free() { capacity = nil }

    /// What a power failure took.
    struct Loss {
        var sectors = 0
        var directoryChanges = 0
    }

    /// Power fails: what was not synced is lost, kept or torn.
    func crash(_ random: inout SeededRandom) -> Loss {
        isOff = false
        changesLeft = nil
        var loss = Loss()
        for number in files.indices { loss.sectors += files[number].crash(&random) }
        // A journal brings the directory's changes to the disk in their order.
        let kept = changes.isEmpty ? 0 : Int(random.next(below: UInt64(changes.count) + 1))
        loss.directoryChanges = changes.count - kept
        for change in changes[..<kept] { VirtualDisk.apply(change, to: &durableNames) }
        names = durableNames
        changes = []
        // What no name leads to any more is free space.
        let named = Set(names.values)
        for number in files.indices where !named.contains(number) { files[number] = VirtualFile() }
        return loss
    }

    /// For a planted bug: the sectors of that range are not on the platter yet.
    func unsync(_ file: File, _ range: Range<Int>) { files[file.number].unsync(range) }

    /// The file of that name, if there is one.
    func find(_ name: String) -> File? { names[name].map { File(number: $0) } }

    func count(of file: File) -> Int { files[file.number].bytes.count }

    /// What the page cache shows, whatever the device would say.
    func contents(_ file: File, _ range: Range<Int>) -> [UInt8] {
        Array(files[file.number].bytes[range.clamped(to: 0..<files[file.number].bytes.count)])
    }

    /// Other bytes stand in the file, on the platter, too; it does not grow.
    func impose(_ bytes: [UInt8], on file: File, at offset: Int, except spared: Range<Int>? = nil) {
        for (place, byte) in zip(offset..., bytes) where place < files[file.number].bytes.count {
            if spared?.contains(place) ?? false { continue }
            files[file.number].bytes[place] = byte
        }
    }

    /// The device does not give these sectors any more, until they are written.
    func makeUnreadable(_ file: File, _ range: Range<Int>) { files[file.number].makeUnreadable(range) }

    /// The file is gone for good.
    func lose(_ name: String) {
        names[name] = nil
        durableNames[name] = nil
        changes.removeAll { change in
            switch change {
            case .created(let other, _), .removed(let other), .renamed(_, let other): other == name
            case .exchanged: false
            }
        }
    }

    /// Lets somebody look who is no part of the cluster: errors that pass do not meet him.
    func observed<T>(_ body: () -> T) -> T {
        let (left, wasOff) = (readErrorsLeft, isOff)
        (readErrorsLeft, isOff) = (0, false)
        defer { (readErrorsLeft, isOff) = (left, wasOff) }
        return body()
    }
}
