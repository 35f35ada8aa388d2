import Primitives

/// Reads a file forward through a window, so that a scan neither maps nor loads whole segments.
struct ScanWindow<D: Disk> {
    let disk: D
    let file: D.File
    let fileLength: Int
    private var window = Bytes()
    private var windowStart = 0
    /// Below this offset a large read failed: only what is asked for is read there.
    private var unreadableUntil = 0
    private(set) var bytesRead = 0
    /// Reads that the device refused again and again: what stands there may be anything.
    private(set) var readErrors = 0

    static var size: Int { 1 << 20 }

    init(disk: D, file: D.File, fileLength: Int) {
        self.disk = disk
        self.file = file
        self.fileLength = fileLength
    }

    /// `count` bytes at `offset`; nil when the file is shorter or the device cannot read them.
    mutating func bytes(at offset: Int, count: Int) -> Bytes? {
        guard offset >= 0, count >= 0, offset <= fileLength, count <= fileLength - offset else { return nil }
        if offset >= windowStart && offset + count <= windowStart + window.count {
            return window[offset - windowStart..<offset - windowStart + count]
        }
        if offset >= unreadableUntil {
            if let larger = read(at: offset, count: max(count, min(ScanWindow.size, fileLength - offset))) {
                window = larger
                windowStart = offset
                return larger.count >= count ? larger[0..<count] : nil
            }
            unreadableUntil = offset + ScanWindow.size
        }
        for _ in 0..<LogConfiguration.readAttempts {
            guard let exact = read(at: offset, count: count) else { continue }
            return exact.count == count ? exact : nil
        }
        readErrors += 1
        return nil
    }

    private mutating func read(at offset: Int, count: Int) -> Bytes? {
        do throws(DiskFailure) {
            let bytes = try disk.read(file, at: offset, count: count)
            bytesRead += bytes.count
            return bytes
        } catch {
            return nil
        }
    }
}
