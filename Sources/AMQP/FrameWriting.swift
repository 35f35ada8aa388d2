public import Primitives

extension ByteWriter {
    /// Starts a method frame whose size is not known yet; returns what `endFrame` wants.
    mutating func beginMethodFrame(channel: UInt16, id: MethodID) -> Int {
        let start = count
        beginFrame(.method, channel: channel)
        writeBigEndian(id.rawValue)
        return start
    }

    private mutating func beginFrame(_ type: FrameType, channel: UInt16) {
        reserve(64)
        write(type.rawValue)
        writeBigEndian(channel)
        writeBigEndian(UInt32(0))
    }

    /// Fills in the size of the frame that began at `start` and ends it.
    mutating func endFrame(startedAt start: Int) {
        overwriteBigEndian(at: start + 3, with: UInt32(count - start - FrameFormat.headerLength))
        write(FrameFormat.endOctet)
    }

    /// Appends a heartbeat.
    public mutating func writeHeartbeat() { write(FrameFormat.heartbeat) }

    /// Appends the header and body frames of a content, after its method frame.
    ///
    /// - Parameters:
    ///   - properties: flags and list as `BasicProperties.encode` writes them and `ContentHeader.properties` holds
    ///     them.
    ///   - frameMax: the negotiated limit, at least `FrameFormat.minimumMaximumSize`, or 0 for none.
    public mutating func writeContent(
        channel: UInt16, properties: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer, frameMax: UInt32
    ) {
        let layout = ContentLayout(propertiesLength: properties.count, bodyLength: body.count, frameMax: frameMax)
        append(maximum: layout.byteCount) { base in
            layout.write(channel: channel, properties: properties, body: body, to: base)
            return layout.byteCount
        }
    }
}
