import Testing

/// The rules hold for the whole repository.
@Suite struct TidyTests {
    private func check(_ folders: [String], _ rule: (SourceFile) -> [Finding]) throws {
        for folder in folders {
            let files = try Repository.this.files(in: folder)
            #expect(files.count > 10, "no sources in \(folder)")
            for finding in files.flatMap(rule) { Issue.record("\(finding)") }
        }
    }

    @Test func importsFollowTheArrows() throws { try check(["Sources"], Rules.arrows) }
    @Test func pureCodeHasNoClockAndNoChance() throws { try check(["Sources"], Rules.purity) }
    @Test func nothingIsForced() throws { try check(["Sources"], Rules.force) }
    @Test func linesFit() throws { try check(["Sources", "Tests"], Rules.width) }
    @Test func filesAreSmall() throws { try check(["Sources", "Tests"], Rules.size) }
    @Test func nothingIsPromised() throws { try check(["Sources", "Tests"], Rules.promises) }

    @Test func listedFilesAreLarge() throws {
        let files = try Repository.this.files(in: "Sources") + Repository.this.files(in: "Tests")
        for path in Rules.largerFiles.keys.sorted() {
            let size = files.first { $0.path == path }?.lines.count ?? 0
            #expect(size > Rules.sizeLimit, "\(path) is small or gone: take it out of the table")
        }
    }

    @Test func everyTargetHasAPlaceInTheOrder() throws {
        for target in try Repository.this.targets(in: "Sources") {
            #expect(Arrows.order.contains(target), "\(target) has no place in the order of targets")
        }
    }

    /// Targets of C carry their documentation in the header.
    @Test func everyModuleHasItsPage() throws {
        for target in try Repository.this.targets(in: "Sources") where !["CLZ4", "CPlatform"].contains(target) {
            let path = "Sources/\(target)/\(target).docc/\(target).md"
            guard let page = Repository.this.text(of: path) else {
                Issue.record("\(path) is missing")
                continue
            }
            #expect(page.hasPrefix("# ``\(target)``\n"), "\(path) does not open with the module's name")
            #expect(page.contains("## "), "\(path) says too little")
        }
    }

    @Test func nothingLiesAround() throws {
        let known: Set = [
            "Package.swift", "Package.resolved", "README.md", "Sources", "Tests", "Cluster", "Chaos",
        ]
        for name in try Repository.this.topLevel() where !known.contains(name) && !name.hasPrefix(".") {
            Issue.record("\(name) has no place at the top of the repository")
        }
    }
}
