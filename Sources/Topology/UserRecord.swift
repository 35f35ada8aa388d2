/// A user of the internal database.
public struct UserRecord: Hashable, Sendable {
    /// 1...255 bytes.
    public var name: String
    /// Nil for a user that cannot log in with a password.
    public var passwordHash: PasswordHash?
    /// Such as `administrator`, `monitoring`, `management`; at most 64.
    public var tags: [String]

    /// Collects the parts.
    public init(name: String, passwordHash: PasswordHash?, tags: [String] = []) {
        self.name = name
        self.passwordHash = passwordHash
        self.tags = tags
    }
}
