import CLZ4

/// Why bytes were not decompressed.
public enum LZ4Failure: Error, Hashable, Sendable {
    /// The frame ends early.
    case truncated
    /// Not a frame as `LZ4Frame.compress(_:)` writes it, or a damaged one; the text says what is wrong.
    case invalid(String)
    /// The content has more bytes than the caller allows.
    case tooLarge(byteCount: UInt64)
    /// The decoder had no memory for itself.
    case outOfMemory
}

/// The LZ4 frame format, version 1.6: one frame with content size and content checksum (xxHash-32), in linked blocks of
/// at most 256 KiB. The `lz4` tool reads it.
public enum LZ4Frame {
    /// One frame with all of `bytes`, at the fastest level; the same for the same bytes and version of liblz4.
    public static func compress(_ bytes: Bytes) -> Bytes {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max256KB
        preferences.frameInfo.blockMode = LZ4F_blockLinked
        preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled
        preferences.frameInfo.contentSize = UInt64(bytes.count)
        var writer = ByteWriter()
        writer.append(maximum: LZ4F_compressFrameBound(bytes.count, &preferences)) { target in
            bytes.withUnsafeBytes { source in
                let room = LZ4F_compressFrameBound(source.count, &preferences)
                let written = LZ4F_compressFrame(target, room, source.baseAddress, source.count, &preferences)
                precondition(LZ4F_isError(written) == 0, "LZ4 had no memory, with all the room it asked for")
                return written
            }
        }
        return writer.take()
    }

    /// The content of one frame that `compress(_:)` made. The bytes are not trusted: memory for the content is taken
    /// once, when its size is known to be at most `limit` and within what these bytes can hold; the decoder itself
    /// needs less than 1 MiB.
    /// - Throws: when the frame is not whole, not alone, damaged, or has more than `limit` bytes of content.
    public static func decompress(_ bytes: Bytes, limit: Int) throws(LZ4Failure) -> Bytes {
        try bytes.withUnsafeBytes { source throws(LZ4Failure) in
            guard let base = source.baseAddress else { throw .truncated }
            var context: OpaquePointer?
            guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context else {
                throw .outOfMemory
            }
            defer { LZ4F_freeDecompressionContext(context) }
            var head = source.count
            let size = try contentSize(context, base, &head)
            guard size <= UInt64(max(0, limit)) else { throw .tooLarge(byteCount: size) }
            // A byte of LZ4 stands for 255 bytes at most.
            guard size / 255 <= UInt64(source.count) else { throw .invalid("content size") }
            return try content(context, UnsafeRawBufferPointer(rebasing: source[head...]), size: Int(size))
        }
    }

    /// Reads the frame's head, whose length becomes `head`.
    private static func contentSize(
        _ context: OpaquePointer, _ base: UnsafeRawPointer, _ head: inout Int
    ) throws(LZ4Failure) -> UInt64 {
        // The shortest head, the end mark and the checksum.
        guard head >= LZ4F_HEADER_SIZE_MIN + 8 else { throw .truncated }
        var info = LZ4F_frameInfo_t()
        try check(LZ4F_getFrameInfo(context, &info, base, &head))
        guard info.frameType == LZ4F_frame else { throw .invalid("frame type") }
        guard info.dictID == 0 else { throw .invalid("dictionary") }
        guard info.blockSizeID.rawValue <= LZ4F_max256KB.rawValue else { throw .invalid("block size") }
        guard info.contentChecksumFlag == LZ4F_contentChecksumEnabled else { throw .invalid("content checksum") }
        return info.contentSize
    }

    /// Decodes the blocks behind the head, which must be exactly `size` bytes of content and end with the frame.
    private static func content(
        _ context: OpaquePointer, _ blocks: UnsafeRawBufferPointer, size: Int
    ) throws(LZ4Failure) -> Bytes {
        var writer = ByteWriter(capacity: size)
        var outcome: Result<Void, LZ4Failure> = .success(())
        writer.append(maximum: size) { target in
            do throws(LZ4Failure) {
                try decode(context, blocks, into: UnsafeMutableRawBufferPointer(start: target, count: size))
            } catch {
                outcome = .failure(error)
                return 0
            }
            return size
        }
        try outcome.get()
        return writer.take()
    }

    private static func decode(
        _ context: OpaquePointer, _ blocks: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) throws(LZ4Failure) {
        guard let source = blocks.baseAddress, let base = target.baseAddress else { throw .truncated }
        var options = LZ4F_decompressOptions_t()
        // What was decoded stays where it is, so that later blocks may refer to it in place.
        options.stableDst = 1
        var read = 0
        var written = 0
        while true {
            var consumed = blocks.count - read
            var produced = target.count - written
            let hint = LZ4F_decompress(context, base + written, &produced, source + read, &consumed, &options)
            try check(hint)
            read += consumed
            written += produced
            if hint == 0 { break }
            guard consumed > 0 || produced > 0 else {
                if read == blocks.count { throw .truncated }
                throw .invalid("content size")
            }
        }
        guard read == blocks.count else { throw .invalid("bytes behind the frame") }
        guard written == target.count else { throw .invalid("content size") }
    }

    private static func check(_ code: Int) throws(LZ4Failure) {
        guard LZ4F_isError(code) != 0 else { return }
        let name = LZ4F_getErrorName(code).map { String(cString: $0) } ?? "unknown error"
        switch name {
        case "ERROR_allocation_failed": throw .outOfMemory
        case "ERROR_frameHeader_incomplete": throw .truncated
        default: throw .invalid(name)
        }
    }
}
