import CPlatform

/// CRC-32C (Castagnoli), hardware-assisted where the CPU can.
public enum CRC32C {
    /// The checksum of `bytes`, continuing from `seed` (0 for a fresh one).
    public static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
        warren_crc32c(seed, bytes.baseAddress, bytes.count)
    }

    /// The checksum of `bytes`, continuing from `seed` (0 for a fresh one).
    public static func checksum(_ bytes: Bytes, seed: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, seed: seed) }
    }
}
