"""A transform in a pipeline: intensities of each volume to mean 0 and deviation 1, as float32.

    nifti-cat scans | python3 normalise.py | vol-write ds normalised

It holds one volume at a time. volpipe.py must be on PYTHONPATH, or beside this file.
"""

import signal
import sys

import numpy as np
import volpipe


def normalise(array, header):
    values = array * header.get("slope", 1.0) + header.get("intercept", 0.0)
    deviation = values.std()
    return ((values - values.mean()) / (deviation or 1)).astype(np.float32)


def main(source, sink):
    writer, skipped, dropped = volpipe.FrameWriter(sink), 0, 0
    for kind, header, body in volpipe.read_frames(source):
        if kind == volpipe.OPEN:
            volume, parts = header, []
        elif kind == volpipe.DATA:
            parts.append(body)
        elif kind == volpipe.CLOSE:
            array = normalise(volpipe.as_array(b"".join(parts), volume), volume)
            # What says how to make the source again is no longer true of these voxels.
            for key in ("source", "slope", "intercept"):
                volume.pop(key, None)
            writer.volume(array, **volume)
        elif kind == volpipe.DROP:
            dropped += 1
        elif kind == volpipe.END:
            skipped += header.get("skipped", 0)
    writer.end(skipped + dropped)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has had enough is no error
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except ValueError as error:
        sys.exit(f"normalise.py: {error}")
