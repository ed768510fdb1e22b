internal import Frames
internal import ByteIO
package import Storage

/// Objects that are of no use until they are finished, and go if a signal ends the process before.
public struct UnfinishedObjects: Sendable {
  private let files = UnfinishedFiles()

  /// Begins with none; signals do what they did.
  public init() {}

  /// From now on signals remove the objects; to be called before there are other threads.
  ///
  /// - Throws: `ThreadRefused`.
  public func removeOnSignal() throws { try files.removeOnSignal() }

  /// Makes the object `name` by `body`.
  ///
  /// - Throws: what `body` throws.
  package func making<T>(_ name: ObjectName, in store: any Store, _ body: () throws -> T) throws
    -> T
  {
    try files.making("\(store.location)/\(name.path)", remove: { try? store.remove([name]) }, body)
  }

  /// Finishes all by `body`, which no signal but a second one interrupts.
  ///
  /// - Throws: what `body` throws.
  package func finishing<T>(_ body: () throws -> T) throws -> T { try files.finishing(body) }

  /// See `UnfinishedFiles`.
  public func yieldToSignal() { files.yieldToSignal() }
}
