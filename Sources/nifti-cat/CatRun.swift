import ByteIO
import NIfTI
import ToolSupport
import Frames

/// One run over all files: events in, frames out, and what is to be said of them.
struct CatRun {
  let options: NiftiCat
  let writer: FrameWriter
  let progress: Progress

  private var source: SourcePath?
  private var isOpen = false
  private var bytes: UInt64 = 0
  private var read = 0
  private var warned = 0
  private var isWarned = false
  private var refused: UInt64 = 0
  private var skipped: UInt64 = 0
  private var passedOver = 0

  init(options: NiftiCat, writer: FrameWriter, progress: Progress) {
    self.options = options
    self.writer = writer
    self.progress = progress
  }

  /// Passes everything on; the end frame comes last, and then what is to be said of what was not
  /// read.
  mutating func pass(_ ahead: ReadAhead, remarks: () -> [String]) throws -> ExitStatus {
    while let event = ahead.next() {
      switch event {
      case .open(let source, let header):
        do {
          try open(source, header)
        } catch let error as NIfTIError {
          try refuse(error)
        } catch let error as FormatError {
          try refuse(error)
        }
      case .extra(let bytes): if isOpen { try bytes.withUnsafeBytes { try writer.extra($0) } }
      case .data(let block):
        if isOpen { try writer.data(block.bytes) }
        ahead.recycle(block)
      case .close(let quirks): if isOpen { try close(quirks) }
      // A source that was refused when it was opened is not refused again.
      case .failure(let error, let wasOpen): if isOpen || !wasOpen { try refuse(error) }
      case .passedOver(let found):
        passedOver += 1
        if options.verbose { tell("passing over '\(found.path)': it is \(found.what)") }
      }
    }
    try writer.end(skipped: skipped)
    if options.verbose || (!options.quiet && (UInt64(read) + refused > 1 || passedOver > 0)) {
      tell(
        "\(read) read, \(warned) with warnings, \(refused) refused"
          + (passedOver > 0 ? ", \(passedOver) passed over" : ""))
    }
    if !options.quiet { remarks().forEach(tell) }
    return refused > 0 ? .partial : .done
  }

  private mutating func open(_ source: SourcePath, _ header: VolumeHeader) throws {
    self.source = source
    isWarned = false
    var header = header
    for item in options.attributes {
      header.attributes = header.attributes ?? JSONObject()
      header.attributes?[item.key] = .string(item.value)
    }
    if options.strict, let quirk = header.quirks?.first {
      throw NIfTIError(source.known.string, "\(quirk) (an error under --strict)")
    }
    warn((header.quirks ?? []).map(\.string))
    if options.verbose { tell("reading '\(source.known.string)'") }
    try writer.open(header)
    bytes = header.byteCount
    isOpen = true
  }

  private mutating func close(_ quirks: [String]) throws {
    if options.strict, let quirk = quirks.first, let source {
      try refuse(NIfTIError(source.known.string, "\(quirk) (an error under --strict)"))
      return
    }
    warn(quirks)
    try writer.close(quirks: quirks.map { ExactString($0) })
    isOpen = false
    read += 1
    if isWarned { warned += 1 }
    progress.add(volumes: 1, bytes: bytes, work: progress.isActive ? source?.size ?? 0 : 0)
  }

  /// Reports a bad file and takes its volume back; throws unless the run is to go on.
  private mutating func refuse(_ error: any Error) throws {
    guard options.keepGoing else { throw error }
    let reason = explain(error).message
    tell(reason)
    if isOpen {
      try writer.drop(reason: reason)
    } else {
      skipped += 1
    }
    isOpen = false
    refused += 1
  }

  private mutating func warn(_ quirks: [String]) {
    if !quirks.isEmpty { isWarned = true }
    guard !options.quiet, let source else { return }
    for quirk in quirks { tell("warning: '\(source.known.string)': \(quirk)") }
  }

  private func tell(_ message: String) {
    progress.clear()
    NiftiCat.warn(message)
  }
}
