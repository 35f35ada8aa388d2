import Bench
import Primitives
import Testing

@Suite struct ReportTests {
    private var options: FailoverOptions {
        var options = FailoverOptions(
            addresses: [BrokerAddress(host: "127.0.0.1"), BrokerAddress(host: "127.0.0.1", port: 5673)],
            leaderCommand: ["leader"], restartCommand: ["node"])
        options.trials = 2
        return options
    }

    private func trial(_ number: Int, unavailable: UInt64?, dropping: Bool = false) -> FailoverTrialReport {
        func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }
        var ledger = TrialLedger(run: 1)
        _ = ledger.publish(due: at(0), at: at(0))
        ledger.confirm(0, sentAt: at(0), at: at(1))
        if !dropping { ledger.deliver(ledger.stamp(of: 0), redelivered: false, at: at(1)) }
        ledger.enter(.before)
        ledger.fault(at: at(10))
        if let unavailable {
            _ = ledger.publish(due: at(11), at: at(11))
            ledger.confirm(1, sentAt: at(11), at: at(10 + unavailable))
            ledger.deliver(ledger.stamp(of: 1), redelivered: false, at: at(10 + unavailable))
        }
        var report = FailoverTrialReport(number: number, queue: "q")
        report.take(ledger)
        return report
    }

    private func report(_ trials: [FailoverTrialReport]) -> FailoverReport {
        var report = FailoverReport(options: options)
        report.trials = trials
        return report
    }

    @Test func theLastLineSaysItAll() {
        let clean = report([trial(1, unavailable: 40), trial(2, unavailable: 60)])
        #expect(clean.isClean)
        #expect(
            clean.lastLine
                == "lost 0, duplicates 0, reordered 0; unavailable median 50.0 ms, worst 60.0 ms (2 trials)")
        #expect(clean.text.hasSuffix(clean.lastLine))
        #expect(clean.json.contains(#""unavailability_ms":{"n":2,"min":40.000,"p50":50.000"#))
        #expect(clean.json.contains(#""summary":{"ok":true"#))
        #expect(clean.svg.hasPrefix("<svg ") && clean.svg.hasSuffix("</svg>\n"))
        #expect(clean.svg.contains("40–42 ms: 1"))
    }

    @Test func stagesAreToldInAllForms() {
        var staged = trial(1, unavailable: 40)
        staged.stages = FailoverStages()
        staged.stages?.noticed = .milliseconds(3)
        staged.stages?.elected = .milliseconds(18)
        staged.stages?.committed = .milliseconds(19)
        staged.clients = .milliseconds(21)
        let told = report([staged, staged])
        #expect(staged.text.contains("unavailable 40.0 ms (noticed 3.00, elected 18.0, first commit 19.0); first new"))
        for row in ["  detection             p50 3.00 ", "  election              p50 15.0 ", "  clients    "] {
            #expect(told.text.contains(row))
        }
        #expect(told.json.contains(#""detection_ms":{"n":2,"min":3.000"#))
        #expect(told.json.contains(#""stages":{"noticed_ms":3.000,"elected_ms":18.000,"first_commit_ms":19.000"#))
        #expect(told.svg.contains("<title>election 15.0 ms</title>") && told.svg.hasSuffix("</svg>\n"))
        // A broker that tells nothing has none.
        let silent = report([trial(1, unavailable: 40), trial(2, unavailable: 60)])
        #expect(!silent.text.contains("detection") && silent.json.contains(#""detection_ms":null"#))
        #expect(!silent.svg.contains("detection"))
    }

    /// From the leader's first commit to what ended the outage.
    @Test func theClientsStageIsWhatRemains() {
        func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }
        var ledger = TrialLedger(run: 1)
        ledger.enter(.before)
        ledger.fault(at: at(10))
        _ = ledger.publish(due: at(11), at: at(11))
        ledger.confirm(0, sentAt: at(11), at: at(40))
        ledger.deliver(ledger.stamp(of: 0), redelivered: false, at: at(45))
        var report = FailoverTrialReport(number: 1, queue: "q")
        report.stages = FailoverStages()
        report.stages?.committed = .milliseconds(31)
        report.take(ledger)
        #expect(report.unavailability == .milliseconds(35) && report.clients == .milliseconds(4))
    }

    @Test func oneLostMessageIsNotClean() {
        let lossy = report([trial(1, unavailable: 40), trial(2, unavailable: 60, dropping: true)])
        #expect(!lossy.isClean)
        #expect(lossy.lastLine.hasPrefix("lost 1, duplicates 0, reordered 0;"))
        #expect(lossy.json.contains(#""summary":{"ok":false"#))
    }

    @Test func missingTrialsAndMissingRecoveryAreNotClean() {
        #expect(!report([trial(1, unavailable: 40)]).isClean)
        let stuck = report([trial(1, unavailable: 40), trial(2, unavailable: nil)])
        #expect(!stuck.isClean)
        #expect(stuck.lastLine.hasSuffix("(2 trials); 1 without recovery"))
        #expect(report([trial(1, unavailable: nil)]).svg.contains("without recovery"))
        var broken = trial(2, unavailable: 40)
        broken.problems.append("no recovery within 60 s")
        #expect(!report([trial(1, unavailable: 40), broken]).isClean)
    }

    @Test func spreadsAreExact() throws {
        let spread = try #require(Spread((1...20).reversed().map { .milliseconds($0) }))
        #expect(spread.median == .microseconds(10_500))
        #expect(spread.percentile(90) == .milliseconds(18) && spread.percentile(99) == .milliseconds(20))
        #expect(spread.maximum == .milliseconds(20))
        #expect(Spread([]) == nil)
        let wide = try #require(Spread([.milliseconds(41), .milliseconds(44), .milliseconds(250)]))
        let bins = wide.bins()
        #expect(bins.width == .milliseconds(20) && bins.first == 2)
        #expect(bins.counts.reduce(0, +) == 3 && bins.counts.first == 2 && bins.counts.last == 1)
        #expect(bins.counts.count == 11)
        let long = try #require(Spread([.zero, .seconds(3_600)]))
        #expect(long.bins().counts.count <= 20)
    }

    @Test func comparisonsTellMediansAndRatios() {
        let options = LoadOptions(addresses: [BrokerAddress(host: "a")])
        func runs(_ server: String, _ rates: Double...) -> [LoadReport] {
            rates.map {
                var report = LoadReport(options: options)
                report.server = server
                report.confirmRate = $0
                return report
            }
        }
        func comparison(_ reports: [[LoadReport]]) -> ComparisonReport {
            ComparisonReport(rows: [ComparisonRow(scenario: LoadScenario(options), reports: reports)])
        }
        let two = comparison([runs("A 1", 300, 100, 200), runs("B <2>", 40, 10, 30, 20)])
        #expect(two.text.contains("| A 1 | 200 |"))
        #expect(two.text.contains("| B <2> | 25 |"))
        #expect(two.text.contains("| ratio | × 8.0 |"))
        #expect(two.text.hasSuffix("medians of 3 runs; nothing lost, duplicated or reordered"))
        #expect(two.json.contains(#""ratios":{"confirmed_per_s":8.000}"#))
        #expect(two.svg.contains("25  B &lt;2&gt;"))
        let one = comparison([runs("A 1", 300)])
        #expect(!one.text.contains("ratio") && one.isClean)
        var lossy = runs("A 1", 1)
        lossy[0].integrity.lost = 1
        #expect(!comparison([lossy]).isClean && comparison([lossy]).text.contains("NOT CLEAN"))
    }

    @Test func documentsAreQuoted() {
        let value: JSONValue = [
            ("a\"b", .string("\\\n\u{1}é")), ("n", .number(.nan)), ("x", .number(-0.0004)), ("y", .number(-1.5)),
            ("list", .array([.null, .bool(true), .integer(.max)])),
        ]
        #expect(
            value.text
                == #"{"a\"b":"\\\n\u0001é","n":null,"x":0.000,"y":-1.500,"list":[null,true,18446744073709551615]}"#)
    }

    @Test func latenciesKeepThreeDigits() {
        var latencies = Latencies()
        #expect(latencies.summary.count == 0 && latencies.summary.maximum == .zero)
        for microseconds in 1...1_000 as ClosedRange<UInt64> { latencies.record(.microseconds(microseconds * 100)) }
        let summary = latencies.summary
        #expect(summary.count == 1_000)
        for (found, expected) in [(summary.p50, 50.0), (summary.p90, 90), (summary.p99, 99), (summary.maximum, 100)] {
            #expect(abs(found.inMilliseconds - expected) < expected / 500)
        }
    }
}
