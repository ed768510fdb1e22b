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

func tool(_ name: String, _ libraries: [Target.Dependency] = []) -> Target {
  .executableTarget(
    name: name,
    dependencies: ["ByteIO", "VolumeFormat", "ToolSupport", argumentParser, system] + libraries,
    swiftSettings: strict)
}

let package = Package(
  name: "volpipe",
  products: [
    .library(name: "ByteIO", targets: ["ByteIO"]),
    .library(name: "VolumeFormat", targets: ["VolumeFormat"]),
    .library(name: "NIfTI", targets: ["NIfTI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .systemLibrary(name: "CLinux"),
    library("CPCRE2", "libpcre2-8", "libpcre2-dev"),
    .target(name: "CRapidJSON", sources: ["parse.cpp"], publicHeadersPath: "include"),
    library("CISAL", "libisal", "libisal-dev"),
    library("CZip", "libzip", "libzip-dev"),
    library("CZlib", "zlib", "zlib1g-dev"),
    library("CZstd", "libzstd", "libzstd-dev"),
    library("CCrypto", "libcrypto", "libssl-dev"),
    .target(
      name: "ByteIO", dependencies: ["CISAL", "CZlib", "CCrypto", "CLinux", system],
      swiftSettings: strict),
    .target(
      name: "VolumeFormat", dependencies: ["ByteIO", "CPCRE2", "CRapidJSON", "CZstd", system],
      swiftSettings: strict),
    .target(
      name: "NIfTI",
      dependencies: ["ByteIO", "VolumeFormat", "CISAL", "CZlib", "CZstd", system],
      swiftSettings: strict),
    .target(
      name: "NumPy", dependencies: ["ByteIO", "VolumeFormat", "CZip"], swiftSettings: strict),
    .target(
      name: "ToolSupport",
      dependencies: ["ByteIO", "VolumeFormat", "NIfTI", argumentParser, system],
      swiftSettings: strict),
    tool("nifti-cat", ["NIfTI"]),
    tool("vol-write", ["NIfTI"]),
    tool("vol-commit"),
    tool("vol-ls", ["NIfTI"]),
    tool("vol-cat", ["NIfTI", "NumPy"]),
    tool("vol-export", ["NIfTI"]),
    tool("frame-filter"),
    tool("npy-cat", ["NIfTI", "NumPy"]),
    tool("vol-verify"),
    tool("vol-rm"),
    tool("vol-gc"),
    tool("vol-meta"),
    tool("nifti-write", ["NIfTI"]),
    .testTarget(name: "ByteIOTests", dependencies: ["ByteIO"]),
    .testTarget(name: "VolumeFormatTests", dependencies: ["ByteIO", "VolumeFormat"]),
    .testTarget(name: "NumPyTests", dependencies: ["ByteIO", "NumPy", "VolumeFormat"]),
    .testTarget(name: "ToolSupportTests", dependencies: ["ByteIO", "ToolSupport"]),
    .testTarget(name: "NIfTITests", dependencies: ["ByteIO", "NIfTI", "VolumeFormat", system]),
  ],
  swiftLanguageModes: [.v6]
)
