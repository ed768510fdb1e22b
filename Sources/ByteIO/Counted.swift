/// A number and what it counts, such as `1 volume` and `2 volumes`.
public func counted(_ number: some BinaryInteger, _ noun: String) -> String {
  "\(number) \(noun)\(number == 1 ? "" : "s")"
}
