// swift-tools-version:6.2
import PackageDescription

// Fuzz targets for libFuzzer, which has the main function; scripts/fuzz builds and runs them.
let support: [Target.Dependency] = [
  "FuzzSupport", .product(name: "ByteIO", package: "volpipe"),
  .product(name: "NIfTI", package: "volpipe"),
  .product(name: "VolumeFormat", package: "volpipe"),
  .product(name: "SystemPackage", package: "swift-system"),
]

let package = Package(
  name: "fuzz",
  dependencies: [
    .package(name: "volpipe", path: ".."),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    .systemLibrary(name: "FuzzZstd"),
    .target(name: "FuzzSupport", dependencies: Array(support.dropFirst())),
  ]
    + [
      "header", "extensions", "gzip", "zstd", "table", "frames", "shard", "catalog", "manifest",
      "json", "expression",
    ].map {
      .executableTarget(
        name: "fuzz-\($0)", dependencies: support + ["FuzzZstd"],
        swiftSettings: [.unsafeFlags(["-parse-as-library"])])
    },
  swiftLanguageModes: [.v6]
)
