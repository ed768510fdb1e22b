"""What the benchmarks make their files of. Standard library only."""

import struct

TYPES = {"uint8": (2, 8), "int16": (4, 16)}  # NIfTI's code, and bits
IDENTITY = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


def nifti_header(shape, dtype, affine=IDENTITY):
    """The 348 bytes of a single file of NIfTI-1 and four that say that no extension follows.

    Voxels are of 1 mm; the affine is its sform.
    """
    header = bytearray(352)
    for offset, form, values in (
            (0, "<i", [348]), (40, "<8h", [len(shape), *shape, *[1] * (7 - len(shape))]),
            (70, "<2h", TYPES[dtype]), (76, "<8f", [1] * 8), (108, "<f", [352]),
            (254, "<h", [1]), (280, "<12f", [value for row in affine[:3] for value in row]),
            (344, "4s", [b"n+1"])):
        struct.pack_into(form, header, offset, *values)
    return bytes(header)
