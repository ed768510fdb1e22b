"""A transform in a pipeline: intensities of each volume to mean 0 and deviation 1, as float32.

    nifti-cat scans | python3 normalise.py | vol-write ds normalised

It holds one volume at a time. volpipe.py must be on PYTHONPATH, or beside this file.
"""

import signal
import sys

import numpy as np
import volpipe


def normalise(header, array):
    header, values = volpipe.scaled(header, array)
    deviation = values.std()
    return header, ((values - values.mean()) / (deviation or 1)).astype(np.float32)


def main(source, sink):
    # What the program before gave up, the next one misses too; an exception leaves no end frame.
    with volpipe.FrameWriter(sink) as writer:
        for header, array in volpipe.volumes(source, on_drop=writer.skip):
            header, array = normalise(header, array)
            writer.volume(array, **header)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has had enough is no error
    try:
        main(sys.stdin.buffer, sys.stdout.buffer)
    except ValueError as error:
        sys.exit(f"normalise.py: {error}")
