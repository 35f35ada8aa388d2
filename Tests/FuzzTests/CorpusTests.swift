import Foundation
import FuzzTargets
import Testing

/// Every input that the fuzzers kept, and every one that once broke a promise, goes through the same reader again.
@Suite struct CorpusTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Corpus")

    @Test(arguments: FuzzTarget.all.map(\.name))
    func theCorpusKeepsItsPromises(_ name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let folder = CorpusTests.folder.appending(path: name)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(files.count > 10, "no corpus in \(folder.path)")
        for file in files {
            let input = try Data(contentsOf: file)
            #expect(input.count <= target.maximumLength, "\(file.lastPathComponent)")
            input.withUnsafeBytes { target.run($0) }
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func theSeedsKeepTheirPromises(_ name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let seeds = target.seeds()
        #expect(seeds.count > 5)
        for seed in seeds {
            #expect(seed.count <= target.maximumLength)
            seed.withUnsafeBytes { target.run($0) }
        }
    }
}
