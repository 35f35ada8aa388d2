public import Primitives
public import QueueClient
public import Topology

/// Why a change of the topology was not made, or is not known to have been made.
public enum ProposeFailure: Error, Hashable, Sendable {
    /// No leader of the topology group took the command in time. It may still be applied later; all commands are
    /// idempotent, so a client may repeat what it asked for.
    case unavailable
}

/// What a broker needs of the node around it. All calls are made, and all completions run, on the broker's event loop.
///
/// The broker never holds exclusive access to its own state across one of these calls, so an implementation may call
/// back into `BrokerLoop` at once.
public protocol BrokerNode: AnyObject {
    /// This node's configured number.
    var nodeID: NodeID { get }
    /// This start of this node; sessions and transient queues of earlier ones are dead.
    var incarnation: Incarnation { get }
    /// The local copy of the cluster's metadata, with its router.
    var topology: Topology { get }
    /// Who leads a queue's group, as far as this node knows, and in which term.
    func leader(of group: GroupID) -> (node: NodeID?, term: Term)
    /// Bytes of queues' commands that the way to a node takes in this tick, without bound to this one itself; nil while
    /// the link has more than it can take, until `BrokerLoop.linkDrained`.
    func commandRoom(to node: NodeID) -> Int?
    /// Hands a message to the leader of a queue, here or elsewhere. It may be lost: the queue client resends.
    func send(_ message: ClientMessage, group: GroupID, to node: NodeID)
    /// Proposes a change of the metadata. `completion` runs once the local copy has applied it.
    func propose(
        _ command: TopologyCommand, completion: @escaping (Result<TopologyOutcome, ProposeFailure>) -> Void)
    /// Sends bytes to the broker of another node: in order, lost when the link is reset.
    func sendToGateway(_ node: NodeID, _ payload: Bytes)
    /// Whether the node is up as far as this one knows; true for itself.
    func isUp(_ node: NodeID) -> Bool
    /// Asks for `BrokerLoop.flush()` at the end of this tick of the event loop.
    func setNeedsFlush()
}
