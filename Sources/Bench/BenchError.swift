/// Why a measurement could not be made. It says nothing about the broker's answers: those are in the reports.
public enum BenchError: Error, Hashable, Sendable {
    /// An option with a value it does not take.
    case invalidOption(String)
    /// Something this version does not do yet.
    case unavailable(String)
    /// Declaring, connecting or the other preparations failed.
    case setupFailed(String)
    /// A command given as an option failed; its output is in the text.
    case commandFailed(String)
    /// The fault could not be made.
    case faultFailed(String)
    /// A report could not be written.
    case fileFailed(String)
}

extension BenchError: CustomStringConvertible {
    /// One line.
    public var description: String {
        switch self {
        case .invalidOption(let why), .unavailable(let why), .setupFailed(let why), .commandFailed(let why),
            .faultFailed(let why), .fileFailed(let why):
            why
        }
    }
}
