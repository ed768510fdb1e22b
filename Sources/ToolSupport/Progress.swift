internal import ByteIO
internal import Glibc

/// A line on a terminal's stderr that tells how far a long run is; nothing elsewhere.
///
/// May be used from several threads.
public final class Progress: @unchecked Sendable {
  private let isShown: Bool
  private let monitor = Monitor()
  private let begun = Progress.now()
  private var drawn = 0.0
  private var volumes = 0
  private var bytes: UInt64 = 0
  private var total: UInt64?
  private var done: UInt64 = 0

  /// Shows progress unless `quiet` or stderr is no terminal.
  public init(quiet: Bool) {
    isShown = !quiet && isatty(2) == 1
  }

  /// Whether anything is shown, so that a total is worth finding out.
  public var isActive: Bool { isShown }

  /// Says how much there is to do, in any unit of work.
  public func expect(_ total: UInt64) { monitor.update { self.total = total } }

  /// Counts volumes and bytes, and work done in the unit of `expect`.
  public func add(volumes: Int = 0, bytes: UInt64 = 0, work: UInt64 = 0) {
    guard isShown else { return }
    monitor.update {
      self.volumes += volumes
      self.bytes &+= bytes
      done &+= work
      let now = Self.now()
      if now - drawn >= 0.2 {
        drawn = now
        draw(now)
      }
    }
  }

  /// Removes the line, so that a message can take its place.
  public func clear() {
    guard isShown else { return }
    writeError("\r\u{1B}[K")
  }

  /// Draws the last state and ends the line.
  public func finish() {
    guard isShown else { return }
    monitor.update {
      total = nil
      draw(Self.now())
      writeError("\n")
    }
  }

  private func draw(_ now: Double) {
    let seconds = max(now - begun, 0.001)
    var text = "\(counted(volumes, "volume")), \(humanBytes(bytes)), "
    text += "\(Int(Double(bytes) / seconds / 1e6)) MB/s"
    if let total, total > 0, done > 0, done <= total {
      let left = seconds * Double(total - done) / Double(done)
      text += ", \(Int(100 * (Double(done) / Double(total)))) %, \(clock(left)) left"
    } else {
      text += ", \(clock(seconds))"
    }
    writeError("\r\(text)\u{1B}[K")
  }

  private func clock(_ seconds: Double) -> String {
    // Sizes from a damaged manifest may promise centuries.
    let whole = Int(min(seconds.rounded(.up), 359_999))
    let rest = whole % 60
    return "\(whole / 60):\(rest < 10 ? "0" : "")\(rest)"
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// `bytes` in decimal units with three figures, such as `73.4 MB`.
public func humanBytes(_ bytes: UInt64) -> String {
  var value = Double(bytes)
  var unit = 0
  let units = ["B", "kB", "MB", "GB", "TB", "PB"]
  while value >= 999.5, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  if unit == 0 { return "\(bytes) B" }
  return "\(decimal(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) \(units[unit])"
}

/// `value` with so many digits behind the point.
public func decimal(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, value >= 0, value < 1e12 else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = UInt64((value * scale).rounded())
  guard digits > 0 else { return String(scaled) }
  let fraction = String(scaled % UInt64(scale))
  let zeros = String(repeating: "0", count: digits - fraction.count)
  return "\(scaled / UInt64(scale)).\(zeros)\(fraction)"
}
