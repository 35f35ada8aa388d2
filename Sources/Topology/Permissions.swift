/// What an operation does to a resource, in RabbitMQ's access model.
public enum PermissionKind: Hashable, Sendable, CaseIterable {
    /// Create, delete or alter it.
    case configure
    /// Publish to it, or bind to it.
    case write
    /// Consume from it, or bind from it.
    case read
}

/// What one user may do in one virtual host: three patterns over resource names.
public struct Permissions: Sendable {
    /// Whose.
    public let user: String
    /// Where.
    public let vhost: String
    /// What may be created, deleted and altered.
    public let configure: PermissionPattern
    /// What may be written to.
    public let write: PermissionPattern
    /// What may be read from.
    public let read: PermissionPattern

    /// Compiles the patterns.
    public init(user: String, vhost: String, configure: String, write: String, read: String) {
        self.user = user
        self.vhost = vhost
        self.configure = PermissionPattern(configure)
        self.write = PermissionPattern(write)
        self.read = PermissionPattern(read)
    }

    /// Whether the pattern of `kind` finds itself in `resource`. The default exchange is asked for as `amq.default`.
    public func allows(_ kind: PermissionKind, _ resource: String) -> Bool {
        let name = resource.isEmpty ? "amq.default" : resource
        return switch kind {
        case .configure: configure.matches(name)
        case .write: write.matches(name)
        case .read: read.matches(name)
        }
    }
}

/// A compiled permission pattern: searched for anywhere in the name, as Erlang's `re:run` does; empty means `^$`.
public struct PermissionPattern: Sendable {
    /// The pattern as the user wrote it.
    public let text: String
    private let program: Program

    private enum Program: Sendable {
        case everything
        case nothing
        case regex(CompiledRegex)
    }

    /// Compiles `text`. A pattern that does not compile matches nothing: whoever takes it from a user asks `isValid`.
    public init(_ text: String) {
        self.text = text
        switch text {
        case "", "^$": program = .nothing
        case ".*", "^.*", ".*$", "^.*$": program = .everything
        default:
            if let regex = CompiledRegex(text) { program = .regex(regex) } else { program = .nothing }
        }
    }

    /// Whether `text` is a pattern.
    public static func isValid(_ text: String) -> Bool { text.isEmpty || CompiledRegex(text) != nil }

    /// Whether the pattern occurs in `name`, which is not empty.
    public func matches(_ name: String) -> Bool {
        switch program {
        case .everything: true
        case .nothing: false
        case .regex(let regex): regex.isFound(in: name)
        }
    }
}

/// A regular expression, compiled once and never changed.
///
/// `Regex` is not marked Sendable although matching leaves it as it is; it is reached through this box only.
private struct CompiledRegex: @unchecked Sendable {
    private let regex: Regex<AnyRegexOutput>

    init?(_ text: String) {
        guard let regex = try? Regex(text) else { return nil }
        self.regex = regex.matchingSemantics(.unicodeScalar)
    }

    func isFound(in name: String) -> Bool { (try? regex.firstMatch(in: name)) ?? nil != nil }
}
