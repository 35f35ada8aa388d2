public import Primitives

/// A segment that is ready to take frames.
public struct PreparedSegment<File: Sendable>: Sendable {
    let header: SegmentHeader
    let file: File
    let length: Int
}

/// Makes a segment, a bounded step at a time: writes real zeros (a file that is merely allocated or grows makes every
/// fdatasync wait for the filesystem's journal), syncs, and gives the file its name only when it is durable.
public struct SegmentPreparation<D: Disk>: Sendable {
    private let disk: D
    private let header: SegmentHeader
    private let size: Int
    private var file: D.File?
    private var written = 0
    private let zeros: Bytes

    /// Bytes a step writes.
    public static var stepSize: Int { 1 << 20 }

    init(disk: D, header: SegmentHeader, size: Int) {
        self.disk = disk
        self.header = header
        self.size = align(max(size, 4 * SegmentHeader.size), to: SegmentHeader.size)
        var writer = ByteWriter(capacity: min(SegmentPreparation.stepSize, self.size))
        writer.writeZeros(min(SegmentPreparation.stepSize, self.size))
        zeros = writer.take()
    }

    private var name: String { SegmentName.name(of: header.segment) }
    private var temporaryName: String { name + SegmentName.temporarySuffix }

    /// Does one step; returns the segment after the last one.
    public mutating func step() throws(DiskFailure) -> PreparedSegment<D.File>? {
        let file: D.File
        if let open = self.file {
            file = open
        } else {
            file = try disk.create(temporaryName)
            self.file = file
            try disk.write(file, at: 0, [header.encode()])
            written = SegmentHeader.size
        }
        let count = min(zeros.count, size - written)
        if count > 0 {
            try disk.write(file, at: written, [zeros[0..<count]])
            written += count
        }
        // Step by step, so that the device's queue stays short for the log's own syncs.
        try disk.sync(file)
        guard written == size else { return nil }
        try disk.rename(temporaryName, to: name)
        try disk.syncDirectory()
        return PreparedSegment(header: header, file: file, length: size)
    }

    /// Gives up after a failed step: closes and removes what there is of the file, as far as the disk lets it.
    public mutating func abandon() {
        guard let file else { return }
        disk.close(file)
        self.file = nil
        do throws(DiskFailure) {
            try disk.remove(temporaryName)
        } catch {
            // The next start removes it.
        }
    }

    /// Does all steps that are left.
    public mutating func run() throws(DiskFailure) -> PreparedSegment<D.File> {
        while true {
            if let segment = try step() { return segment }
        }
    }
}
