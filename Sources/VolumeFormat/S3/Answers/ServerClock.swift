internal import ByteIO
import Glibc

/// How far a server's clock is ahead of ours, known the better the more it has answered.
///
/// A reply's `Date` says the second in which it was made, which lies between the sending of the
/// request and the coming of the reply: so each narrows down how far apart the clocks are.
package final class ServerClock: @unchecked Sendable {
  private let monitor = Monitor()
  private var least = -Double.infinity
  private var most = Double.infinity

  /// Knows nothing yet.
  package init() {}

  /// Takes a reply's `Date`.
  ///
  /// - Parameters:
  ///   - date: as in RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
  ///   - sent: when the request was sent, by our clock: seconds since 1970.
  ///   - received: when the reply came, by our clock.
  package func take(_ date: String, sent: Double, received: Double) {
    guard let second = Self.seconds(date) else { return }
    monitor.update {
      let low = second - received
      let high = second + 1 - sent
      // One of the clocks was set meanwhile: what was known is worth nothing.
      if low > most || high < least {
        (least, most) = (low, high)
      } else {
        (least, most) = (max(least, low), min(most, high))
      }
    }
  }

  /// The server's time now, at most a second early and never late; nil if no reply had a date.
  package func now() -> Double? {
    monitor.update { least.isFinite ? Clock.now() + least : nil }
  }

  /// Reads a date of HTTP: seconds since 1970; nil if it is none.
  package static func seconds(_ date: String) -> Double? {
    let words = date.split(separator: " ")
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]),
      let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3])
    else { return nil }
    let time = words[4].split(separator: ":").compactMap { Int32($0) }
    guard time.count == 3 else { return nil }
    return seconds(year, Int32(month), day, time)
  }

  /// Reads a date as listings have it, `2026-11-27T08:49:37.123Z`: seconds since 1970.
  package static func seconds(ofListing date: String) -> Double? {
    guard date.hasSuffix("Z") else { return nil }
    let halves = date.dropLast().split(separator: "T")
    guard halves.count == 2 else { return nil }
    let day = halves[0].split(separator: "-").compactMap { Int32($0) }
    let parts = halves[1].split(separator: ".")
    let time = (parts.first ?? "").split(separator: ":").compactMap { Int32($0) }
    guard day.count == 3, time.count == 3, let whole = seconds(day[0], day[1] - 1, day[2], time)
    else { return nil }
    return whole + (parts.count == 2 ? Double("0.\(parts[1])") ?? 0 : 0)
  }

  private static func seconds(
    _ year: Int32, _ month: Int32, _ day: Int32, _ time: [Int32]
  ) -> Double? {
    guard (1970...9999).contains(year), (0...11).contains(month), (1...31).contains(day) else {
      return nil
    }
    var parts = tm()
    parts.tm_year = year - 1900
    parts.tm_mon = month
    parts.tm_mday = day
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (time[0], time[1], time[2])
    return Double(timegm(&parts))
  }
}
