/// What is wrong with a configuration; one line that names file, line, key and what is allowed.
public struct ConfigurationError: Error, Hashable, CustomStringConvertible {
    /// The whole line.
    public let description: String

    /// An error with its line.
    public init(_ description: String) { self.description = description }
}

/// One setting and where it was made.
public struct Setting: Hashable, Sendable {
    /// As it was written.
    public var key: String
    /// Without its quotes.
    public var value: String
    /// `file:line`, `--set` or the environment variable's name.
    public var origin: String

    /// One setting.
    public init(key: String, value: String, origin: String) {
        self.key = key
        self.value = value
        self.origin = origin
    }
}

/// Reads `key = value` lines in the form of RabbitMQ's `rabbitmq.conf`: `#` begins a comment, a value may stand in
/// quotes.
public enum ConfigurationFile {
    /// The settings of a file in order.
    ///
    /// - Throws: at the first line that is neither empty, a comment nor a setting.
    public static func parse(_ text: String, name: String) throws(ConfigurationError) -> [Setting] {
        var settings: [Setting] = []
        // A line may end in CR LF, which is one character.
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (number, line) in lines.enumerated() {
            let origin = "\(name):\(number + 1)"
            let content = line.trimmed
            if content.isEmpty || content.first == "#" { continue }
            guard let equals = content.firstIndex(of: "=") else {
                throw ConfigurationError("\(origin): expected 'key = value', found '\(content)'")
            }
            let key = content[..<equals].trimmed
            guard !key.isEmpty else { throw ConfigurationError("\(origin): a key is missing before '='") }
            settings.append(
                Setting(key: key, value: unquoted(content[content.index(after: equals)...].trimmed), origin: origin))
        }
        return settings
    }

    /// A value without its quotes, or without a comment behind it.
    private static func unquoted(_ value: String) -> String {
        if let quote = value.first, quote == "'" || quote == "\"", value.count >= 2, value.last == quote {
            return String(value.dropFirst().dropLast())
        }
        guard let comment = value.firstRange(of: " #") else { return value }
        return value[..<comment.lowerBound].trimmed
    }

    /// The settings that environment variables make: `WARREN_` and a known key in upper case with dots as underscores.
    public static func environment(_ variables: [String: String], keys: [String]) -> [Setting] {
        keys.compactMap { key in
            let name = "WARREN_" + key.uppercased().map { $0 == "." ? "_" : String($0) }.joined()
            guard let value = variables[name] else { return nil }
            return Setting(key: key, value: value, origin: name)
        }
    }

    /// One `--set key=value`.
    ///
    /// - Throws: when there is no `=`.
    public static func argument(_ text: String) throws(ConfigurationError) -> Setting {
        guard let equals = text.firstIndex(of: "=") else {
            throw ConfigurationError("--set: expected key=value, found '\(text)'")
        }
        return Setting(
            key: text[..<equals].trimmed, value: text[text.index(after: equals)...].trimmed, origin: "--set")
    }
}

extension StringProtocol {
    var trimmed: String {
        var slice = self[...]
        while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
        while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
        return String(slice)
    }
}
