internal import Frames
internal import ByteIO
internal import Glibc

/// One run of a program: the ids that it draws, and its clock.
///
/// All ids that it draws begin with the same digits, by which its lease stands for all that it makes.
package struct Session: Sendable {
  /// How many digits the ids of a session share.
  package static let digits = 16

  /// What all its ids begin with, 16 hexadecimal digits.
  package let name: String
  private let draw: @Sendable () -> UInt64
  /// Seconds since 1970, by the clock of the machine.
  package let clock: @Sendable () -> Double
  /// Waits so many seconds.
  package let pause: @Sendable (Double) -> Void
  /// Whether a thread renews its leases.
  package let renewsLeases: Bool

  /// Begins one that is another than all others.
  package init() {
    self.init(
      draw: {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
      },
      clock: { Clock.now() }, pause: { usleep(UInt32($0 * 1e6)) }, renewsLeases: true)
  }

  /// Begins one by means that are given, for runs that can be had again.
  package init(
    draw: @escaping @Sendable () -> UInt64, clock: @escaping @Sendable () -> Double,
    pause: @escaping @Sendable (Double) -> Void, renewsLeases: Bool
  ) {
    self.draw = draw
    self.clock = clock
    self.pause = pause
    self.renewsLeases = renewsLeases
    name = Self.hexadecimal(draw())
  }

  /// An id that no other has: 32 hexadecimal digits.
  package func identifier() -> String { name + Self.hexadecimal(draw()) }

  /// A number below `bound`, at random.
  package func number(below bound: UInt64) -> UInt64 { draw() % bound }

  /// The time now, as documents have it.
  package func timestamp() -> String { Clock.text(clock()) }

  private static func hexadecimal(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: digits.utf8.count < 16 ? 16 - digits.utf8.count : 0)
      + digits
  }
}

/// What a session holds a lease for.
package enum LeaseWork: String, Sendable, CaseIterable {
  /// It makes files that a record will name.
  case write
  /// It makes a snapshot of what it reads, and files that the snapshot will name.
  case commit
  /// What it has made is given up, and stays as long as somebody commits who may have seen it before.
  case giveUp = "give-up"
}
