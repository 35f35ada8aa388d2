import Primitives

/// Fails every changing operation after the first so many.
final class StoppingDisk: Disk {
    typealias File = MemoryDisk.File
    let memory: MemoryDisk
    private let budget: CountDown

    init(_ memory: MemoryDisk = MemoryDisk(), stopAfter count: Int) {
        self.memory = memory
        budget = CountDown(count)
    }

    private func spend() throws(DiskFailure) { if !budget.take() { throw .noSpace } }

    func list() throws(DiskFailure) -> [String] { try memory.list() }
    func open(_ name: String) throws(DiskFailure) -> File { try memory.open(name) }
    func create(_ name: String) throws(DiskFailure) -> File {
        try spend()
        return try memory.create(name)
    }
    func length(of file: File) throws(DiskFailure) -> Int { try memory.length(of: file) }
    func read(_ file: File, at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskFailure) -> Int {
        try memory.read(file, at: offset, into: buffer)
    }
    func write(_ file: File, at offset: Int, _ parts: [Bytes]) throws(DiskFailure) {
        try spend()
        try memory.write(file, at: offset, parts)
    }
    func sync(_ file: File) throws(DiskFailure) {
        try spend()
        try memory.sync(file)
    }
    func close(_ file: File) {}
    func rename(_ name: String, to newName: String) throws(DiskFailure) {
        try spend()
        try memory.rename(name, to: newName)
    }
    func exchange(_ name: String, _ other: String) throws(DiskFailure) {
        try spend()
        try memory.exchange(name, other)
    }
    func remove(_ name: String) throws(DiskFailure) {
        try spend()
        try memory.remove(name)
    }
    func syncDirectory() throws(DiskFailure) {
        try spend()
        try memory.syncDirectory()
    }
}
