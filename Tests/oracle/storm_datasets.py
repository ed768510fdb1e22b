"""Changes to a dataset: to its documents, names, subject tables and files; and all there are."""

import json
import os

from storm_builder import setter
from storm_commands import (AXIAL, CAT, CENSUS, DOCUMENTS, EVERYBODY, FULL, GC, LIST, PLANES,
                            STAGED, SUBJECTS, VERIFY)
from storm_json import another_type, compact, spoil
from storm_records import (change_block, change_header, change_header_key, change_index,
                           change_other_id, change_record, change_shard)
from storm_verdicts import (FORBIDDEN, NO_TIMES, OTHER, Verdict, accepted, draw_text, edge, either,
                            refused)


def change_document(dice, b):
    name = dice.choice(list(DOCUMENTS))
    found = {}

    def change(text):
        kind, text, found["verdict"] = spoil(dice, text, True)
        found["kind"] = kind
        return text

    b.hooks[f"{name} text"] = change
    b.build()
    # What stands at the end of a sealed document is its digest, so that a fault there breaks it.
    if b.files and found["kind"] in ("something after it", "no object"):
        found["verdict"] = "refuse"
    by = DOCUMENTS[name] if found["verdict"] == "refuse" else ()
    return Verdict(f"JSON of the {name}: {found['kind']}", refuse=by)


def change_seal(dice, b):
    name = dice.choice(list(DOCUMENTS))
    what, change = dice.choice([
        ("bytes after it", lambda data: data + dice.choice([b"\n", b" ", b"\0"])),
        ("no digest", lambda data: data[:data.rindex(b',\n  "sha256"')] + b"\n}\n"),
        ("another digest", lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:]),
        ("digest in capitals", lambda data: data[:-68] + data[-68:-4].upper() + data[-4:]),
        ("cut off", lambda data: data[:dice.randrange(len(data))]),
        ("zeros", lambda data: bytes(len(data))), ("nothing", lambda data: b"")])
    b.hooks[f"{name} bytes"] = change
    if what == "digest in capitals":
        return either(f"seal of the {name}: {what}")
    return refused(f"seal of the {name}: {what}", DOCUMENTS[name])


def change_key(dice, b):
    """A key of a document that is gone, of another type, at an edge, or another's."""
    name = dice.choice(list(DOCUMENTS))
    by, found = DOCUMENTS[name], {}

    def change(members):
        places = [(members, key) for key in members if key != "collections"]
        for key in ("catalog", "table", "parent", "subjects"):
            if members.get(key):
                places += [(members[key], inner) for inner in members[key]]
        if "packs" in members:
            places += [(members["packs"][0], inner) for inner in members["packs"][0]]
        for stage in members.get("stages", []):
            places += [(stage, key) for key in stage if key not in ("codec", "tool")]
            places += [(stage["catalog"], key) for key in stage["catalog"]]
        inner, key = dice.choice(places)
        old, found["key"] = inner[key], key
        way = dice.choice(["gone", "type", "edge"])
        if way == "edge" and type(old) is int and old is not True:
            inner[key] = dice.choice([edge(dice, 8, old), -1, 1.5, 2**64, -2**63])
            # Version 1 is read as well; sizes and counts are another matter than their form.
            found["exact"] = (key == "snapshot" or key == "version" and inner[key] != 1
                              or type(inner[key]) is float
                              or inner[key] not in range(2**64))
        elif way == "gone" or way == "edge":
            del inner[key]
            found["exact"], way = key not in ("subjects", "codec", "tool", "metadata"), "gone"
        else:
            inner[key] = another_type(dice, old)
            found["exact"] = key not in ("codec", "tool", "subjects", "parent", "metadata") or (
                inner[key] is not None)
            # A set of members may be empty, and a list of stages, as far as their types go.
            if type(old) is type(inner[key]) or key == "stages" and inner is members:
                found["exact"] = False
        found["way"] = way
        return members

    b.hooks[name] = change
    b.build()
    return Verdict(f"{name}: {found['key']} {found['way']}", refuse=by if found["exact"] else ())


def change_time(dice, b):
    what, text = dice.choice(NO_TIMES)
    name = dice.choice([*DOCUMENTS, "stage"])
    b.hooks[name] = setter("created", to=text)
    return refused(f"created of the {name}: {what}", DOCUMENTS.get(name, EVERYBODY))


def change_path(dice, b):
    pack, catalog = f"packs/{b.first}-0000.pack", f"catalogs/{b.first}.catalog"
    name = dice.choice(["stage", "stage record", "subjects", "table record"])
    paths = ["../x.pack", "/etc/passwd", "packs/../../x.pack", f"packs/{OTHER}-0000.pack",
             f"catalogs/{OTHER}.catalog", "", ".", "..", "packs/", f"./{pack}", f"/{pack}",
             f"packs//{b.first}-0000.pack", pack + "\0", pack + "\n",
             pack.replace("-0000", "-0001"), pack.replace("-0000", "-00000"), pack.upper(),
             pack.replace("-0000", "-0"),
             catalog.replace(".cat", "-" + "../" * 10 + "x.cat"), "manifests/0000000001.json",
             "HEAD", "x" * 5000,
             f"catalogs/{b.second}.catalog", f"packs/{b.second}-0000.pack", "packs/\u202e.pack",
             f"subjects/{OTHER[:-1]}.subjects", f"subjects/../subjects/{OTHER}.subjects"]
    text = dice.choice(paths)
    if name in ("subjects", "table record"):
        inside = ("table",) if name == "table record" else ()
        b.hooks[name] = setter(*inside, "path", to=text)
        by = EVERYBODY if name == "subjects" else DOCUMENTS[name]
    else:
        path = dice.choice([("packs", 0, "path"), ("catalog", "path")])
        b.hooks[name] = setter(*path, to=text)
        by = EVERYBODY if name == "stage" else STAGED
        if name == "stage record":
            text = text.replace(b.first, b.third)
    return refused(f"path in the {name}", by)


def change_dataset_name(dice, b):
    """An id, a subject or a collection: forbidden, or odd."""
    what, is_bad, text = draw_text(dice)
    key = dice.choice(["obs_id", "obs_id", "obs_subject_id", "collection"])
    if key == "collection":
        if text[:1] == "-":
            is_bad = True
        if dice.random() < 0.5:
            b.hooks["stage record"] = setter("collection", to=text)
            return refused(f"collection of a stage record: {what}", STAGED) if is_bad else either(
                f"collection of a stage record: {what}")
        b.hooks["stage"] = setter("collection", to=text)
        return refused(f"collection: {what}", EVERYBODY) if is_bad else accepted(
            f"collection: {what}", frozenset({FULL, "vol-cat ds", "vol-ls ds", "vol-ls --refs ds"}))
    if key == "obs_subject_id":
        b.hooks["record"] = setter("header", key, to=text)
        by = VERIFY | LIST | CAT | CENSUS
        return (refused if is_bad else accepted)(f"{key}: {what}", by)
    b.ids[b.first][b.victim] = text
    by = VERIFY | LIST | {"vol-cat ds", "vol-cat -k ds", "vol-export --nifti out ds",
                          "vol-export --zarr out/zarr ds"}
    if is_bad:
        return refused(f"{key}: {what}", by)
    return accepted(f"{key}: {what}", by | CAT | PLANES - {AXIAL} | {
        "vol-ls --json --diff 1 2 ds"})


def change_two_forms(dice, b):
    names = b.ids[b.first]
    names[0], names[1] = dice.choice([("Jos\u00e9", "Jose\u0301"), ("\uac00", "\u1100\u1161"),
                                      ("\u212b", "\u00c5"), ("A", "a")])
    b.victim = dice.randrange(2)
    return accepted("obs_id in two forms", VERIFY | LIST | CAT | (PLANES - {AXIAL}))


def change_subjects(dice, b):
    """A line of the subject table, or of a staged one."""
    name = dice.choice(["table", "table", "staged table"])
    by = SUBJECTS | {FULL} if name == "table" else frozenset({"vol-commit -q ds"})
    way = dice.choice(["blank line", "no last line feed", "no order", "cells", "type", "columns",
                       "head", "JSON", "JSON", "subject", "CRLF", "rows"])
    found = {"kind": way, "verdict": "refuse"}

    def change(lines):
        at = dice.randrange(1, len(lines))
        row, head = json.loads(lines[at]), json.loads(lines[0])
        if way == "blank line":
            lines.insert(dice.randint(0, len(lines)), dice.choice([b"", b" ", b"null", b"[]"]))
        elif way == "no order":
            lines.append(compact(["a", *row[1:]]))
        elif way == "cells":
            lines[at] = compact(dice.choice([row + [None], row[:-1], [], row + ["x"] * 5000]))
        elif way == "type":
            column, value = dice.choice([
                (0, 5), (1, "x"), (1, "01"), (1, ""), (1, 5), (1, "NaN"), (1, "+1"), (1, " 1"),
                (1, "1\n"), (2, "yes"), (2, "1"), (2, True), (2, "TRUE"), (3, "{"), (3, "[1,]"),
                (3, []), (3, "\u0001"), (3, "1 2")])
            lines[at] = compact([*row[:column], value, *row[column + 1:]])
        elif way == "columns":
            columns = head["columns"]
            head["columns"] = dice.choice([
                columns + [columns[1]], columns[1:] + columns[:1], [], columns[:3], None,
                [columns[0]] * 4, [{"type": "text"}] * 4, columns + [5],
                [{**column, "type": "date"} for column in columns],
                columns[:1] + [{"name": f"c{n}", "type": "text"} for n in range(4096)],
                [{**columns[0], "type": "json"}, *columns[1:]]])
            lines[0] = compact(head)
        elif way == "head":
            key, value = dice.choice([("format", "x"), ("version", 2), ("version", "1"),
                                      ("version", 0), ("format", None), ("columns", {})])
            lines[0] = compact({**head, key: value})
        elif way == "JSON":
            found["kind"], lines[0], found["verdict"] = spoil(dice, lines[0], False)
        elif way == "subject":
            text = dice.choice([None, *(text for _, text in FORBIDDEN)])
            lines[at] = compact([text, *row[1:]])
            lines[1:] = sorted(lines[1:], key=lambda line: (json.loads(line)[0] or "").encode())
        elif way == "CRLF":
            lines = [line + b"\r" for line in lines]
            found["verdict"] = "either"
        elif way == "rows":
            lines[1:] = [lines[at]] * dice.choice([2, 10_001])
            found["verdict"] = "refuse" if len(lines) > 5000 else "either"
        return lines

    b.hooks[name] = change
    if way == "no last line feed":
        b.hooks = {f"{name} bytes": lambda data: data[:-1]}
    b.build()
    kind = f"{name}: {'JSON: ' * (way == 'JSON')}{found['kind']}"
    return Verdict(kind, refuse=by if found["verdict"] == "refuse" else ())


def change_links(dice, b):
    """A symbolic link in place of an inner folder or file, to the same outside of the dataset."""
    b.build()
    folder = dice.choice(["manifests", "packs", "catalogs", "stages", "subjects"])
    by = {"manifests": EVERYBODY, "packs": CAT, "catalogs": LIST | CAT | VERIFY,
          "stages": STAGED - {"vol-write -q --skip-existing ds CT < same"},
          "subjects": SUBJECTS}[folder]
    files = [path for path in b.files if path.startswith(folder) and (
        b.first in path or path in ("manifests/0000000002.json", f"stages/{b.third}.json",
                                    f"subjects/{b.old_table}.subjects"))]
    path = dice.choice([folder, dice.choice(files)])

    def after(root):
        away = root.parent / "sibling" / "away"
        away.parent.mkdir(exist_ok=True)
        (root / path).rename(away)
        if away.is_dir():  # what vol-gc would take for its own
            for name in (f"{OTHER}-0000.pack", f"{OTHER}.catalog", f"{OTHER}.subjects"):
                (away / name).write_bytes(b"not yours")
        (root / path).symlink_to(os.path.relpath(away, (root / path).parent))

    b.hooks["after"] = after
    if path == folder:
        return refused(f"link: folder of {folder}", by | {GC})
    # One volume may well lie in another pack.
    return refused(f"link: file of {folder}", frozenset(
        command for command in by if folder != "packs" or "{id}" not in command))


def change_other_files(dice, b):
    """Files that are none of the dataset's own are nobody's business."""
    b.build()
    if dice.random() < 0.5:
        zeros = b" " + b"0" * 64 + b"\n"
        b.files["HEAD"] = dice.choice([b"", b"2", b"3 x\n", b"2" + zeros, b"99" + zeros, b"\xff\n",
                                       b"0" + zeros, bytes(100_000), b"2\n\n", b"-1\n"])
        return Verdict("HEAD", refuse=VERIFY, accept=EVERYBODY - VERIFY - {AXIAL})
    for folder in ("manifests", "packs", "catalogs", "stages", "subjects", "."):
        for name in ("x", "x.json", "1.json", "0000000003.jsonx", "00000000003.json", OTHER,
                     f"{OTHER}.jso", "\u202e", f"{OTHER[:-1]}.json", f"{OTHER.upper()}.json",
                     "a\nb", "+000000003.json"):
            b.files[f"{folder}/{name}"] = b"not yours"
    return accepted("other files", EVERYBODY - {AXIAL})


def change_manifest(dice, b):
    """What a manifest says as a whole."""
    way, change = dice.choice([
        ("a stage twice", lambda m: m["stages"].append(m["stages"][0])),
        ("totals", lambda m: m["collections"]["CT"].update(volumes=99)),
        ("another collection", lambda m: m["collections"].update(X=m["collections"]["CT"])),
        ("another dataset", lambda m: m.update(dataset_id=OTHER)),
        ("sums that overflow", lambda m: m["stages"][0].update(raw_bytes=2**64 - 1)),
        ("another format", lambda m: m.update(format="volpipe-stage")),
        ("no parent", lambda m: m.update(parent=None)),
        ("a table of no stages", lambda m: m["subjects"].update(stages=["../x"])),
        ("no packs", lambda m: m["stages"][0].update(packs=[])),
        ("a digest of no digits", lambda m: m["stages"][0]["catalog"].update(sha256="../x" * 16)),
        ("a stage of no digits", lambda m: m["stages"][0].update(stage="../x"))])
    b.hooks["manifest"] = lambda members: change(members) or members
    return refused(f"manifest: {way}", EVERYBODY)


def nothing_changed(dice, b):
    return accepted("nothing", EVERYBODY - {AXIAL})


DATASET_CHANGES = [change_document] * 3 + [change_key, change_dataset_name, change_subjects] * 3 + [
    change_header, change_record, change_index, change_shard] * 2 + [
    change_seal, change_time, change_path, change_two_forms, change_other_id, change_header_key,
    change_block, change_links, change_other_files, change_manifest, nothing_changed]
