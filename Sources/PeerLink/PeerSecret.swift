internal import Crypto
internal import Primitives

/// The secret that the nodes of a cluster share. It never appears in a description or a log.
public struct PeerSecret: Sendable {
    private let key: SymmetricKey

    /// - Returns: nil for an empty secret, which would authenticate anybody.
    public init?(_ text: String) {
        guard !text.isEmpty else { return nil }
        key = SymmetricKey(data: Array(text.utf8))
    }

    /// HMAC-SHA256 (RFC 2104) of `message`, 32 bytes.
    func authenticationCode(of message: Bytes) -> Bytes {
        let code = message.withUnsafeBytes { HMAC<SHA256>.authenticationCode(for: $0, using: key) }
        return code.withUnsafeBytes { Bytes(copying: $0) }
    }

    /// Whether `code` is the authentication code of `message`; compared in constant time.
    func authenticates(_ message: Bytes, code: Bytes) -> Bool {
        let code = code.toArray()
        return message.withUnsafeBytes { HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: $0, using: key) }
    }
}

extension PeerSecret: CustomStringConvertible, CustomReflectable {
    /// Never the secret.
    public var description: String { "(secret)" }
    /// Never the secret.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
