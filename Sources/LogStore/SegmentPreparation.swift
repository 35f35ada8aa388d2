public import Primitives

/// A segment that is ready to take frames.
public struct PreparedSegment<File: Sendable>: Sendable {
    let header: SegmentHeader
    let file: File
    let length: Int
}

/// The file of a segment that reclamation has emptied and that is kept to become another segment.
public struct SpareSegment: Hashable, Sendable {
    var segment: UInt32
    var generation: UInt32
}

/// Makes a segment, a bounded step at a time: writes real zeros (a file that is merely allocated or grows makes every
/// fdatasync wait for the filesystem's journal), syncs, and gives the file its name only when it is durable. A spare
/// file is not filled again: the new header's salt tells its old frames from new ones.
public struct SegmentPreparation<D: Disk>: Sendable {
    private let disk: D
    private let header: SegmentHeader
    private let size: Int
    private let spare: SpareSegment?
    private var place: Place
    /// A sync failed: nothing is known of what the file holds.
    private var isDoubtful = false
    private var file: D.File?
    private var written = 0
    private let zeros: Bytes

    /// The name that the file has.
    private enum Place: Sendable {
        /// The spare's own.
        case spare
        case temporary
        case final
    }

    /// Bytes of the zeros that are written again and again.
    private static var zerosSize: Int { 128 << 10 }
    /// Bytes at the beginning of a recycled file that are zero behind the header: an unused segment is known by them.
    static var clearedSize: Int { 64 << 10 }

    init(disk: D, header: SegmentHeader, size: Int, spare: SpareSegment? = nil) {
        self.disk = disk
        self.header = header
        self.size = SegmentPreparation.fileSize(size)
        self.spare = spare
        place = spare == nil ? .temporary : .spare
        let count = min(SegmentPreparation.zerosSize, self.size)
        var writer = ByteWriter(capacity: count)
        writer.writeZeros(count)
        zeros = writer.take()
    }

    /// Bytes of the file of a segment that is to have `size` bytes.
    static func fileSize(_ size: Int) -> Int { align(max(size, 2 * SegmentHeader.size), to: SegmentHeader.pageSize) }

    private var name: String { SegmentName.name(of: header.segment) }
    private var temporaryName: String { name + SegmentName.temporarySuffix }

    /// Does one step; returns the segment after the last one.
    /// - Parameter bytes: most bytes that it fills.
    public mutating func step(
        _ bytes: Int = PreparationPace.largestStep
    ) throws(DiskFailure) -> PreparedSegment<D.File>? {
        if let spare { return try recycle(spare) }
        let file: D.File
        if let open = self.file {
            file = open
        } else {
            file = try disk.create(temporaryName)
            self.file = file
            try disk.reserve(file, count: size)
            try disk.write(file, at: 0, [header.encode()])
            written = SegmentHeader.size
        }
        let count = min(bytes, size - written)
        if count > 0 {
            try disk.write(file, at: written, zeros(count))
            written += count
        }
        // Step by step, so that the device's queue stays short for the log's own syncs.
        try sync(file)
        guard written == size else { return nil }
        return try finish(file)
    }

    private func zeros(_ count: Int) -> [Bytes] {
        var parts = Array(repeating: zeros, count: count / zeros.count)
        if count % zeros.count > 0 { parts.append(zeros[0..<(count % zeros.count)]) }
        return parts
    }

    /// The old name goes first: a crash leaves a temporary file or one that is listed as retired, and both are removed.
    private mutating func recycle(_ spare: SpareSegment) throws(DiskFailure) -> PreparedSegment<D.File> {
        let oldName = SegmentName.name(of: spare.segment)
        let file = try disk.open(oldName)
        self.file = file
        try disk.rename(oldName, to: temporaryName)
        place = .temporary
        let cleared = min(SegmentPreparation.clearedSize, size) - SegmentHeader.size
        try disk.write(file, at: 0, [header.encode(), zeros[0..<cleared]])
        try sync(file)
        return try finish(file)
    }

    private mutating func sync(_ file: D.File) throws(DiskFailure) {
        isDoubtful = true
        try disk.sync(file)
        isDoubtful = false
    }

    private mutating func finish(_ file: D.File) throws(DiskFailure) -> PreparedSegment<D.File> {
        // Frames are shorter than the stretches in which the kernel keeps what was written here: it would take a whole
        // stretch for changed with each of them.
        disk.evict(file, at: 0, count: size)
        try disk.rename(temporaryName, to: name)
        place = .final
        try disk.syncDirectory()
        return PreparedSegment(header: header, file: file, length: size)
    }

    /// Gives up after a failed step, as far as the disk lets it: closes the file and removes it, unless it is a spare
    /// that only lacked space.
    /// - Returns: that spare, for `NodeLog.preparationFailed`.
    public mutating func abandon(after failure: DiskFailure) -> SpareSegment? {
        if let file { disk.close(file) }
        file = nil
        do throws(DiskFailure) {
            guard let spare else { return try remove(place == .final ? name : temporaryName) }
            let oldName = SegmentName.name(of: spare.segment)
            let isSound = failure.isOutOfSpace && !isDoubtful
            switch place {
            case .spare:
                return isSound ? spare : try remove(oldName)
            case .temporary:
                guard isSound else { return try remove(temporaryName) }
                // Its old name is still listed as retired.
                try disk.rename(temporaryName, to: oldName)
                return spare
            case .final:
                return try remove(name)
            }
        } catch {
            // The next start removes it, or finds a segment without frames.
            return nil
        }
    }

    private func remove(_ name: String) throws(DiskFailure) -> SpareSegment? {
        try disk.remove(name)
        return nil
    }

    /// Does all steps that are left.
    public mutating func run() throws(DiskFailure) -> PreparedSegment<D.File> {
        while true {
            if let segment = try step() { return segment }
        }
    }
}
