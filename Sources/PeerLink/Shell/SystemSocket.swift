import Glibc
import Primitives

/// Why a socket operation failed.
public struct SocketFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was tried.
    public var operation: String
    /// The error of the system.
    public var errno: Int32

    /// The operation and the error in words.
    public var description: String { "\(operation): \(String(cString: strerror(errno)))" }
}

/// Non-blocking TCP, straight on the system calls: the heartbeat thread polls its few sockets itself.
enum SystemSocket {
    /// What a read brought.
    enum ReadResult {
        case bytes(Int)
        /// Nothing there now.
        case wouldBlock
        /// FIN.
        case end
        case failed(SocketFailure)
    }

    static func listen(on address: SocketAddressBytes) throws(SocketFailure) -> CInt {
        let descriptor = try make(address.family)
        set(descriptor, SOL_SOCKET, SO_REUSEADDR)
        var result = address.withSockaddr { Glibc.bind(descriptor, $0, $1) }
        if result == 0 { result = Glibc.listen(descriptor, 128) }
        guard result == 0 else {
            let failure = SocketFailure(operation: "bind", errno: errno)
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Starts to connect; done when the socket becomes writable.
    static func connect(
        to address: SocketAddressBytes, from local: SocketAddressBytes?
    ) throws(SocketFailure) -> CInt {
        let descriptor = try make(address.family)
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
        if let local, local.family == address.family {
            guard local.withSockaddr({ Glibc.bind(descriptor, $0, $1) }) == 0 else {
                let failure = SocketFailure(operation: "bind", errno: errno)
                close(descriptor)
                throw failure
            }
        }
        if address.withSockaddr({ Glibc.connect(descriptor, $0, $1) }) != 0 && errno != EINPROGRESS {
            let failure = SocketFailure(operation: "connect", errno: errno)
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// How a connect ended.
    static func connectFailure(_ descriptor: CInt) -> SocketFailure? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length) == 0 else {
            return SocketFailure(operation: "getsockopt", errno: errno)
        }
        return value == 0 ? nil : SocketFailure(operation: "connect", errno: value)
    }

    /// The next connection; nil when none waits.
    static func accept(_ listener: CInt) throws(SocketFailure) -> CInt? {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            if descriptor >= 0 {
                makeNonBlocking(descriptor)
                set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
                return descriptor
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EAGAIN: return nil
            default: throw SocketFailure(operation: "accept", errno: errno)
            }
        }
    }

    static func read(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer) -> ReadResult {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            if errno == EINTR { continue }
            if errno == EAGAIN { return .wouldBlock }
            return .failed(SocketFailure(operation: "read", errno: errno))
        }
    }

    /// Writes all of `bytes`, or fewer when the socket's buffer is full.
    static func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) throws(SocketFailure) -> Int {
        while true {
            let count = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return count }
            if errno == EINTR { continue }
            if errno == EAGAIN { return 0 }
            throw SocketFailure(operation: "write", errno: errno)
        }
    }

    static func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

    static func makeNonBlocking(_ descriptor: CInt) {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    private static func make(_ family: Int32) throws(SocketFailure) -> CInt {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw SocketFailure(operation: "socket", errno: errno) }
        return descriptor
    }

    private static func set(_ descriptor: CInt, _ level: Int32, _ option: Int32) {
        var on: Int32 = 1
        setsockopt(descriptor, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }
}
