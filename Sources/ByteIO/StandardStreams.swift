public import SystemPackage

/// The streams that a process is given: how users name them, and what messages call them.
public enum StandardStream {
  /// What messages call standard input.
  public static let inputName = "standard input"
  /// What messages call standard output.
  public static let outputName = "standard output"

  private static let operand = "-"

  /// Whether an operand means standard input, or standard output where a tool writes, and no file.
  public static func isMeant(by operand: String) -> Bool { operand == Self.operand }

  /// Whether an operand means standard input, or standard output where a tool writes, and no file.
  public static func isMeant(by operand: FilePath) -> Bool { operand == FilePath(Self.operand) }
}

extension InputFile {
  /// Standard input, which stays open.
  public static var standardInput: InputFile {
    InputFile(borrowing: 0, name: StandardStream.inputName)
  }

  /// Opens what an operand names: standard input for `-`, else a file.
  ///
  /// - Throws: `IOFailure` if it cannot be opened.
  public convenience init(operand: String) throws(IOFailure) {
    if StandardStream.isMeant(by: operand) {
      self.init(borrowing: 0, name: StandardStream.inputName)
    } else {
      try self.init(operand)
    }
  }

  /// Opens what an operand names: standard input for `-`, else a file.
  ///
  /// - Throws: `IOFailure` if it cannot be opened.
  public convenience init(operand: FilePath) throws(IOFailure) {
    if StandardStream.isMeant(by: operand) {
      self.init(borrowing: 0, name: StandardStream.inputName)
    } else {
      try self.init(operand)
    }
  }
}

extension OutputFile {
  /// Standard output, which `close` closes.
  public static var standardOutput: OutputFile {
    OutputFile(borrowing: 1, name: StandardStream.outputName)
  }

  /// Standard error.
  public static var standardError: OutputFile {
    OutputFile(borrowing: 2, name: "standard error")
  }
}
