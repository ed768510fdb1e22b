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
            dtype = volpipe.voxel_type(header)
        elif kind == volpipe.DATA:
            # A frame may end inside a voxel: what is left over goes before the next one.
            body = rest + body
            whole = len(body) - len(body) % dtype.itemsize
            rest = body[whole:]
            writer.data((np.frombuffer(body[:whole], dtype) * dtype.type(2)).tobytes())
        elif kind == volpipe.EXTRA:
            writer.extra(body)
        elif kind == volpipe.CLOSE:
            writer.close()
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
