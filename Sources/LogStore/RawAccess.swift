import Primitives

extension UnsafeRawBufferPointer {
    /// The integer at `offset`, which the caller knows to be inside.
    func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count)
        return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// Whether every byte is zero.
    var isAllZero: Bool {
        var offset = 0
        while offset + 32 <= count {
            let a = loadUnaligned(fromByteOffset: offset, as: SIMD4<UInt64>.self)
            if a != .zero { return false }
            offset += 32
        }
        while offset < count {
            if self[offset] != 0 { return false }
            offset += 1
        }
        return true
    }
}

extension ByteWriter {
    mutating func writeZeros(_ count: Int) {
        append(maximum: count) { pointer in
            pointer.initializeMemory(as: UInt8.self, repeating: 0, count: count)
            return count
        }
    }
}

extension Disk {
    /// The first `limit` bytes of a file, or all if it has fewer; a sector that the device does not give is zero.
    func readReadable(_ file: File, limit: Int) throws(DiskFailure) -> Bytes {
        let count = min(limit, try length(of: file))
        do throws(DiskFailure) { return try read(file, at: 0, count: count) } catch {}
        var writer = ByteWriter(capacity: count)
        while writer.count < count {
            let size = min(SegmentHeader.alignment, count - writer.count)
            if let sector = readPatiently(file, at: writer.count, count: size), sector.count == size {
                writer.write(sector)
            } else {
                writer.writeZeros(size)
            }
        }
        return writer.take()
    }

    /// As `read`, tried again a few times; nil when the device still refuses.
    func readPatiently(_ file: File, at offset: Int, count: Int) -> Bytes? {
        for _ in 0..<LogConfiguration.readAttempts {
            do throws(DiskFailure) { return try read(file, at: offset, count: count) } catch {}
        }
        return nil
    }

    /// `count` bytes from `offset`, fewer at the end of the file.
    func read(_ file: File, at offset: Int, count: Int) throws(DiskFailure) -> Bytes {
        var writer = ByteWriter(capacity: count)
        var failure: DiskFailure?
        writer.append(maximum: count) { pointer in
            do throws(DiskFailure) {
                return try read(file, at: offset, into: UnsafeMutableRawBufferPointer(start: pointer, count: count))
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return writer.take()
    }
}

/// The next multiple of `alignment`, a power of two, at or above `value`.
func align(_ value: Int, to alignment: Int) -> Int { (value + alignment - 1) & ~(alignment - 1) }
