public import ArgumentParser
internal import ByteIO
internal import Glibc

/// The version of all tools.
public let volpipeVersion = "0.1.0"

/// A command of the toolkit: parses its arguments, runs, and ends with an exit status.
///
/// A failure is one line on stderr, written in one call: `tool: what failed 'subject': cause`.
public protocol Tool: ParsableCommand {
  /// Does the work.
  ///
  /// - Returns: `done`, or `partial` where something was left out.
  /// - Throws: anything; `explain` makes the message and the exit status.
  mutating func execute() throws -> ExitStatus
}

extension Tool {
  /// Name and version, for records of who wrote what.
  public static var nameAndVersion: String { "\(Self.toolName) \(volpipeVersion)" }

  /// The command's name.
  public static var toolName: String { Self.configuration.commandName ?? "volpipe" }

  /// Parses the process's arguments, runs, and exits.
  public static func start() -> Never {
    returnFreedMemory()
    // A file that may not grow is an error that is told, like a full disk.
    signal(SIGXFSZ, SIG_IGN)
    // ArgumentParser's completions offer a command `help` that there is not; ours are files.
    if let option = ProcessArguments.operands.prefix(while: { $0 != "--" })
      .first(where: { $0.hasPrefix("--generate-completion-script") })
    {
      end(parsing: "Error: Unknown option '\(option)'", isFailure: true)
    }
    var tool: Self
    do {
      let parsed = try Self.parseAsRoot(ProcessArguments.operands)
      guard let own = parsed as? Self else {
        // ArgumentParser's own commands, such as the one that prints the table of options.
        var command = parsed
        try command.run()
        Glibc.exit(ExitStatus.done.rawValue)
      }
      tool = own
    } catch {
      // ArgumentParser takes an `h` in any word that begins with `-` for a wish for help.
      let asked = ["-h", "--help", "--version", "--experimental-dump-help"]
      let options = ProcessArguments.operands.prefix { $0 != "--" }
      if Self.exitCode(for: error) == .success, !options.contains(where: asked.contains),
        let option = options.first(where: { $0.hasPrefix("-") && $0.contains("h") })
      {
        end(parsing: "Error: Unknown option '\(option)'", isFailure: true)
      }
      let isFailure = Self.exitCode(for: error) != .success
      end(parsing: Self.fullMessage(for: error), isFailure: isFailure)
    }
    do {
      Glibc.exit(try tool.execute().rawValue)
    } catch {
      fail(explain(error))
    }
  }

  /// Writes one line to stderr.
  public static func warn(_ message: String) { writeError("\(toolName): \(oneLine(message))\n") }

  private static func fail(_ failure: ToolFailure) -> Never {
    warn(failure.message)
    Glibc.exit(failure.status.rawValue)
  }

  private static func end(parsing text: String, isFailure: Bool) -> Never {
    if isFailure {
      writeError("\(toolName): \(usageLine(text))\n")
      Glibc.exit(ExitStatus.usage.rawValue)
    }
    do {
      let output = LineWriter()
      try output.line(text)
      try output.finish()
    } catch {
      fail(explain(error))
    }
    Glibc.exit(ExitStatus.done.rawValue)
  }
}

/// ArgumentParser's message for wrong usage, as the first line it gives and a hint.
private func usageLine(_ text: String) -> String {
  let first = text.split(separator: "\n").first.map(String.init) ?? "wrong usage"
  let bare = first.hasPrefix("Error: ") ? String(first.dropFirst(7)) : first
  let stripped = bare.hasSuffix(".") ? String(bare.dropLast()) : bare
  return oneLine(stripped.prefix(1).lowercased() + stripped.dropFirst()) + "; see --help"
}

/// Writes to stderr, where nothing more can be done about a failure.
func writeError(_ text: String) {
  try? OutputFile.standardError.write(Array(text.utf8))
}
