"""The manuals against the tools: no option missing, none made up, and no exceptions."""

import re
import shutil
import subprocess

import pytest
from dataset import Volume, np
from support import REPO, TOOLS, ok

MAN = REPO / "man"


def test_every_tool_is_in_every_list_of_tools():
    """What is missing from one of these is not installed, not tested or not found, in silence."""
    built = {path.parent.name for path in (REPO / "Sources").glob("*/*.swift")
             if "@main" in path.read_text()}
    installed = re.search(r"^TOOLS = (.*)", (REPO / "Makefile").read_text(), re.M)[1].split()
    assert built == set(installed) == set(TOOLS)
    lists = {"README.md": "", "man/volpipe.7": "", "scripts/layers": "",
             # Those by hand, which come first or last.
             "completions/_volpipe": "#compdef .*", "completions/volpipe.bash": "complete -F [^\0]*",
             "completions/volpipe.fish": r"set -l tools (.*\\\n)*.*"}
    for file, part in lists.items():
        text = (REPO / file).read_text()
        text = re.search(part, text)[0] if part else text
        missing = [tool for tool in TOOLS if not re.search(rf"(?<![\w-]){tool}(?![\w-])", text)]
        assert not missing, f"{file} does not name {missing}"
    for tool in TOOLS:
        assert (MAN / f"{tool}.1").exists(), tool


def options_of_help(text):
    """-x and --xyz at the start of each line of the OPTIONS and FLAGS of --help."""
    found = set()
    for line in text.splitlines():
        if match := re.match(r"  (-.*?)(?:\s{2,}|$)", line):
            words = re.split(r"[,/]\s*|\s+", match[1])
            found.update(word for word in words if re.fullmatch(r"--?[A-Za-z0-9][\w-]*", word))
    return found


def section(page, name):
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)", page, re.S | re.M)[1]


def flags(line):
    """What the Fl macros of a line show: `.It Fl j Ar N , Fl Fl jobs` gives -j and --jobs."""
    found, dashes = [], ""
    for word in line.split():
        if word in ("Fl", ".Fl"):
            dashes += "-"
        elif dashes:
            found.append(dashes + word)
            dashes = ""
    return found


def options_of_page(page):
    return {flag for line in page.splitlines() if line.startswith(".It ") for flag in flags(line)}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_option_is_in_the_manual_and_in_the_help(tools, tmp_path, tool):
    offered = options_of_help(ok(f"{tool} --help", tmp_path).text)
    page = (MAN / f"{tool}.1").read_text()
    described = options_of_page(page)
    assert offered == described, f"help only {offered - described}, page only {described - offered}"
    # In the synopsis, short ones stand together: `.Op Fl 0kqv`.
    shown = set()
    for line in section(page, "SYNOPSIS").splitlines():
        for flag in flags(line):
            shown.update([flag] if flag.startswith("--") else ["-" + letter for letter in flag[1:]])
    assert shown and shown <= offered, f"synopsis only: {shown - offered}"


@pytest.mark.parametrize("tool", TOOLS)
def test_manual_has_examples_and_exit_statuses(tool):
    page = (MAN / f"{tool}.1").read_text()
    assert section(page, "EXAMPLES").strip()
    statuses = set(re.findall(r"^\.It (\d+)$", section(page, "EXIT STATUS"), re.M))
    assert {"0", "64", "65", "74"} <= statuses, statuses


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_manuals_are_clean_under_mandoc_lint():
    pages = sorted(MAN.glob("*.[1-8]"))
    assert {page.name for page in pages} >= {f"{tool}.1" for tool in TOOLS}
    run = subprocess.run(["mandoc", "-T", "lint", *map(str, pages)], capture_output=True, text=True)
    # Whether a page is installed on this system says nothing of the page that refers to it.
    findings = [line for line in (run.stdout + run.stderr).splitlines()
                if "referenced manual not found" not in line and "mandoc.db" not in line]
    assert findings == []


def test_worked_example_of_the_dataset_manual_is_a_shard_of_four_voxels(tmp_path):
    page = (MAN / "vol-dataset.5").read_text()
    block = re.search(r"\.Bd -literal\n(.*?)\.Ed", section(page, "EXAMPLES"), re.S)[1]
    path = tmp_path / "shard"
    path.write_bytes(bytes.fromhex(block))
    header = {"shape": [2, 2, 1], "dtype": "uint8"}
    shard = Volume("t", "CT", header, 4, 0xB63CFBCD, path, 0, path.stat().st_size, False, (2, 2, 1))
    assert np.array_equal(shard.array().ravel("F"), [1, 2, 3, 4])
