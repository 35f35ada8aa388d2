import FuzzTargets
import Glibc

/// libFuzzer's loop, for use without its own `main`.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// What the callback, which cannot capture, runs.
nonisolated(unsafe) private var chosen: FuzzTarget?

/// `fuzz TARGET [options and corpora of libFuzzer]`; with `--seeds`, valid inputs in hexadecimal, one a line.
@main enum FuzzDriver {
    /// Tells the processes that libFuzzer starts for a merge, with no argument but its own, which target it is.
    private static let variable = "WARREN_FUZZ_TARGET"

    static func main() {
        let words = CommandLine.arguments
        let inherited = getenv(variable).map { String(cString: $0) }
        guard let name = inherited ?? words.dropFirst().first,
            let target = FuzzTarget.all.first(where: { $0.name == name })
        else { fatalError("usage: fuzz \(FuzzTarget.all.map(\.name).joined(separator: "|")) [--seeds | options]") }
        if words.dropFirst(2).first == "--seeds" {
            for seed in target.seeds() { print(seed.map { hexadecimal($0) }.joined()) }
            return
        }
        chosen = target
        setenv(variable, name, 1)
        // libFuzzer takes the first argument for the program's name.
        let skipped = inherited == nil ? 1 : 0
        var count = CommandLine.argc - Int32(skipped)
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + skipped
        arguments?[0] = CommandLine.unsafeArgv[0]
        _ = runDriver(&count, &arguments) { data, count in
            chosen?.run(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    private static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }
}
