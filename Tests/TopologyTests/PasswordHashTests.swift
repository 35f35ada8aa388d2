import Testing
import Topology

@Suite struct PasswordHashTests {
    /// The example of RabbitMQ's documentation on passwords: `test12` with the salt 908D C60A.
    @Test func knownHash() {
        let hash = PasswordHash(password: "test12", salt: 0x908D_C60A)
        #expect(hash.base64 == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
        #expect(PasswordHash(base64: hash.base64) == hash)
        #expect(hash.verify("test12"))
        #expect(!hash.verify("test13"))
        #expect(!hash.verify(""))
    }

    @Test(arguments: [
        "", "kI3G", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO",
        "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO!",
        "=I3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
    ])
    func refusesOtherTexts(_ text: String) { #expect(PasswordHash(base64: text) == nil) }
}
