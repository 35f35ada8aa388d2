public import Primitives
import Synchronization

/// Reads entries: at once what the page cache holds, anything else on a thread of its own, so that no event loop waits
/// for a device.
public final class LogReader: @unchecked Sendable {
    /// What a request became: one result for each location, in its order.
    public typealias Completion = @Sendable ([Result<Entry, EntryReadFailure>]) -> Void

    private let disk: FileDisk
    private let monitor = Monitor()
    // Guarded by the monitor.
    private var requests = Ring<Request>()
    private var retired: [UInt32] = []
    private var isStopping = false
    private var thread: WorkerThread?
    private let cachedFiles = Mutex<[CachedFile]>([])

    private struct Request: Sendable {
        var locations: [EntryLocation]
        var completion: Completion
    }

    private struct CachedFile: Sendable {
        var segment: UInt32
        var file: FileDisk.File
    }

    /// Bytes behind the last entry of a request that the kernel is asked to read ahead.
    public static let readAhead = 256 << 10
    /// Files held open for `readCached`.
    private static let cachedFileLimit = 16

    /// Starts the thread.
    public init(disk: FileDisk) {
        self.disk = disk
        thread = WorkerThread(name: "log reader") { [self] in run() }
    }

    /// Queues a read, from any thread. `completion` is called on the reader's thread; after `shutdown` it never is.
    public func submit(_ locations: [EntryLocation], completion: @escaping Completion) {
        monitor.withLock {
            guard !isStopping else { return }
            requests.append(Request(locations: locations, completion: completion))
            monitor.signal()
        }
    }

    /// Reads an entry without waiting for the device, from any thread.
    /// - Returns: nil when the page cache does not hold all of it, or anything is wrong with it: `submit` it then.
    public func readCached(_ location: EntryLocation) -> Entry? {
        cachedFiles.withLock { files in
            guard let file = cachedFile(of: location.segment, in: &files) else { return nil }
            var writer = ByteWriter(capacity: Int(location.length))
            writer.append(maximum: Int(location.length)) { pointer in
                let buffer = UnsafeMutableRawBufferPointer(start: pointer, count: Int(location.length))
                do throws(DiskFailure) {
                    return try disk.readCached(file, at: Int(location.offset), into: buffer) ?? 0
                } catch {
                    return 0
                }
            }
            do throws(EntryReadFailure) {
                return try location.verify(writer.take())
            } catch {
                return nil
            }
        }
    }

    /// Gives up the descriptors of segments that were retired, from any thread: they would keep the space of files that
    /// are gone, and of a recycled one they show another segment.
    public func forget(_ segments: [UInt32]) {
        cachedFiles.withLock { files in
            for cached in files where segments.contains(cached.segment) { disk.close(cached.file) }
            files.removeAll { segments.contains($0.segment) }
        }
        monitor.withLock {
            guard !isStopping else { return }
            retired += segments
            monitor.signal()
        }
    }

    /// Finishes the read under way, drops the rest, and ends the thread. Blocks; not from a completion.
    public func shutdown() {
        monitor.withLock {
            isStopping = true
            requests.removeAll()
            monitor.signal()
        }
        thread?.join()
        thread = nil
        cachedFiles.withLock { files in
            for cached in files { disk.close(cached.file) }
            files = []
        }
    }

    private func cachedFile(of segment: UInt32, in files: inout [CachedFile]) -> FileDisk.File? {
        if let index = files.lastIndex(where: { $0.segment == segment }) {
            let cached = files.remove(at: index)
            files.append(cached)
            return cached.file
        }
        do throws(DiskFailure) {
            let file = try disk.open(SegmentName.name(of: segment))
            if files.count == LogReader.cachedFileLimit { disk.close(files.removeFirst().file) }
            files.append(CachedFile(segment: segment, file: file))
            return file
        } catch {
            return nil
        }
    }

    private func run() {
        var reader = EntryReader(disk: disk)
        while let (request, retired) = next() {
            for segment in retired { reader.forget(segment) }
            guard let request else { continue }
            let results = reader.read(request.locations)
            readAhead(behind: request.locations.last, with: &reader)
            request.completion(results)
        }
        reader.close()
    }

    private func readAhead(behind location: EntryLocation?, with reader: inout EntryReader<FileDisk>) {
        guard let location, location.offset > 0 else { return }
        do throws(DiskFailure) {
            let file = try reader.file(of: location.segment)
            disk.willNeed(file, at: Int(location.offset) + Int(location.length), count: LogReader.readAhead)
        } catch {
            // The read itself has reported it.
        }
    }

    private func next() -> (request: Request?, retired: [UInt32])? {
        monitor.withLock {
            while requests.isEmpty && retired.isEmpty && !isStopping { monitor.wait() }
            defer { retired = [] }
            return isStopping ? nil : (requests.popFirst(), retired)
        }
    }
}
