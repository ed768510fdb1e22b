import ByteIO
import Foundation
import Testing
import Chunks
import Datasets
import Frames

@Suite struct FrameTests {
  private let scratch = Scratch()

  private func read(_ bytes: [UInt8], step: Int = .max) throws -> (lines: [String], error: String?)
  {
    let path = try scratch.write(bytes, "in-\(randomIdentifier())")
    return transcript(FrameReader(try InputFile(path)), step: step)
  }

  private func example() throws -> [UInt8] {
    var volume = TestVolume("t", [3, 2], .int16)
    volume.before = [[1, 2, 3]]
    volume.after = [[9]]
    return try stream([volume, TestVolume("u", [1])], in: scratch, piece: 5)
  }

  @Test func theManualsExampleIsWhatTheLibraryWrites() throws {
    let page = try String(
      contentsOfFile: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("../../man/vol-frames.5").path, encoding: .utf8)
    let block = try #require(
      page.components(separatedBy: ".Bd -literal\n").dropFirst().first?
        .components(separatedBy: ".Ed").first)
    let bytes = block.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
    var volume = TestVolume("t", [2, 2, 1])
    volume.voxels = [1, 2, 3, 4]
    #expect(try stream([volume], in: scratch) == bytes)
    #expect(try read(bytes).error == nil)
  }

  @Test func aStreamCutOffAnywhereIsRefused() throws {
    let bytes = try example()
    for length in 0..<bytes.count {
      let result = try read(Array(bytes[..<length]))
      #expect(result.error != nil, "cut off after \(length) bytes")
    }
    #expect(try read(bytes).error == nil)
  }

  @Test func anyByteChangedIsNoticed() throws {
    let bytes = try example()
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1 << UInt8(index % 8)
      #expect(try read(changed).error != nil, "byte \(index)")
    }
  }

  @Test func bodiesReadInAnyStepsAreTheSame() throws {
    let bytes = try example()
    let whole = try read(bytes).lines
    for step in 1...7 { #expect(try read(bytes, step: step).lines == whole) }
  }

  @Test func aPipeMayDeliverAnyNumberOfBytesAtATime() throws {
    let bytes = try example()
    let whole = try read(bytes).lines
    for cut in stride(from: 1, to: bytes.count, by: 3) {
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      let (readEnd, writeEnd) = (ends[0], ends[1])
      let thread = try WorkerThread {
        for part in [bytes[..<cut], bytes[cut...]] {
          part.withUnsafeBytes { _ = Glibc.write(writeEnd, $0.baseAddress, $0.count) }
          usleep(200)
        }
        close(writeEnd)
      }
      let result = transcript(FrameReader(InputFile(borrowing: readEnd, name: "pipe")))
      thread.join()
      close(readEnd)
      #expect(result.lines == whole && result.error == nil, "cut at \(cut)")
    }
  }

  @Test func keysThatAreNotKnownArePassedOn() throws {
    let json = #"{"name":"x","shape":[1],"dtype":"uint8","mine":{"a":[1,2.5,null,true,"é"]}}"#
    let header = try VolumeHeader(JSONDocument(json.utf8, in: "test").root)
    let again = try VolumeHeader(JSONDocument(JSON.encode(header.json), in: "test").root)
    #expect(again == header)
    #expect(
      again.other["mine"]
        == .object([
          "a": .array([.integer(1), .real(2.5), .null, .boolean(true), .string("é")])
        ]))
  }

  @Test(arguments: [
    (#"{"name":"x","shape":[],"dtype":"uint8"}"#, "0 axes"),
    (#"{"name":"x","shape":[1,1,1,1,1,1,1,1],"dtype":"uint8"}"#, "8 axes"),
    (#"{"name":"x","shape":[0],"dtype":"uint8"}"#, "holds 0"),
    (#"{"name":"x","shape":[-4],"dtype":"uint8"}"#, "holds -4"),
    (#"{"name":"x","shape":[4294967296,4294967296,4294967296],"dtype":"uint8"}"#, "2^53"),
    (#"{"name":"x","shape":[9007199254740993],"dtype":"uint8"}"#, "2^53"),
    (#"{"name":"x","shape":[1],"dtype":"uint8","channels":2}"#, "'channels' is 2"),
    (#"{"shape":[1],"dtype":"uint8"}"#, "neither 'name' nor 'obs_id'"),
    (#"{"name":"x","shape":[1],"dtype":"uint8","affine":[[1]]}"#, "'affine' is not 4x4"),
    (#"{"name":"","shape":[1],"dtype":"uint8"}"#, "'name' is not allowed: it is empty"),
    (#"{"name":"a\u000ab","shape":[1],"dtype":"uint8"}"#, "'name' is not allowed: it holds"),
    (#"{"obs_id":"a/b","shape":[1],"dtype":"uint8"}"#, "'obs_id' is not allowed: it holds a '/'"),
    (#"{"name":"x","obs_subject_id":"..","shape":[1],"dtype":"uint8"}"#, "'obs_subject_id' is not"),
    (#"{"name":"x","collection":"-c","shape":[1],"dtype":"uint8"}"#, "'collection' is not allowed"),
  ]) func headersThatCannotBeAreRefused(json: String, reason: String) throws {
    let header = try VolumeHeader(JSONDocument(json.utf8, in: "test").root)
    #expect(header.defect()?.contains(reason) == true, "\(header.defect() ?? "no defect")")
  }
}
