// swift-tools-version:6.2
import PackageDescription

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let strict: [SwiftSetting] = [.enableUpcomingFeature("InternalImportsByDefault")]

/// A C library from a Debian package: a module map and a `shim.h`, nothing else.
func library(_ name: String, _ pkgConfig: String, _ debian: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([debian])])
}

/// The same, linked in as Debian's archive of it, as far as it is used: each shared library that a
/// tool needs not load makes it start sooner, libcrypto above all.
func archive(_ name: String, _ debian: String) -> Target {
  .systemLibrary(name: name, providers: [.apt([debian])])
}

/// What links it.
func linking(_ names: String...) -> [LinkerSetting] {
  names.map { .linkedLibrary(":lib\($0).a") }
}

func tool(_ name: String, _ libraries: [Target.Dependency] = []) -> Target {
  .executableTarget(
    name: name,
    dependencies: ["ByteIO", "Frames", "ToolSupport", argumentParser, system] + libraries,
    swiftSettings: strict)
}

/// A tool that works on a dataset.
func datasetTool(_ name: String, _ libraries: [Target.Dependency] = []) -> Target {
  tool(name, ["Chunks", "Datasets", "DatasetSupport", "Storage"] + libraries)
}

let package = Package(
  name: "volpipe",
  products: [
    .library(name: "ByteIO", targets: ["ByteIO"]),
    .library(name: "VolumeFormat", targets: ["Frames", "Chunks", "Storage", "Datasets"]),
    .library(name: "NIfTI", targets: ["NIfTI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .systemLibrary(name: "CLinux"),
    archive("CPCRE2", "libpcre2-dev"),
    .target(name: "CRapidJSON", sources: ["parse.cpp"], publicHeadersPath: "include"),
    library("CISAL", "libisal", "libisal-dev"),
    library("CZip", "libzip", "libzip-dev"),
    archive("CZlib", "zlib1g-dev"),
    archive("CZstd", "libzstd-dev"),
    archive("CCrypto", "libssl-dev"),
    .target(
      name: "ByteIO", dependencies: ["CISAL", "CZlib", "CCrypto", "CLinux", system],
      swiftSettings: strict, linkerSettings: linking("z", "crypto")),
    // The floors of Sources/VolumeFormat, lowest first.
    .target(
      name: "Frames", dependencies: ["ByteIO", "CPCRE2", "CRapidJSON", system],
      path: "Sources/VolumeFormat/Frames", swiftSettings: strict,
      linkerSettings: linking("pcre2-8")),
    .target(
      name: "Chunks", dependencies: ["ByteIO", "CZstd", "Frames"],
      path: "Sources/VolumeFormat/Chunks", swiftSettings: strict,
      linkerSettings: linking("zstd")),
    .target(
      name: "Storage", dependencies: ["ByteIO", "Frames", system],
      path: "Sources/VolumeFormat/Storage", swiftSettings: strict),
    .target(
      name: "Datasets", dependencies: ["ByteIO", "Chunks", "Frames", "Storage", system],
      path: "Sources/VolumeFormat/Datasets", swiftSettings: strict),
    .target(name: "CCurl", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    archive("CExpat", "libexpat1-dev"),
    .target(
      name: "S3",
      dependencies: ["ByteIO", "CCrypto", "CCurl", "CExpat", "Frames", "Storage"],
      path: "Sources/VolumeFormat/S3", swiftSettings: strict, linkerSettings: linking("expat")),
    .target(
      name: "NIfTI",
      dependencies: ["ByteIO", "Frames", "CISAL", "CZlib", "CZstd", system],
      swiftSettings: strict, linkerSettings: linking("z", "zstd")),
    .target(
      name: "NumPy", dependencies: ["ByteIO", "Frames"], swiftSettings: strict),
    .target(
      name: "ToolSupport", dependencies: ["ByteIO", "Frames", argumentParser, system],
      swiftSettings: strict),
    .target(
      name: "DatasetSupport",
      dependencies: ["ByteIO", "Chunks", "Datasets", "Frames", "ToolSupport", argumentParser],
      swiftSettings: strict),
    tool("nifti-cat", ["NIfTI"]),
    datasetTool("vol-write", ["NIfTI"]),
    datasetTool("vol-commit"),
    datasetTool("vol-ls", ["NIfTI"]),
    datasetTool("vol-cat", ["NIfTI", "NumPy"]),
    datasetTool("vol-export", ["NIfTI"]),
    tool("frame-filter"),
    // Its --like takes geometry from a dataset.
    datasetTool("npy-cat", ["NIfTI", "NumPy", "CZip"]),
    datasetTool("vol-verify"),
    datasetTool("vol-rm"),
    datasetTool("vol-gc"),
    datasetTool("vol-meta"),
    tool("nifti-write", ["NIfTI"]),
    .testTarget(name: "ByteIOTests", dependencies: ["ByteIO"]),
    .testTarget(
      name: "VolumeFormatTests",
      dependencies: ["ByteIO", "Chunks", "Datasets", "Frames", "Storage"]),
    .testTarget(name: "StorageTests", dependencies: ["ByteIO", "Frames", "S3", "Storage"]),
    .testTarget(name: "S3Tests", dependencies: ["ByteIO", "S3", "Storage"]),
    .testTarget(
      name: "SimulationTests", dependencies: ["ByteIO", "Chunks", "Datasets", "Frames", "Storage"]),
    .testTarget(name: "NumPyTests", dependencies: ["ByteIO", "NumPy", "Frames"]),
    .testTarget(name: "ToolSupportTests", dependencies: ["ByteIO", "ToolSupport"]),
    .testTarget(name: "NIfTITests", dependencies: ["ByteIO", "NIfTI", "Frames", system]),
  ],
  swiftLanguageModes: [.v6]
)
