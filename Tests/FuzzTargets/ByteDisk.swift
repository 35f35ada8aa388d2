import Primitives

/// Files in memory, of bounded size. Used by one thread. An open file stays the one that was opened, whatever becomes
/// of its name.
final class ByteDisk: Disk, @unchecked Sendable {
    final class File: @unchecked Sendable {
        fileprivate var bytes: [UInt8]

        fileprivate init(_ bytes: [UInt8]) { self.bytes = bytes }
    }

    /// More than any small log takes: what asks for more was led astray by what it read.
    static let sizeLimit = 4 << 20

    private var named: [String: File]

    init(_ files: [String: [UInt8]] = [:]) { named = files.mapValues { File($0) } }

    var names: [String] { named.keys.sorted() }
    var contents: [String: [UInt8]] { named.mapValues(\.bytes) }

    subscript(name: String) -> [UInt8]? {
        get { named[name]?.bytes }
        set { named[name] = newValue.map { File($0) } }
    }

    /// Changes a file in place.
    func change(_ name: String, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        named[name]?.bytes.withUnsafeMutableBytes(body)
    }

    func list() throws(DiskFailure) -> [String] { names }

    func open(_ name: String) throws(DiskFailure) -> File {
        guard let file = named[name] else { throw .notFound(name) }
        return file
    }

    func create(_ name: String) throws(DiskFailure) -> File {
        guard named[name] == nil else { throw .system(errno: 17, operation: "create", file: name) }
        let file = File([])
        named[name] = file
        return file
    }

    func length(of file: File) throws(DiskFailure) -> Int { file.bytes.count }

    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        promise(buffer.count <= ByteDisk.sizeLimit, "a read is as long as a log may be")
        return file.bytes.withUnsafeBytes { bytes in
            let start = min(offset, bytes.count)
            let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + buffer.count, bytes.count)])
            buffer.copyMemory(from: slice)
            return slice.count
        }
    }

    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        let end = offset + parts.reduce(0) { $0 + $1.count }
        guard end <= ByteDisk.sizeLimit else { throw .noSpace }
        if file.bytes.count < end {
            file.bytes.append(contentsOf: repeatElement(0, count: end - file.bytes.count))
        }
        file.bytes.withUnsafeMutableBytes { target in
            var place = offset
            for part in parts {
                part.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: target[place...]).copyMemory(from: $0) }
                place += part.count
            }
        }
    }

    func sync(_ file: File) throws(DiskFailure) {}
    func close(_ file: File) {}
    func syncDirectory() throws(DiskFailure) {}

    func rename(_ name: String, to newName: String) throws(DiskFailure) {
        guard let file = named.removeValue(forKey: name) else { throw .notFound(name) }
        named[newName] = file
    }

    func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        guard let first = named[name] else { throw .notFound(name) }
        guard let second = named[other] else { throw .notFound(other) }
        named[name] = second
        named[other] = first
    }

    func remove(_ name: String) throws(DiskFailure) {
        guard named.removeValue(forKey: name) != nil else { throw .notFound(name) }
    }
}
