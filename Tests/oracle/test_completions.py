"""Completions as `make install` leaves them, in real shells at a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from support import BIN, REPO, TOOLS, environment, ok, quote, ramp, save
from test_manuals import options_of_help

# Names that a stranger may give a collection, each with another letter at its start. A shell that
# took one for code would run something, or end the word.
NAMES = ["x$(touch boom)`touch boom`$HOME", "y\"z'; touch boom #", "q*!? \\ &|<>(~a,b", "CT",
         "é ünicode"]

# On ^T each shell prints the line that is being edited. By itself zsh's tab would run a command
# substitution that was typed, and ask for completions only then.
BASH = r"""
bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; bind 'set page-completions off'
bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'
load() { . "$SHARE/bash-completion/completions/$1" && return 124; }; complete -D -F load
show() { printf '\n[[[%s]]]\n' "$READLINE_LINE"; }; bind -x '"\C-t": show'
set -u -o pipefail; PS1= PS2=
"""
ZSH = r"""
unsetopt prompt_cr prompt_sp; bindkey -e; bindkey '^I' complete-word; LISTMAX=10000 PS1= PS2=
fpath=($SHARE/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D
show() { print -r -- "[[[$BUFFER]]]"; }; zle -N show; bindkey '^T' show
"""
FISH = r"""
function fish_prompt; end
bind \ct 'printf "[[[%s]]]" (commandline | string collect)'; bind \cu 'commandline ""'
"""
SHELLS = {"bash": (["bash", "--norc", "-i"], BASH), "zsh": (["zsh", "-f", "-i"], ZSH),
          "fish": (["fish", "-i"], FISH)}


class Shell:
    """A shell at a terminal, which is typed into."""

    def __init__(self, name, cwd, **more):
        self.name, self.cwd = name, cwd
        self.environment = environment(TERM="dumb", HISTFILE="", **more)
        command, setup = SHELLS[name]
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, self.environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 500, 300, 0, 0))
        # So that the terminal itself takes no key while a shell is busy.
        self.run("stty -echo -icanon")
        self.run(setup)

    def read_to(self, pattern):
        """What is shown up to `pattern`, and its group; the limit is for a shell that hangs."""
        shown, deadline = b"", time.monotonic() + 60
        while not (found := re.search(pattern, shown, re.S)):
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} in: {shown[-4000:]!r}")
            shown += os.read(self.terminal, 1 << 16)
        return shown[:found.start()].decode(), found[1].decode()

    def type(self, text):
        os.write(self.terminal, text.encode())

    def run(self, script):
        """What running some lines shows."""
        self.type(f"{script}\necho '[[['DONE']]]'\n")
        return self.read_to(rb"\[\[\[(DONE)\]\]\]")[0]

    def complete(self, line):
        """The line after a tab."""
        self.type(f"{line}\t\x14")
        completed = self.read_to(rb"\[\[\[(.*?)\]\]\]")[1]
        self.type("\x15")
        return completed

    def offers(self, line):
        """What is listed after a tab, where that is not one word alone."""
        if self.name == "fish":
            # The same, without the pages that it has on a terminal.
            shown = subprocess.run(["fish", "-c", "complete -C $argv[1]", line], cwd=self.cwd,
                                   env=self.environment, stdout=subprocess.PIPE, check=True).stdout
            return {word.split("\t")[0] for word in shown.decode().splitlines()}
        self.type(f"{line}\t\x14")
        shown = self.read_to(rb"\[\[\[(.*?)\]\]\]")[0]
        self.type("\x15")
        return set(re.split(r"\s{2,}|[\r\n]+", shown))

    def close(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.terminal)


@pytest.fixture(scope="module")
def here(tools, tmp_path_factory):
    box = tmp_path_factory.mktemp("completions")
    (box / "home").mkdir()
    subprocess.run(["make", "-s", "install-data", f"PREFIX={box / 'installed'}"], cwd=REPO,
                   check=True, env={key: value for key, value in os.environ.items()
                                    if not key.startswith(("MAKE", "MFLAGS", "DESTDIR"))})
    work = box / "work"
    save(work / "scans" / "one.nii.gz", ramp((3, 2)))
    save(work / "scans" / "two.nii", ramp((3, 2)))
    for path in ("scans/notes.txt", "list.tsv", "array.npy", "more files/a $(touch boom).nii"):
        (work / path).parent.mkdir(exist_ok=True)
        (work / path).write_bytes(b"")
    (work / "deep").mkdir()
    for name in NAMES:
        ok(f"nifti-cat -q scans/one.nii.gz scans/two.nii | vol-write -q ds {quote(name)}", work)
    ok("vol-commit -q ds && cp -r ds deep/er", work)
    ok("nifti-cat -q scans/one.nii.gz | vol-write -q staged CT", work)
    os.mkfifo(work / "pipe")
    return box


@pytest.fixture(scope="module", params=SHELLS)
def shell(here, request):
    found = Shell(request.param, here / "work", **surroundings(here))
    yield found
    found.close()


def surroundings(here, **more):
    share = here / "installed" / "share"
    return {"SHARE": str(share), "XDG_DATA_DIRS": f"{share}:/usr/share", "HOME": str(here / "home"),
            **more}


def assert_nothing_ran(here):
    made = list((here / "work").glob("**/boom"))
    for path in made:
        path.unlink()
    assert made == []


def test_tables_are_those_of_the_tools(tools):
    run = subprocess.run([REPO / "scripts" / "completions", "--check", BIN], capture_output=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_all_options_are_offered_and_once(shell, tool):
    options = options_of_help(ok(f"{tool} --help", REPO).text)
    offered = {word for word in shell.offers(f"{tool} -") if re.match("--?[a-zA-Z0-9]", word)}
    assert offered == options
    again = shell.offers(f"{tool} --version -")
    assert "--help" in again and "--version" not in again, again


@pytest.mark.parametrize("tool", ["nifti-cat", "npy-cat", "vol-ls", "vol-commit", "vol-write"])
def test_there_is_no_help_command(shell, tool):
    for line in (f"{tool} he", f"{tool} help he", f"{tool} ds he"):
        assert shell.complete(line) == line
    assert not shell.offers(f"{tool} ") & {"help", "h"}


@pytest.mark.parametrize("line, completed", [
    ("vol-ls --js", "vol-ls --json "),
    ("nifti-cat -qk -T list.tsv --si", "nifti-cat -qk -T list.tsv --sidecar "),
    ("vol-write -c iso", "vol-write -c isotropic "),
    ("vol-write --chunk=iso", "vol-write --chunk=isotropic "),
    ("vol-write ds -qc iso", "vol-write ds -qc isotropic "),
    ("nifti-cat scans/on", "nifti-cat scans/one.nii.gz "),
    ("nifti-cat sc", "nifti-cat scans/"),
    ("nifti-cat ./scans/two.nii scans/on", "nifti-cat ./scans/two.nii scans/one.nii.gz "),
    ("nifti-cat $PWD/scans/on", "nifti-cat $PWD/scans/one.nii.gz "),
    ("nifti-cat ~/../work/scans/on", "nifti-cat ~/../work/scans/one.nii.gz "),
    ("nifti-cat scans/no", "nifti-cat scans/notes.txt "),
    ("nifti-cat 'more files/a", "nifti-cat 'more files/a $(touch boom).nii' "),
    ("nifti-cat --table li", "nifti-cat --table list.tsv "),
    ("nifti-cat --table=li", "nifti-cat --table=list.tsv "),
    ("nifti-cat -T li", "nifti-cat -T list.tsv "),
    ("npy-cat ar", "npy-cat array.npy "),
    ("nifti-write -o sc", "nifti-write -o scans/"),
    ("vol-export ds --nifti sc", "vol-export ds --nifti scans/"),
    ("vol-ls ds@", "vol-ls ds@1 "),
    ("vol-ls ds --diff ", "vol-ls ds --diff 1 "),
    ("vol-ls ds --diff 1 ", "vol-ls ds --diff 1 1 "),
    ("vol-cat ds --expect ", "vol-cat ds --expect 1 "),
    ("vol-ls ds C", "vol-ls ds CT "),
    ("vol-ls deep/er C", "vol-ls deep/er CT "),
    ("vol-ls --json ds/@1 C", "vol-ls --json ds/@1 CT "),
    ("vol-ls 'ds' C", "vol-ls 'ds' CT "),
    ("vol-ls $PWD/ds C", "vol-ls $PWD/ds CT "),
    ("vol-ls ~/../work/ds C", "vol-ls ~/../work/ds CT "),
    ("vol-write -l 3 ds C", "vol-write -l 3 ds CT "),
    ("vol-cat -j 2 ds CT two", "vol-cat -j 2 ds CT two_CT "),
    ("vol-cat ds CT one_CT ", "vol-cat ds CT one_CT two_CT "),
    ("vol-cat ds -- C", "vol-cat ds -- CT "),
    ("vol-rm -qf ds one_C", "vol-rm -qf ds one_CT "),
    ("nifti-cat scans | vol-write ds C", "nifti-cat scans | vol-write ds CT "),
])
def test_word_is_completed(shell, line, completed):
    assert shell.complete(line) == completed


def test_folders_are_offered_and_those_of_datasets_are_told_apart(shell):
    assert {word.rstrip("/").replace("\\", "") for word in shell.offers("vol-ls ")} >= {
        "ds", "deep", "more files", "scans"}
    assert shell.complete("vol-ls de") == "vol-ls deep/"
    assert shell.complete("vol-ls deep/e") in ("vol-ls deep/er ", "vol-ls deep/er/")


def test_nifti_files_are_offered_before_others(shell):
    offered = {word.removeprefix("scans/") for word in shell.offers("nifti-cat scans/")}
    assert offered & {"one.nii.gz", "two.nii", "notes.txt"} == {"one.nii.gz", "two.nii"}


def test_stages_are_offered(shell, here):
    stage = ok("vol-ls --staged --tsv staged", here / "work").lines[1].split("\t")[0]
    assert shell.complete("vol-commit staged ") == f"vol-commit staged {stage} "


@pytest.mark.parametrize("open_quote", ["", '"', "'"], ids=["bare", "double", "single"])
@pytest.mark.parametrize("name", NAMES)
def test_hostile_name_is_one_word_and_runs_nothing(shell, here, name, open_quote):
    work = here / "work"
    (work / "out").unlink(missing_ok=True)
    shell.type(f"vol-ls --tsv ds {open_quote}{name[0]}\t")
    shell.run(" > out")
    assert (work / "out").read_bytes() == ok(f"vol-ls --tsv ds {quote(name)}", work).out
    # And where the collection is asked for its ids.
    shell.type(f"vol-cat ds {quote(name)} tw\t")
    shell.run(" | vol-ls --tsv - > out")
    assert (work / "out").read_text().split("\n")[1].startswith("two")
    assert_nothing_ran(here)


@pytest.mark.parametrize("line", [
    "vol-ls $(touch boom) C", "vol-ls `touch boom` C", 'vol-ls "$(touch boom)" C',
    "vol-ls ${x[$(touch boom)]} C", "vol-ls ds $(touch boom)", "vol-ls no-such C", "vol-ls scans C",
    "vol-ls - C", "vol-ls pipe C", "vol-ls 'ds C", "vol-rm --files-from=$(touch boom) ds one_C"])
def test_line_that_is_typed_runs_nothing_and_blocks_nothing(shell, here, line):
    completed = shell.complete(line)
    assert completed.startswith(line)
    assert_nothing_ran(here)


@pytest.fixture(params=SHELLS)
def fooled(here, tmp_path, request):
    """Starts a shell with another vol-ls, as there is no knowing what one finds in a dataset."""
    started = []

    def start(script):
        (tmp_path / "vol-ls").write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / "vol-ls").chmod(0o755)
        path = f"{tmp_path}:{BIN}:{os.environ['PATH']}"
        started.append(Shell(request.param, here / "work", **surroundings(here, PATH=path)))
        return started[0]

    yield start
    for shell in started:
        shell.close()


@pytest.mark.parametrize("script", ["exec sleep 600", "exit 66", "yes zz$'\\t'b", "cat"])
def test_dataset_that_answers_badly_costs_nothing_but_the_names(fooled, script):
    shell = fooled(script)
    assert shell.complete("vol-cat ds CT zz") == "vol-cat ds CT zz"
    assert shell.complete("vol-ls --js") == "vol-ls --json "


def test_id_that_looks_like_an_option_is_offered_behind_the_options(fooled):
    shell = fooled("printf 'obs_id\\tshape\\n-x y\\t3,2\\nok\\t3,2\\n'")
    assert shell.complete("vol-cat ds CT ") == "vol-cat ds CT ok "
    assert shell.complete("vol-cat ds CT ok -- ") == "vol-cat ds CT ok -- -x\\ y "
