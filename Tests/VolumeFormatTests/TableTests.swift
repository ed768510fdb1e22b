import ByteIO
import Testing
import Chunks
import Datasets
import Frames

@Suite struct TableTests {
  private struct Table {
    var names: [String] = []
    var lines: [[String?]] = []
    var numbers: [Int] = []
    var errors: [String] = []
  }

  /// Everything that comes of a table.
  private func read(_ text: String, missing: [ExactString] = []) throws -> Table {
    let scratch = Scratch()
    var reader = try TableReader(
      try InputFile(try scratch.write(Array(text.utf8), "table")),
      missing: MissingValues(missing))
    var table = Table(names: reader.names.map(\.string))
    while true {
      do {
        guard let line = try reader.next() else { return table }
        table.numbers.append(line.number)
        table.lines.append(line.fields.map { $0.map { String(decoding: $0, as: UTF8.self) } })
      } catch let error as FormatError {
        table.errors.append(error.reason)
      }
    }
  }

  @Test(arguments: ["\t", ",", ";"]) func fieldsComeAsTheyStand(separator: String) throws {
    let rows = [["path", "a b", "é"], ["x.nii", "007", ""], ["", " n/a ", "ü"]]
    let lines: [[String?]] = [["x.nii", "007", nil], [nil, " n/a ", "ü"]]
    for end in ["\n", "\r\n", "\r"] {
      for mark in ["", "\u{FEFF}"] {
        for last in ["", end] {
          let text = rows.map { $0.joined(separator: separator) }.joined(separator: end)
          let table = try read(mark + text + last)
          #expect(table.names == rows[0])
          #expect(table.lines == lines)
          #expect(table.numbers == [2, 3] && table.errors == [])
        }
      }
    }
  }

  @Test func quotedFieldsHoldAnything() throws {
    let table = try read("a,b\n\"x,\"\"y\"\"\",\"1\r\n2\"\n\n\"\",\"\"\nz,q\"q\n")
    #expect(table.lines == [["x,\"y\"", "1\r\n2"], [nil, nil], ["z", "q\"q"]])
    #expect(table.numbers == [2, 5, 6])
  }

  @Test func aBadLineIsPassedOverAndItsNumberTold() throws {
    let table = try read("a,b\n1\n1,2,3\n\"x\"y,2\n\"1\n2\",b\n5,6\n")
    #expect(table.lines == [["1\n2", "b"], ["5", "6"]])
    #expect(table.numbers == [5, 7])
    #expect(table.errors.count == 3)
    #expect(
      zip(["line 2 has 1 field", "line 3 has 3 fields", "line 4, column 'a' "], table.errors)
        .allSatisfy { $1.hasPrefix($0) })
  }

  @Test func aQuoteThatIsNotClosedAndALineTooLongEndTheTable() throws {
    #expect(
      try read("a\n1\n\"2\n3\n").errors
        == ["line 3, column 'a' has a quote that is not closed"])
    let long = String(repeating: "x", count: TableReader.maximumLine)
    let table = try read("a\n\(long.dropLast())\n\(long)\n1\n")
    #expect(table.lines.count == 1 && table.errors == ["line 3 is over 1 MiB long"])
  }

  @Test(arguments: [
    ("", "empty"), ("\u{FEFF}", "empty"), ("\n\n", "empty"), ("a,b,a\n", "twice"),
    ("a\u{1}b,c\n", "column 1"), ("\"a\rb\",c\r1,2\r", "column 1"),
  ]) func aTableWithoutSoundNamesIsRefused(text: String, reason: String) {
    let error = #expect(throws: FormatError.self) { try read(text) }
    #expect(error?.reason.contains(reason) == true)
  }

  @Test func aTableHasAtMost4096Columns() throws {
    let names = (0..<4096).map { "c\($0)" }
    #expect(try read(names.joined(separator: ",") + "\n").names.count == 4096)
    let error = #expect(throws: FormatError.self) {
      try read((names + ["more"]).joined(separator: ",") + "\n")
    }
    #expect(error?.reason.contains("4,096") == true)
  }

  @Test func aReturnIsAByteLikeOthersWhereLinesEndInLF() throws {
    #expect(try read("a,b\nx\ry,2\n").lines == [["x\ry", "2"]])
  }

  @Test func fieldsThatSayNothingAreNone() throws {
    let table = try read("a,b,c\n-,n/a,\n N/A,N/A,--\n", missing: ["-", "N/A"])
    #expect(table.lines == [[nil, nil, nil], [" N/A", nil, "--"]])
  }

  @Test func columnsWithoutANameAreNoRepetition() throws {
    #expect(try read(",path,\n0,x,\n").names == ["", "path", ""])
  }
}
