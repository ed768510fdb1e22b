"""Where tools run: a folder that is watched, limits of time and memory, what a run left."""

import os
import resource
import shutil
import signal
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support import BIN

SECONDS = 10


@dataclass
class Run:
    status: int  # below 0: minus the signal
    is_late: bool
    out: bytes
    err: bytes
    memory: int


class Late(Exception):
    pass


def tree(folder, but=None):
    """What is below a folder: enough of it to see any change, without reading files."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.path == but:
                continue
            info = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(info.st_mode)
            # Folders change their time when a temporary file comes and goes.
            found[entry.path] = (info.st_mode, info.st_ino) + (
                () if is_folder else (info.st_size, info.st_mtime_ns, info.st_nlink))
            if is_folder:
                found.update(tree(entry.path, but))
    return found


class Box:
    """A scratch folder that stays, in the midst of files that are nobody's to touch."""

    def __init__(self, scratch):
        self.top = Path(tempfile.mkdtemp(prefix="storm-", dir=scratch))
        self.box = self.top / "above" / "folder" / "box"
        self.box.mkdir(parents=True)
        (self.top / "tmp").mkdir()
        for folder in (self.top, *self.box.parents[:2], self.box):
            for name in ("x", "x.pack", "x.catalog", "pwn"):
                (folder / name).write_bytes(b"not yours")
        self.environment = {"PATH": str(BIN), "TMPDIR": str(self.top / "tmp"), "LC_ALL": "C.UTF-8",
                            "SWIFT_BACKTRACE": "enable=no"}
        if "LD_LIBRARY_PATH" in os.environ:
            self.environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        self.pipes = [os.memfd_create(name) for name in ("out", "err")]
        os.chdir(self.box)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # What runs away is to end by a signal, and not to take the machine with it.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 29, 1 << 29))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, self.ring)

    def ring(self, *_):
        raise Late

    def clear(self, *names):
        for name in names:
            path = self.box / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def run(self, argv, stdin="/dev/null", terminal=None):
        for pipe in self.pipes:
            os.ftruncate(pipe, 0)
            os.lseek(pipe, 0, os.SEEK_SET)
        out, err = (terminal, terminal) if terminal else self.pipes
        actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, out, 1),
                   (os.POSIX_SPAWN_DUP2, err, 2)]
        child = os.posix_spawn(BIN / argv[0], argv, self.environment, file_actions=actions,
                               setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
        is_late = False
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            _, status, usage = os.wait4(child, 0)
        except Late:
            is_late = True
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        texts = [os.pread(pipe, 1 << 28, 0) for pipe in self.pipes]
        return Run(os.waitstatus_to_exitcode(status), is_late, *texts, usage.ru_maxrss)

    def on_terminal(self, argv, stdin="/dev/null"):
        """What a command shows on a terminal."""
        ours, theirs = os.openpty()
        shown = b""
        try:
            self.run(argv, stdin, theirs)
            os.set_blocking(ours, False)
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:
            pass
        finally:
            os.close(ours)
            os.close(theirs)
        return shown.decode(errors="replace").replace("\r\n", "\n")
