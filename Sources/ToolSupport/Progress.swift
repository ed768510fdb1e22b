internal import ByteIO
internal import Glibc

/// A line on a terminal's stderr that tells how far a long run is; nothing elsewhere.
///
/// Of the tools of one pipeline one draws, so that they do not overwrite each other: the one that
/// produces, since it knows how much there is; it holds a lock on the terminal. Those that take
/// what comes draw only while nobody holds it. Each ends with a line of its own.
///
/// May be used from several threads.
public final class Progress: @unchecked Sendable {
  private let isShown: Bool
  private let tool: String
  private let takesStream: Bool
  /// The terminal, to be locked; nil if it cannot be opened.
  private let terminal: CInt?
  private let monitor = Monitor()
  private let begun = Progress.now()
  private var drawn: Double
  private var volumes = 0
  private var bytes: UInt64 = 0
  private var total: UInt64?
  private var done: UInt64 = 0

  /// Seconds from one drawing to the next, and to the first of one that takes a stream, whose
  /// producer may need a while to begin.
  private static let interval = 0.2
  private static let patience = 0.5

  /// Shows progress unless `quiet` or stderr is no terminal.
  ///
  /// - Parameters:
  ///   - tool: its name.
  ///   - quiet: whether nothing is to be shown.
  ///   - takesStream: whether what it works on comes from another tool of the pipeline.
  public init(_ tool: String, quiet: Bool, takesStream: Bool = false) {
    isShown = !quiet && OutputFile.standardError.isTerminal
    self.tool = tool
    self.takesStream = takesStream
    drawn = takesStream ? begun + Self.patience - Self.interval : 0
    let descriptor =
      isShown ? ttyname(2).map { open($0, O_WRONLY | O_NOCTTY | O_CLOEXEC) } ?? -1 : -1
    terminal = descriptor < 0 ? nil : descriptor
    if !takesStream, let terminal { _ = flock(terminal, LOCK_EX | LOCK_NB) }
  }

  deinit { if let terminal { Glibc.close(terminal) } }

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
      guard now - drawn >= Self.interval else { return }
      drawn = now
      if mayDraw() { writeError("\r\(fitting(text(now)))\u{1B}[K") }
    }
  }

  /// Removes the line, so that a message can take its place.
  public func clear() {
    guard isShown else { return }
    writeError("\r\u{1B}[K")
  }

  /// Writes the last state on a line that stays.
  public func finish() {
    guard isShown else { return }
    monitor.update {
      total = nil
      writeError("\r\(text(Self.now()))\u{1B}[K\n")
    }
  }

  /// Whether nobody else of the terminal draws.
  private func mayDraw() -> Bool {
    guard let terminal else { return true }
    guard flock(terminal, LOCK_EX | LOCK_NB) == 0 else { return false }
    if takesStream { _ = flock(terminal, LOCK_UN) }
    return true
  }

  private func text(_ now: Double) -> String {
    let seconds = max(now - begun, 0.001)
    let rate = "\(Int(Double(bytes) / seconds / 1e6)) MB/s"
    let counts = "\(counted(volumes, "volume")), \(humanBytes(bytes)), \(rate)"
    guard let total, total > 0, done > 0, done <= total else {
      return "\(tool): \(counts), \(clock(seconds))"
    }
    // What is wanted most comes first, since the window may be narrow.
    let left = seconds * Double(total - done) / Double(done)
    let share = Int(100 * (Double(done) / Double(total)))
    return "\(tool): \(share) %, \(clock(left)) left, \(counts)"
  }

  /// As much of a line as the window holds without beginning another.
  private func fitting(_ text: String) -> String {
    var window = winsize()
    guard ioctl(2, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 1 else { return text }
    return String(text.prefix(Int(window.ws_col) - 1))
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
