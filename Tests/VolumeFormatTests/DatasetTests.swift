import ByteIO
import Foundation
import Testing
import Chunks
import Datasets
import Frames

/// A dataset in a scratch directory, with the steps that the tools make.
struct TestDataset {
  let scratch = Scratch()
  var path: String { "\(scratch.path)/ds" }

  /// Stages volumes as `vol-write` does.
  @discardableResult
  func stage(
    _ volumes: [TestVolume], _ collection: ExactString = "C",
    _ options: StageOptions = StageOptions()
  ) throws -> StageSummary {
    try stage(stream: stream(volumes, in: scratch), collection, options)
  }

  @discardableResult
  func stage(
    stream: [UInt8], _ collection: ExactString = "C", _ options: StageOptions = StageOptions()
  ) throws -> StageSummary {
    let input = try InputFile(try scratch.write(stream, "in-\(randomIdentifier())"))
    let writer = try StageWriter(
      try Dataset.create(path), .collection(collection), options: options)
    return try writer.write(FrameReader(input)) { _ in }
  }

  @discardableResult
  func commit(_ stages: [String] = []) throws -> Manifest {
    try Committer(try Dataset(opening: path), tool: "test").commit(stages, metadata: [:]).manifest
  }

  /// The frames that come out again.
  func contents(_ number: UInt64? = nil, slabLimit: Int = SlabLimit.standard, jobs: Int = 2) throws
    -> [String]
  {
    let snapshot = try #require(try Snapshot(try Dataset(opening: path), number: number))
    let name = "out-\(randomIdentifier())"
    let file = try OutputFile(creating: "\(scratch.path)/\(name)")
    var options = VolumeStreamer.Options(jobs: jobs, scratchDirectory: scratch.path)
    options.slabLimit = slabLimit
    let streamer = try VolumeStreamer(snapshot, to: FrameSink(file), options: options)
    do {
      try snapshot.forEachVolume { stage, record in
        try streamer.add(record, of: stage)
        return true
      }
      try streamer.end()
    } catch {
      streamer.cancel()
      throw error
    }
    try file.close()
    let result = transcript(FrameReader(try InputFile("\(scratch.path)/\(name)")))
    #expect(result.error == nil)
    return result.lines
  }

  /// All files, with their contents.
  func tree() throws -> [String: Data] {
    var files: [String: Data] = [:]
    for case let name as String in FileManager.default.enumerator(atPath: path) ?? .init() {
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder)
      if !isFolder.boolValue {
        files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
      }
    }
    return files
  }
}

/// The voxels and extras of a transcript, without headers, and without the cut into frames.
func bytes(_ lines: [String]) -> [String] {
  var result: [String] = []
  for line in lines {
    let body = line.split(separator: " ").last.map(String.init) ?? ""
    if line.hasPrefix("open") {
      result.append("open")
    } else if line.hasPrefix("data"), result.last?.hasPrefix("data ") == true {
      result[result.count - 1] += body
    } else if line.hasPrefix("data") {
      result.append("data \(body)")
    } else {
      result.append(line)
    }
  }
  return result
}

@Suite struct DatasetTests {
  /// Random shapes, types, chunk shapes and limits: what goes in comes out.
  @Test(arguments: 0..<60) func voxelsComeBackWhateverTheChunks(seed: Int) throws {
    var generator = SeededGenerator(state: UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1)
    let dataset = TestDataset()
    let axes = Int.random(in: 1...7, using: &generator)
    let longest = [0, 3000, 60, 30, 12, 7, 5, 4][axes]
    var volumes: [TestVolume] = []
    for number in 0..<3 {
      let shape = (0..<axes).map { _ in Int.random(in: 1...longest, using: &generator) }
      let dtype = DataType.allCases.randomElement(using: &generator) ?? .int16
      var volume = TestVolume("v\(number)", shape, dtype, channels: dtype == .uint8 ? 3 : 1)
      if number == 1 { volume.voxels = volume.voxels.map { _ in 0 } }
      volume.before = [Array(repeating: 5, count: 352), Array(repeating: 6, count: 9_000)]
      volume.after = [[1]]
      volumes.append(volume)
    }
    var options = StageOptions()
    options.jobs = Int.random(in: 1...4, using: &generator)
    options.shuffle = Bool.random(using: &generator)
    options.packSize = 20_000
    options.chunk =
      [
        .automatic, .isotropic, .axial, .coronal, .sagittal,
        .voxels((0..<axes).map { _ in Int.random(in: 1...8, using: &generator) }),
        .voxels((0..<axes).map { _ in Int.random(in: 1...longest, using: &generator) }),
      ].randomElement(using: &generator) ?? .automatic
    options.slabLimit = [SlabLimit.standard, 1, 100, 5_000].randomElement(using: &generator) ?? 1
    try dataset.stage(volumes, "C", options)
    try dataset.commit()
    let wanted = bytes(
      transcript(
        FrameReader(
          try InputFile(
            try dataset.scratch.write(try stream(volumes, in: dataset.scratch), "again")))
      ).lines)
    for limit in [SlabLimit.standard, 1, 700] {
      #expect(
        bytes(try dataset.contents(slabLimit: limit)) == wanted,
        "\(options) \(volumes[0].header.shape)")
    }
  }

  @Test func headersComeBackAsTheyWent() throws {
    let dataset = TestDataset()
    let json = """
      {"name":"n","obs_id":"a","obs_subject_id":"s","shape":[3,2],"dtype":"int16","slope":0.5,
      "intercept":-3,"affine":[[1,0,0,4],[0,1,0,5],[0,0,1,6],[0,0,0,1]],"affine_source":"sform",
      "voxel_spacing":[1,1],"attributes":{"k":[1,2.50,null,{"x":"\u{E9}"}]},"quirks":["odd"],
      "unknown":{"deep":[true]}}
      """
    var volume = TestVolume("n", [3, 2], .int16)
    volume.header = try VolumeHeader(JSONDocument(json.utf8, in: "test").root)
    try dataset.stage([volume])
    try dataset.commit()
    let snapshot = try #require(try Snapshot(try Dataset(opening: dataset.path), number: nil))
    let (_, record) = try #require(try snapshot.volume("a", collection: "C"))
    #expect(try record.header(in: "catalog") == volume.header)
  }

  @Test func theOutputDoesNotDependOnTheNumberOfThreads() throws {
    let volumes = (0..<5).map { TestVolume("v\($0)", [70, 40, 20 + $0], .int16) }
    var packs: Set<Data> = []
    for jobs in [1, 2, 7] {
      let dataset = TestDataset()
      var options = StageOptions()
      options.jobs = jobs
      try dataset.stage(volumes, "C", options)
      for (name, content) in try dataset.tree() where name.hasSuffix(".pack") {
        packs.insert(content.dropFirst(32))
      }
    }
    #expect(packs.count == 1)
  }

  @Test func aSnapshotStaysAsItWas() throws {
    let dataset = TestDataset()
    try dataset.stage([TestVolume("a", [4])])
    #expect(try dataset.commit().snapshot == 1)
    let first = try dataset.contents(1)
    try dataset.stage([TestVolume("b", [5])], "D")
    #expect(try dataset.contents() == first)
    #expect(try dataset.commit().snapshot == 2)
    #expect(try dataset.contents(1) == first)
    #expect(try dataset.contents().count == 2 * first.count - 1)
  }

  @Test func refusedStreamsLeaveNothing() throws {
    let dataset = TestDataset()
    try dataset.stage([TestVolume("a", [4])])
    try dataset.commit()
    let before = try dataset.tree()
    let whole = try stream([TestVolume("b", [9]), TestVolume("c", [9])], in: dataset.scratch)
    for bad in [Array(whole.dropLast()), [], Array("no frames at all here".utf8)] {
      #expect(throws: FormatError.self) { try dataset.stage(stream: bad) }
    }
    for twice in [["b", "b"], ["a"]] {
      #expect(throws: FormatError.self) {
        try dataset.stage(twice.map { TestVolume($0, [4]) })
      }
    }
    #expect(try dataset.tree() == before)
  }

  @Test func droppedVolumesLeaveNoTraceInThePacks() throws {
    let scratch = Scratch()
    let file = try OutputFile(creating: "\(scratch.path)/dropped")
    let writer = FrameWriter(file)
    for name in ["a", "bad", "b"] {
      let volume = TestVolume(name, [70_000])
      try writer.open(volume.header)
      try volume.voxels.dropLast(name == "bad" ? 9 : 0).withUnsafeBytes { try writer.data($0) }
      if name == "bad" { try writer.drop(reason: "torn") } else { try writer.close() }
    }
    try writer.end()
    try file.close()
    let (one, other) = (TestDataset(), TestDataset())
    let summary = try one.stage(stream: try scratch.read("dropped"))
    #expect(summary.dropped == 1 && summary.stages.map(\.volumes) == [2])
    try other.stage([TestVolume("a", [70_000]), TestVolume("b", [70_000])])
    let packs = try [one, other].map { dataset in
      try dataset.tree().filter { $0.key.hasSuffix(".pack") }.values.map { $0.dropFirst(32) }
    }
    #expect(packs[0] == packs[1])
    #expect(try one.commit().collections["C"]?.volumes == 2)
  }

  @Test func duplicatesStopACommitAndBothSourcesAreNamed() throws {
    let dataset = TestDataset()
    for path: ExactString in ["x/a.nii", "y/a.nii"] {
      var volume = TestVolume("a", [4])
      volume.header.source = .init(
        format: "nifti1", path: path, byteOrder: "little", layout: "single", compression: "none",
        header: nil,
        headerBytes: nil)
      try dataset.stage([volume])
    }
    let before = try dataset.tree()
    let error = #expect(throws: FormatError.self) { try dataset.commit() }
    #expect(error?.description.contains("x/a.nii") == true)
    #expect(error?.description.contains("y/a.nii") == true)
    #expect(try dataset.tree() == before)
  }

  @Test func manyVolumesAreFoundByTheirIds() throws {
    let dataset = TestDataset()
    let count = 5_000
    try dataset.stage((0..<count).map { TestVolume("v\($0)", [2]) })
    try dataset.commit()
    let snapshot = try #require(try Snapshot(try Dataset(opening: dataset.path)))
    for number in stride(from: 0, to: count, by: 7) {
      let found = try snapshot.volume(ExactString("v\(number)_C"), collection: "C")
      #expect(found?.1.obsID == ExactString("v\(number)_C"))
    }
    for missing: ExactString in ["v5000_C", "", "v1"] {
      #expect(try snapshot.volume(missing, collection: "C") == nil)
    }
    #expect(try snapshot.volume("v1_C", collection: "D") == nil)
  }
}

/// Numbers that are the same at every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
