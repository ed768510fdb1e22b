"""A dataset of random patches in the way of PyTorch, which it does not need.

    python3 patches.py DATASET COLLECTION

With PyTorch: DataLoader(Patches("ds", "CT"), batch_size=8, num_workers=4). Each worker has a
`vol-cat --batch` of its own; __getitems__ asks it for a whole batch before it takes the first.
"""

import sys

import numpy as np
import volpipe


class Patches:
    """Patches of `edge` voxels along X, Y and Z of the volumes of a collection, scaled."""

    def __init__(self, path, collection, edge=64, seed=0):
        self.path, self.collection, self.edge, self.seed = path, collection, edge, seed
        self.headers = [header for header in volpipe.Dataset(path)
                        if header["collection"] == collection]
        self.batch = None  # made in the worker, not handed to it

    def __len__(self):
        return len(self.headers)

    def ask(self, number):
        self.batch = self.batch or volpipe.Batch(self.path, self.collection)
        header = self.headers[number]
        random = np.random.default_rng((self.seed, number))
        starts = [int(random.integers(0, max(0, size - self.edge) + 1))
                  for size in header["shape"][:3]]
        self.batch.ask(header["obs_id"], tuple(slice(at, at + self.edge) for at in starts))

    def take(self):
        header, patch = self.batch.take()
        return patch * np.float32(header.get("slope", 1)) + np.float32(header.get("intercept", 0))

    def __getitem__(self, number):
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers):
        for number in numbers:
            self.ask(number)
        return [self.take() for _ in numbers]


if __name__ == "__main__":
    patches = Patches(*sys.argv[1:3])
    for patch in patches.__getitems__(range(len(patches))):
        print(patch.shape, patch.dtype, f"{patch.mean():.2f}")
