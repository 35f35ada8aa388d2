import Bench
import Testing

@Suite struct OptionTests {
    @Test func addressesAreRead() throws {
        #expect(
            try BrokerAddress(parsing: "amqp://me:p%40ss@host:5699/%2Fa")
                == BrokerAddress(host: "host", port: 5699, user: "me", password: "p@ss", virtualHost: "/a"))
        #expect(try BrokerAddress(parsing: "amqp://guest:guest@127.0.0.1:5672/") == BrokerAddress(host: "127.0.0.1"))
        #expect(try BrokerAddress(parsing: "127.0.0.1:5673") == BrokerAddress(host: "127.0.0.1", port: 5673))
        #expect(try BrokerAddress(parsing: "amqp://[::1]:5673") == BrokerAddress(host: "::1", port: 5673))
        #expect(try BrokerAddress(parsing: "amqp://[::1]/v") == BrokerAddress(host: "::1", virtualHost: "v"))
        #expect(try BrokerAddress.list(parsing: "a:1,amqp://b").map(\.description) == ["a:1", "b:5672"])
    }

    @Test(arguments: ["", "amqp://", "http://a", "a:0", "a:70000", "a:x", "amqp://a/%2", "amqp://a/%zz", ":5672"])
    func badAddressesAreRefused(_ text: String) {
        #expect(throws: BenchError.self) { try BrokerAddress(parsing: text) }
    }

    @Test func noAddressIsRefused() { #expect(throws: BenchError.self) { try BrokerAddress.list(parsing: ",") } }

    @Test func faultsAreChecked() throws {
        var options = FailoverOptions(
            addresses: [BrokerAddress(host: "a"), BrokerAddress(host: "b")], leaderCommand: ["l"],
            restartCommand: ["r"])
        try options.validate()
        // What no signal makes takes a command.
        for fault in FailoverFault.allCases {
            options.fault = fault
            options.faultCommand = []
            if fault == .partition || fault == .stall {
                #expect(throws: BenchError.self) { try options.validate() }
                options.faultCommand = ["make"]
            }
            try options.validate()
        }
        options.patience = 0
        #expect(throws: BenchError.self) { try options.validate() }
        options.patience = 1
        options.fault = .kill
        options.addresses.removeLast()
        #expect(throws: BenchError.self) { try options.validate() }
        options.clients = .leader
        try options.validate()
        options.trials = 0
        #expect(throws: BenchError.self) { try FailoverProbe(options: options) }
    }

    @Test func loadsAreChecked() throws {
        let options = LoadOptions(addresses: [BrokerAddress(host: "a")])
        try options.validate()
        let breaks: [(inout LoadOptions) -> Void] = [
            { $0.addresses = [] }, { $0.queues = 0 }, { $0.publishers = 0 }, { $0.consumers = -1 },
            { $0.bodySize = 15 },
            { $0.confirmWindow = -1 }, { $0.rate = -.infinity }, { $0.rate = .nan }, { $0.seconds = 0 },
            { $0.warmup = -1 }, { $0.acknowledgeEvery = 0 }, { $0.acknowledgeEvery = 1_001 },
            { ($0.publishers, $0.backlog) = (2, 3) },
        ]
        for change in breaks {
            var broken = options
            change(&broken)
            #expect(throws: BenchError.self) { try LoadBench(options: broken) }
        }
    }

    @Test func commandsAreRunToTheirEnd() async throws {
        let fine = try await ChildCommand.run(["sh", "-c", "echo 2 4711; echo why >&2; exit 3"])
        #expect(fine.status == 3 && fine.output == "2 4711\nwhy\n" && fine.lastLine == "why")
        // Something left behind with the pipe open does not hold it up.
        let parent = try await ChildCommand.run(["sh", "-c", "sleep 5 & echo started $1", "sh", "q"])
        #expect(parent.status == 0 && parent.output == "started q\n")
        #expect(try await ChildCommand.run(["sh", "-c", "kill -9 $$"]).status == 137)
        #expect(try await ChildCommand.run(["sh", "-c", "exec sleep 60"], seconds: 0.05).status == 137)
        await #expect(throws: BenchError.self) { _ = try await ChildCommand.run(["/nowhere/to be found"]) }
        let descriptors = try await ChildCommand.run(["sh", "-c", "ls /proc/self/fd | wc -l"])
        #expect(descriptors.output.split(separator: "\n").first == "4")
    }
}
