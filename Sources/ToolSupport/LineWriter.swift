public import ByteIO

/// Text on standard output, buffered, with every write checked.
public final class LineWriter {
  private let output = OutputFile.standardOutput
  private var buffer: [UInt8] = []
  /// Whether a person reads along.
  public let isTerminal: Bool

  /// Begins with nothing written.
  public init() { isTerminal = output.isTerminal }

  /// Writes `text` and a line feed; to a terminal, what it would act on is made visible.
  ///
  /// - Throws: `IOFailure`.
  public func line(_ text: String) throws(IOFailure) {
    buffer += (isTerminal ? visible(text, keepingTabs: true) : text).utf8
    buffer.append(0x0A)
    if buffer.count >= 1 << 16 { try flush() }
  }

  /// Writes bytes as they are.
  ///
  /// - Throws: `IOFailure`.
  public func bytes(_ bytes: [UInt8]) throws(IOFailure) {
    buffer += bytes
    if buffer.count >= 1 << 16 { try flush() }
  }

  /// Writes what is left and closes standard output, where some errors only come out.
  ///
  /// - Throws: `IOFailure`.
  public func finish() throws(IOFailure) {
    try flush()
    try output.close()
  }

  private func flush() throws(IOFailure) {
    try output.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}

/// Standard output for binary data.
///
/// - Throws: `ToolFailure` if it is a terminal.
public func binaryOutput() throws -> OutputFile {
  let output = OutputFile.standardOutput
  guard !output.isTerminal else {
    throw ToolFailure(
      .usage, "will not write volumes to a terminal; send standard output to a pipe or a file")
  }
  return output
}

/// Standard input for a frame stream.
///
/// - Throws: `ToolFailure` if it is a terminal.
public func binaryInput() throws -> InputFile {
  let input = InputFile.standardInput
  guard !input.isTerminal else {
    throw ToolFailure(
      .usage, "standard input is a terminal; volumes come through a pipe, from nifti-cat say")
  }
  return input
}
