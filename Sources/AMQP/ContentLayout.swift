/// How a content's header and body become frames: computed once, so that the bytes are reserved once and written raw.
@usableFromInline struct ContentLayout {
    @usableFromInline let propertiesLength: Int
    @usableFromInline let bodyLength: Int
    /// Octets of body per frame, at least 1.
    @usableFromInline let chunk: Int

    @inlinable init(propertiesLength: Int, bodyLength: Int, frameMax: UInt32) {
        self.propertiesLength = propertiesLength
        self.bodyLength = bodyLength
        let limit = frameMax == 0 ? Int(UInt32.max) : Int(max(frameMax, 4096))
        self.chunk = limit - FrameFormat.overhead
    }

    /// Octets of all frames together.
    @inlinable var byteCount: Int {
        let frames = bodyLength <= chunk ? (bodyLength == 0 ? 0 : 1) : (bodyLength + chunk - 1) / chunk
        return FrameFormat.overhead + 12 + propertiesLength + bodyLength + frames * FrameFormat.overhead
    }

    /// Writes exactly `byteCount` octets.
    @inlinable func write(
        channel: UInt16, properties: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer,
        to base: UnsafeMutableRawPointer
    ) {
        var cursor = RawCursor(base)
        cursor.frameHeader(.header, channel: channel, size: 12 + propertiesLength)
        cursor.put(UInt32(60) << 16)  // class basic, weight 0
        cursor.put(UInt64(bodyLength))
        cursor.put(properties)
        cursor.put(FrameFormat.endOctet)
        var sent = 0
        while sent < bodyLength {
            let size = min(chunk, bodyLength - sent)
            cursor.frameHeader(.body, channel: channel, size: size)
            cursor.put(UnsafeRawBufferPointer(rebasing: body[sent..<sent + size]))
            cursor.put(FrameFormat.endOctet)
            sent += size
        }
    }
}

/// Writes big-endian values through a raw pointer whose room the caller has reserved.
@usableFromInline struct RawCursor {
    @usableFromInline var pointer: UnsafeMutableRawPointer

    @inlinable init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

    @inlinable mutating func put(_ value: UInt8) {
        pointer.storeBytes(of: value, as: UInt8.self)
        pointer += 1
    }

    @inlinable mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        pointer.storeBytes(of: value.bigEndian, as: T.self)
        pointer += MemoryLayout<T>.size
    }

    @inlinable mutating func put(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        pointer.copyMemory(from: source, byteCount: bytes.count)
        pointer += bytes.count
    }

    /// A `shortstr`; the caller has checked that it holds at most 255 octets.
    @inlinable mutating func putShort(_ bytes: UnsafeRawBufferPointer) {
        put(UInt8(bytes.count))
        put(bytes)
    }

    @inlinable mutating func frameHeader(_ type: FrameType, channel: UInt16, size: Int) {
        put(type.rawValue)
        put(channel)
        put(UInt32(size))
    }
}
