internal import ByteIO

extension VolumeHeader {
  private static let known: [StaticString] = [
    "name", "obs_id", "obs_subject_id", "collection", "shape", "dtype", "channels", "slope",
    "intercept", "affine", "affine_source", "qform", "qform_code", "sform", "sform_code",
    "voxel_spacing", "repetition_time", "units", "intent", "description", "attributes", "quirks",
    "source",
  ]

  /// Decodes a header, keeping keys that it does not know.
  ///
  /// Of a key that is there twice, the last holds.
  ///
  /// - Throws: `FormatError` if it is none.
  public init(_ node: JSONNode) throws(FormatError) {
    self.init(
      name: nil, shape: try node.required("shape").integers(),
      dtype: try DataType(node.required("dtype")))
    channels = try node.optional("channels")?.integer() ?? 1
    name = try node.optional("name")?.string()
    obsID = try node.optional("obs_id")?.string()
    obsSubjectID = try node.optional("obs_subject_id")?.string()
    collection = try node.optional("collection")?.string()
    slope = try node.optional("slope")?.double()
    intercept = try node.optional("intercept")?.double()
    affine = try node.optional("affine")?.matrix()
    affineSource = try node.optional("affine_source")?.string()
    qform = try node.optional("qform")?.matrix()
    qformCode = try node.optional("qform_code")?.integer()
    sform = try node.optional("sform")?.matrix()
    sformCode = try node.optional("sform_code")?.integer()
    voxelSpacing = try node.optional("voxel_spacing")?.doubles()
    repetitionTime = try node.optional("repetition_time")?.double()
    if let node = try node.optional("units") { units = try Units(node) }
    if let node = try node.optional("intent") { intent = try Intent(node) }
    sourceDescription = try node.optional("description")?.string()
    attributes = try node.optional("attributes")?.objectValue()
    quirks = try node.optional("quirks")?.strings()
    if let node = try node.optional("source") { source = try Source(node) }
    other = try node.others(than: Self.known)
  }

  /// What is present, as JSON.
  public var json: JSONObject {
    var result = other
    result["shape"] = .array(shape.map { .integer($0) })
    result["dtype"] = .text(dtype.rawValue)
    if channels != 1 { result["channels"] = .integer(channels) }
    result["name"] = name.map { .string($0) }
    result["obs_id"] = obsID.map { .string($0) }
    result["obs_subject_id"] = obsSubjectID.map { .string($0) }
    result["collection"] = collection.map { .string($0) }
    result["slope"] = slope.map { .real($0) }
    result["intercept"] = intercept.map { .real($0) }
    result["affine"] = affine.map { .matrix($0) }
    result["affine_source"] = affineSource.map { .string($0) }
    result["qform"] = qform.map { .matrix($0) }
    result["qform_code"] = qformCode.map { .integer($0) }
    result["sform"] = sform.map { .matrix($0) }
    result["sform_code"] = sformCode.map { .integer($0) }
    result["voxel_spacing"] = voxelSpacing.map { .array($0.map { .real($0) }) }
    result["repetition_time"] = repetitionTime.map { .real($0) }
    result["units"] = units.map { .object($0.json) }
    result["intent"] = intent.map { .object($0.json) }
    result["description"] = sourceDescription.map { .string($0) }
    result["attributes"] = attributes.map { .object($0) }
    result["quirks"] = quirks.map { .array($0.map { .string($0) }) }
    result["source"] = source.map { .object($0.json) }
    return result
  }
}

extension DataType {
  package init(_ node: JSONNode) throws(FormatError) {
    guard let type = DataType(rawValue: try node.string().string) else {
      throw node.bad("is not a type of values that volumes have")
    }
    self = type
  }
}

extension VolumeHeader.Units {
  package init(_ node: JSONNode) throws(FormatError) {
    self.init(
      space: try node.optional("space")?.string(), time: try node.optional("time")?.string(),
      code: try node.optional("code")?.integer())
    other = try node.others(than: ["space", "time", "code"])
  }

  package var json: JSONObject {
    var result = other
    result["space"] = space.map { .string($0) }
    result["time"] = time.map { .string($0) }
    result["code"] = code.map { .integer($0) }
    return result
  }
}

extension VolumeHeader.Intent {
  package init(_ node: JSONNode) throws(FormatError) {
    self.init(
      code: try node.required("code").integer(),
      parameters: try node.required("parameters").doubles(),
      name: try node.required("name").string())
    other = try node.others(than: ["code", "parameters", "name"])
  }

  package var json: JSONObject {
    var result = other
    result["code"] = .integer(code)
    result["parameters"] = .array(parameters.map { .real($0) })
    result["name"] = .string(name)
    return result
  }
}

extension VolumeHeader.Source {
  package init(_ node: JSONNode) throws(FormatError) {
    self.init(
      format: try node.required("format").string(),
      path: try node.optional("path")?.string(),
      byteOrder: try node.required("byte_order").string(),
      layout: try node.required("layout").string(),
      compression: try node.optional("compression")?.string(), header: nil,
      headerBytes: try node.optional("header_bytes")?.integer())
    if let node = try node.optional("header") { header = try Base64(node) }
    if let node = try node.optional("template") { template = try Base64(node) }
    other = try node.others(than: [
      "format", "path", "byte_order", "layout", "compression", "header", "template",
      "header_bytes",
    ])
  }

  package var json: JSONObject {
    var result = other
    result["format"] = .string(format)
    result["path"] = path.map { .string($0) }
    result["byte_order"] = .string(byteOrder)
    result["layout"] = .string(layout)
    result["compression"] = compression.map { .string($0) }
    result["header"] = header.map { .string($0.text) }
    result["template"] = template.map { .string($0.text) }
    result["header_bytes"] = headerBytes.map { .integer($0) }
    return result
  }
}
