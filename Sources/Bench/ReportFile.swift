#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Writes reports.
public enum ReportFile {
    /// Replaces the file at `path` by `text`.
    ///
    /// - Throws: `fileFailed`.
    public static func write(_ text: String, to path: String) throws(BenchError) {
        guard let file = fopen(path, "we") else { throw .fileFailed("\(path): \(errorText(errno))") }
        let bytes = Array(text.utf8)
        let isWritten = fwrite(bytes, 1, bytes.count, file) == bytes.count
        let failure = errno
        guard fclose(file) == 0 && isWritten else { throw .fileFailed("\(path): \(errorText(failure))") }
    }

    /// The file's text, or nil when it cannot be read. For small files of /proc.
    static func read(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
