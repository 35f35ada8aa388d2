import AMQP
import Broker
import Primitives
import Testing
import Topology

@Suite struct ConnectionTests {
    @Test func opensWithPlainCredentials() {
        let cluster = FakeCluster()
        let client = TestClient(cluster)
        client.sendBytes(ProtocolHeader.octets)
        guard case .connectionStart(let start)? = client.hearMethods().first else {
            Issue.record("no connection.start")
            return
        }
        #expect(start.serverProperties["product"] == "Warren")
        guard case .table(let capabilities)? = start.serverProperties["capabilities"] else {
            Issue.record("no capabilities")
            return
        }
        #expect(capabilities["publisher_confirms"] == true)
        client.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0guest"))), channel: 0)
        guard case .connectionTune(let tune)? = client.hearMethods().first else {
            Issue.record("no connection.tune")
            return
        }
        #expect(tune == ConnectionTune(channelMax: 2_047, frameMax: 131_072, heartbeat: 60))
        client.send(.connectionTuneOk(ConnectionTuneOk(channelMax: 100, frameMax: 8_192, heartbeat: 10)), channel: 0)
        client.send(.connectionOpen(ConnectionOpen()), channel: 0)
        #expect(client.hear() == ["connection.open-ok"])
        client.send(.channelOpen(ChannelOpen()), channel: 100)
        #expect(client.hear() == ["#100 channel.open-ok"])
        client.send(.channelOpen(ChannelOpen()), channel: 101)
        #expect(
            client.hear() == [
                "connection.close 530 NOT_ALLOWED - channel number 101 is above the negotiated channel_max (100)"
            ])
        client.send(.connectionCloseOk(ConnectionCloseOk()), channel: 0)
        #expect(client.isClosed)
    }

    @Test func opensWithAMQPLAIN() {
        let cluster = FakeCluster()
        let client = TestClient(cluster)
        client.sendBytes(ProtocolHeader.octets)
        var writer = ByteWriter()
        writer.writeFieldTable(["LOGIN": "guest", "PASSWORD": "guest"])
        let table = writer.take()
        client.send(
            .connectionStartOk(
                ConnectionStartOk(clientProperties: [:], mechanism: "AMQPLAIN", response: table[4..<table.count])),
            channel: 0)
        #expect(client.hear() == ["connection.start", "connection.tune"])
    }

    @Test func answersAWrongProtocolHeader() {
        let cluster = FakeCluster()
        let client = TestClient(cluster)
        client.sendBytes(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(client.hear() == ["protocol header"])
        #expect(client.isClosed)
    }

    @Test func refusesWrongPasswords() {
        let cluster = FakeCluster()
        let quiet = TestClient(cluster)
        quiet.sendBytes(ProtocolHeader.octets)
        quiet.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0wrong"))), channel: 0)
        #expect(quiet.hear() == ["connection.start"])
        #expect(quiet.isClosed)

        let told = TestClient(cluster)
        told.sendBytes(ProtocolHeader.octets)
        let properties: FieldTable = ["capabilities": .table(["authentication_failure_close": true])]
        told.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: properties, response: Bytes("\0guest\0wrong"))),
            channel: 0)
        #expect(
            told.hear() == [
                "connection.start",
                "connection.close 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                    + "For details see the broker logfile.",
            ])
    }

    @Test func keepsGuestOnThisMachine() {
        let client = TestClient(FakeCluster(), isLoopback: false)
        client.sendBytes(ProtocolHeader.octets)
        client.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0guest"))), channel: 0)
        #expect(client.isClosed)
    }

    @Test func refusesAnUnknownVirtualHost() {
        let client = TestClient(FakeCluster())
        client.sendBytes(ProtocolHeader.octets)
        client.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0guest"))), channel: 0)
        client.send(.connectionTuneOk(ConnectionTuneOk()), channel: 0)
        client.send(.connectionOpen(ConnectionOpen(virtualHost: "nowhere")), channel: 0)
        #expect(client.hear().last == "connection.close 530 NOT_ALLOWED - vhost nowhere not found")
    }

    @Test func takesInputByteByByte() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        var writer = ByteWriter()
        Method.queueDeclare(QueueDeclare(queue: "q", durable: true)).encodeFrame(channel: 1, into: &writer)
        for byte in writer.take().toArray() { client.sendBytes([byte]) }
        #expect(client.hear() == ["declare-ok q 0 0"])
    }

    @Test func closesWithTheRightCodes() {
        let cluster = FakeCluster()
        /// What a fresh client hears after `bytes`.
        func answer(to bytes: [UInt8]) -> [String] {
            let client = TestClient.open(cluster)
            client.sendBytes(bytes)
            return client.hear()
        }
        func frame(_ method: Method, channel: UInt16) -> [UInt8] {
            var writer = ByteWriter()
            method.encodeFrame(channel: channel, into: &writer)
            return writer.take().toArray()
        }
        // An unknown frame type, a wrong end octet, an oversized frame.
        #expect(answer(to: [9, 0, 1, 0, 0, 0, 0, 0xCE]).first?.hasPrefix("connection.close 501") == true)
        #expect(answer(to: [1, 0, 1, 0, 0, 0, 0, 0]).first?.hasPrefix("connection.close 501") == true)
        #expect(answer(to: [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]).first?.hasPrefix("connection.close 501") == true)
        // A method cut short, an unknown method, a method for channel 0 elsewhere and the other way round.
        #expect(answer(to: [1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 40, 0xCE]).first?.hasPrefix("connection.close 502") == true)
        #expect(answer(to: [1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 99, 0xCE]).first?.hasPrefix("connection.close 503") == true)
        #expect(
            answer(to: frame(.connectionOpen(ConnectionOpen()), channel: 1)).first?.hasPrefix("connection.close 503")
                == true)
        #expect(answer(to: frame(.basicAck(BasicAck()), channel: 0)).first?.hasPrefix("connection.close 504") == true)
        // An unopened channel, a second open.
        #expect(answer(to: frame(.basicAck(BasicAck()), channel: 7)).first?.hasPrefix("connection.close 504") == true)
        #expect(
            answer(to: frame(.channelOpen(ChannelOpen()), channel: 1)).first?.hasPrefix("connection.close 504") == true)
        // Content without a method, a method inside a content.
        #expect(answer(to: [3, 0, 1, 0, 0, 0, 1, 65, 0xCE]).first?.hasPrefix("connection.close 505") == true)
        let publish = frame(.basicPublish(BasicPublish(routingKey: "q")), channel: 1)
        #expect(answer(to: publish + publish).first?.hasPrefix("connection.close 505") == true)
        #expect(
            answer(to: frame(.txSelect(TxSelect()), channel: 1)).first?.hasPrefix("connection.close 540") == true)
    }

    @Test func survivesGarbage() {
        let cluster = FakeCluster()
        var random = SeededRandom(seed: 11)
        for round in 0..<300 {
            let client = TestClient.open(cluster)
            var bytes = (0..<Int(random.next(below: 200))).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if round % 2 == 0 {
                // A frame of the right form around it.
                let size = bytes.count
                bytes = [1, 0, 1, 0, 0, 0, UInt8(size)] + bytes + [0xCE]
                if size >= 4 {
                    bytes[7] = 0
                    bytes[8] = [10, 20, 40, 50, 60, 85, 90][Int(random.next(below: 7))]
                    bytes[9] = 0
                    bytes[10] = UInt8(random.next(below: 125))
                }
            }
            client.sendBytes(bytes)
            client.disconnect()
        }
        #expect(cluster[1].broker.connectionSnapshots().isEmpty)
        #expect(TestClient.open(cluster).isReading)
    }

    @Test func endsHandshakesThatTakeTooLong() {
        let cluster = FakeCluster()
        let client = TestClient(cluster)
        client.sendBytes(ProtocolHeader.octets)
        cluster.tick(9_000)
        #expect(!client.isClosed)
        cluster.tick(2_000)
        #expect(client.isClosed)
    }

    @Test func beatsAndListensForHeartbeats() {
        let cluster = FakeCluster()
        let client = TestClient(cluster)
        client.sendBytes(ProtocolHeader.octets)
        client.send(
            .connectionStartOk(ConnectionStartOk(clientProperties: [:], response: Bytes("\0guest\0guest"))), channel: 0)
        client.send(.connectionTuneOk(ConnectionTuneOk(heartbeat: 10)), channel: 0)
        client.send(.connectionOpen(ConnectionOpen()), channel: 0)
        _ = client.hear()
        cluster.tick(5_500)
        #expect(client.hear() == ["heartbeat"])
        client.sendBytes(FrameFormat.heartbeat)
        cluster.tick(19_000)
        #expect(!client.isClosed)
        cluster.tick(2_000)
        #expect(client.isClosed)
    }

    @Test func servesClientsThatComeBeforeTheFirstTick() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        cluster.tick(600)
        client.send(.queueDeclare(QueueDeclare(queue: "early")))
        #expect(client.hear() == ["declare-ok early 0 0"])
    }

    @Test func ownStallsSayNothingAboutClients() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        cluster.stall(600_000)
        #expect(!client.isClosed)
        cluster.tick(119_000)
        #expect(!client.isClosed)
        cluster.tick(2_000)
        #expect(client.isClosed)
    }

    @Test func tellsClientsThatTheNodeStops() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        cluster[1].broker.shutDown()
        #expect(client.hear().first?.hasPrefix("connection.close 320 CONNECTION_FORCED") == true)
        cluster.tick(6_000)
        #expect(client.isClosed)
    }

    @Test func aFailedChannelCanBeOpenedAgain() {
        let cluster = FakeCluster()
        let client = TestClient.open(cluster)
        client.send(.queueDeclare(QueueDeclare(queue: "none", passive: true)))
        #expect(client.hear() == ["channel.close 404 NOT_FOUND - no queue 'none' in vhost '/'"])
        // What crosses our close is thrown away.
        client.publish("lost", key: "none")
        client.send(.channelCloseOk(ChannelCloseOk()))
        client.send(.channelOpen(ChannelOpen()))
        #expect(client.hear() == ["channel.open-ok"])
        client.send(.channelClose(ChannelClose(replyCode: 200, classID: 0, methodID: 0)))
        #expect(client.hear() == ["channel.close-ok"])
        client.send(.connectionClose(ConnectionClose(replyCode: 200, classID: 0, methodID: 0)), channel: 0)
        #expect(client.hear() == ["connection.close-ok"])
        #expect(client.isClosed)
    }

    @Test func closesTheConnectionsOfDeletedUsersAndHosts() {
        let cluster = FakeCluster()
        cluster.change(.putVirtualHost(VirtualHostRecord(name: "v")))
        cluster.change(.setPermissions(user: "guest", vhost: "v", configure: ".*", write: ".*", read: ".*"))
        let client = TestClient(cluster)
        client.shakeHands(vhost: "v")
        let other = TestClient.open(cluster)
        cluster.change(.deleteVirtualHost("v"))
        #expect(client.hear() == ["connection.close 320 CONNECTION_FORCED - vhost 'v' is down"])
        #expect(other.hear() == [])
        cluster.change(.deleteUser("guest"))
        #expect(other.hear() == ["connection.close 320 CONNECTION_FORCED - user 'guest' is deleted"])
    }
}
