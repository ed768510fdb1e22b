"""The commands that run on a dataset, by what of it they read.

{id} is that of the volume which is changed; < names an input.
"""

QUICK, FULL = "vol-verify -q ds", "vol-verify -q --full ds"
VERIFY = frozenset({QUICK, "vol-verify -q --json ds", FULL})
LIST = frozenset({"vol-ls ds CT", "vol-ls --tsv ds CT", "vol-ls --json ds CT", "vol-ls --refs ds"})
CAT = frozenset({"vol-cat ds", "vol-cat -k ds", "vol-cat ds CT {id}", "vol-cat --raw ds CT {id}",
                 "vol-export --nifti out ds", "vol-export --zarr out/zarr ds", FULL})
AXIAL = "vol-cat --axial 0 ds CT {id}"
PLANES = frozenset({AXIAL, "vol-cat --roi 0:1 ds CT",
                    "vol-cat --batch ds < asks"})
SUBJECTS = frozenset({"vol-meta ds", "vol-meta --json ds", "vol-meta --csv ds",
                      "vol-ls --json --subjects ds"})
CENSUS = frozenset({"vol-ls --json --subjects ds", "vol-ls --tsv --subjects ds",
                    "vol-ls --json --align ds"})
STAGED = frozenset({"vol-ls --json --staged ds", "vol-commit -q ds", "vol-write -q --skip-existing "
                    "ds CT < same"}) | VERIFY
# Those that find a volume by the index.
FINDERS = frozenset({"vol-cat ds CT {id}", AXIAL, "vol-cat --batch ds < asks", "vol-rm -q ds {id}",
                     "vol-commit -q ds", "vol-write -q --skip-existing ds CT < same"})
GC = "vol-gc -q --grace 0 --keep-last 1 ds"
# All that need the last manifest.
EVERYBODY = VERIFY | LIST | CAT | PLANES | SUBJECTS | CENSUS | {
    "vol-ls ds", "vol-ls --manifest ds", "vol-ls --sha256 ds", "vol-ls --json --snapshots ds",
    "vol-ls --json --diff 1 2 ds", "vol-write -q ds CT < new", "vol-rm -q ds {id}", GC,
    "vol-write -q --skip-existing ds CT < same", "vol-commit -q ds"}
STAGE_ROWS = "vol-meta -q ds < rows"
COMMANDS = sorted(EVERYBODY | STAGED | {STAGE_ROWS})
# What a record says beside its id, its subject and its place; vol-ls may pass on what it says.
HEADER = VERIFY | CAT | {"vol-ls --refs ds"}
CHANGING = ("vol-write", "vol-rm", "vol-gc", "vol-commit", "vol-meta -q ds <")

# The documents, and who must find a fault in each.
DOCUMENTS = {"marker": EVERYBODY | {STAGE_ROWS}, "manifest": EVERYBODY, "first manifest": VERIFY | {
    "vol-ls --json --snapshots ds", "vol-ls --json --diff 1 2 ds"},
             "stage record": STAGED, "table record": STAGED - {
                 "vol-write -q --skip-existing ds CT < same"}}
