"""A dataset of random patches in the way of PyTorch, which it does not need.

    python3 patches.py DATASET COLLECTION

With PyTorch: DataLoader(Patches("ds", "CT"), batch_size=8, num_workers=4). Each worker, forked or
spawned, has a `vol-cat --batch` of its own, which decodes a whole batch ahead.
"""

import sys

import numpy as np
import volpipe


class Patches:
    """Patches of `edge` voxels along X, Y and Z of the volumes of a collection, scaled."""

    def __init__(self, path, collection, edge=64, seed=0):
        self.edge, self.seed = edge, seed
        self.headers = [header for header in volpipe.Dataset(path)
                        if header["collection"] == collection]
        self.batch = volpipe.Batch(path, collection)

    def __len__(self):
        return len(self.headers)

    def request(self, number):
        header = self.headers[number]
        random = np.random.default_rng((self.seed, number))
        starts = [random.integers(0, max(0, size - self.edge) + 1) for size in header["shape"][:3]]
        return header["obs_id"], tuple(slice(at, at + self.edge) for at in starts)

    def __getitem__(self, number):
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers):
        answers = self.batch.read_each([self.request(number) for number in numbers])
        return [volpipe.scaled(header, patch, "float32")[1] for header, patch in answers]


if __name__ == "__main__":
    patches = Patches(*sys.argv[1:3])
    for patch in patches.__getitems__(range(len(patches))):
        print(patch.shape, patch.dtype, f"{patch.mean():.2f}")
