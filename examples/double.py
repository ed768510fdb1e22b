"""A filter: doubles every voxel, and passes everything else on.

    nifti-cat scans | python3 double.py | vol-write ds CT

It holds one frame at a time, whatever the size of the volumes.
"""

import signal
import sys

import volpipe
import numpy as np


def double(source, sink):
    writer, rest = volpipe.FrameWriter(sink), b""
    for kind, header, body in volpipe.read_frames(source):
        if kind == volpipe.OPEN:
            # Only the voxels change, so that the source's own header may stay (vol-frames(5)).
            writer.open(header)
            dtype, name = volpipe.voxel_type(header), header.get("obs_id") or header.get("name")
        elif kind == volpipe.DATA:
            # A frame may end inside a voxel: what is left over goes before the next one.
            body = rest + body
            whole = len(body) - len(body) % dtype.itemsize
            rest = body[whole:]
            voxels = np.frombuffer(body[:whole], dtype)
            doubled = voxels * dtype.type(2)
            if dtype.kind in "iu" and (doubled // 2 != voxels).any():
                raise ValueError(f"'{name}': a voxel is too large to double in {dtype.name}")
            writer.data(doubled.tobytes())
        elif kind == volpipe.EXTRA:
            writer.extra(body)
        elif kind == volpipe.CLOSE:
            writer.close(header.get("quirks", ()))
        elif kind == volpipe.DROP:
            writer.drop(header["reason"])
            rest = b""
        elif kind == volpipe.END:
            writer.end(header.get("skipped", 0))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has had enough is no error
    try:
        double(sys.stdin.buffer, sys.stdout.buffer)
    except ValueError as error:
        sys.exit(f"double.py: {error}")
