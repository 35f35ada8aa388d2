internal import Crypto

/// RabbitMQ's `rabbit_password_hashing_sha256`: base64(salt ‖ SHA-256(salt ‖ password)) with a salt of four bytes, so
/// that definitions move between the two.
public struct PasswordHash: Hashable, Sendable {
    static let saltLength = 4
    static let length = 36

    /// Salt and digest, 36 bytes.
    public let bytes: [UInt8]

    /// Hashes `password`. The salt comes from the caller, who has the randomness.
    public init(password: String, salt: UInt32) {
        let prefix = [
            UInt8(truncatingIfNeeded: salt >> 24), UInt8(truncatingIfNeeded: salt >> 16),
            UInt8(truncatingIfNeeded: salt >> 8), UInt8(truncatingIfNeeded: salt),
        ]
        bytes = PasswordHash.digest(salt: prefix[...], password: Array(password.utf8))
    }

    /// Takes salt and digest; nil unless there are 36 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == PasswordHash.length else { return nil }
        self.bytes = bytes
    }

    /// Takes the text of RabbitMQ's definitions; nil when it is not base64 of 36 bytes.
    public init?(base64: String) {
        guard let bytes = Base64.decode(base64) else { return nil }
        self.init(bytes: bytes)
    }

    /// The text of RabbitMQ's definitions.
    public var base64: String { Base64.encode(bytes) }

    /// Whether `password` has this hash. The time does not depend on where the digests differ.
    public func verify(_ password: [UInt8]) -> Bool {
        let candidate = PasswordHash.digest(salt: bytes.prefix(PasswordHash.saltLength), password: password)
        var difference: UInt8 = 0
        for index in 0..<PasswordHash.length { difference |= candidate[index] ^ bytes[index] }
        return difference == 0
    }

    /// Whether `password` has this hash.
    public func verify(_ password: String) -> Bool { verify(Array(password.utf8)) }

    private static func digest(salt: ArraySlice<UInt8>, password: [UInt8]) -> [UInt8] {
        salt + Array(SHA256.hash(data: salt + password))
    }
}
