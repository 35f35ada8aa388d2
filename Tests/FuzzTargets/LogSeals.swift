import Primitives

/// Which checksums of a store are made right, so that a reader trusts what they cover. Offsets are those of the formats
/// that the LogStore module describes.
struct LogSeals: OptionSet {
    var rawValue: UInt8
    static let identity = LogSeals(rawValue: 1)
    static let segment = LogSeals(rawValue: 2)
    static let entries = LogSeals(rawValue: 4)
    static let records = LogSeals(rawValue: 8)
    static let directory = LogSeals(rawValue: 16)
    static let frame = LogSeals(rawValue: 32)
    static let footer = LogSeals(rawValue: 64)
    static let chain = LogSeals(rawValue: 128)

    private static let copies = [0, 4_096]
    private static let magics: Set = ["WSEG", "WFRM", "WFTR", "WSTO"]

    /// Where heads stand: all are at multiples of 512.
    static func heads(in bytes: [UInt8]) -> [Int] {
        stride(from: 0, to: bytes.count, by: 512).filter { magics.contains(magic(bytes[$0...].prefix(4))) }
    }

    private static func magic(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

    func apply(to file: UnsafeMutableRawBufferPointer, named name: String) {
        if name == "store" { return sealIdentity(file) }
        if contains(.segment) {
            for copy in LogSeals.copies { seal(file, copy + 4, over: copy + 8..<copy + 64) }
        }
        let seed = file.word(at: 4) ?? 0
        var previous: UInt32?
        for offset in stride(from: 8_192, to: file.count - 63, by: 512) {
            switch LogSeals.magic(file[offset..<offset + 4]) {
            case "WFRM":
                sealFrame(file, offset, seed: seed, previous: previous)
                previous = file.word(at: offset + 4)
            case "WFTR": sealFooter(file, offset, seed: seed, last: previous)
            default: break
            }
        }
    }

    private func seal(_ file: UnsafeMutableRawBufferPointer, _ place: Int, over range: Range<Int>, seed: UInt32 = 0) {
        guard place + 4 <= file.count, let checksum = file.checksum(range, seed: seed) else { return }
        file.put(checksum, at: place)
    }

    private func sealIdentity(_ file: UnsafeMutableRawBufferPointer) {
        guard contains(.identity) else { return }
        for copy in LogSeals.copies {
            if let count = file.word(at: copy + 40), count > 0, count < 1_000 {
                seal(file, copy + 44, over: 8_192..<8_192 + Int(count) * 32)
            }
            seal(file, copy + 4, over: copy + 8..<copy + 48)
        }
    }

    private func sealFrame(_ file: UnsafeMutableRawBufferPointer, _ start: Int, seed: UInt32, previous: UInt32?) {
        guard let length = file.word(at: start + 36), let repeated = file.word(at: start + 44) else { return }
        let directory = start + 64 + Int(repeated)
        let records = directory + Int(length)
        if records <= file.count { sealRecords(file, directory..<records) }
        if contains(.directory) {
            seal(file, start + 40, over: directory..<records)
            seal(file, start + 48, over: start + 64..<directory)
        }
        if contains(.chain), let previous { file.put(previous, at: start + 32) }
        if contains(.frame) { seal(file, start + 4, over: start + 8..<start + 64, seed: seed) }
    }

    /// Walks a directory and the records that follow it.
    private func sealRecords(_ file: UnsafeMutableRawBufferPointer, _ directory: Range<Int>) {
        var item = directory.lowerBound
        var record = directory.upperBound
        while item + 48 <= directory.upperBound, let count = file.word(at: item + 4) {
            let isEntries = file[item] == 1
            item += 40
            for _ in 0..<min(Int(count), (directory.upperBound - item) / 8) {
                let length = Int(file.word(at: item) ?? 0)
                guard record + length <= file.count else { return }
                if contains(.entries), isEntries { Sealing.entry(file, at: record) }
                if contains(.records) { seal(file, item + 4, over: record..<record + length) }
                record += length
                item += 8
            }
        }
    }

    private func sealFooter(_ file: UnsafeMutableRawBufferPointer, _ start: Int, seed: UInt32, last: UInt32?) {
        guard contains(.footer), let offset = file.word(at: start + 20), let length = file.word(at: start + 24) else {
            return
        }
        seal(file, start + 28, over: Int(offset)..<Int(offset) + Int(length))
        if contains(.chain), let last { file.put(last, at: start + 48) }
        seal(file, start + 4, over: start + 8..<start + 64, seed: seed)
    }
}
