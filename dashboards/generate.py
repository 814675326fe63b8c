#!/usr/bin/env python3
"""Writes dashboards/*.json from dashboards/source/*.py; with --check, writes nothing and fails where they differ."""

import importlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "source"))


def wanted():
    """The text of every dashboard by its file."""
    modules = sorted(path.stem for path in (HERE / "source").glob("*.py") if path.stem != "kit")
    return {HERE / f"{name}.json": json.dumps(importlib.import_module(name).DASHBOARD, indent=1, ensure_ascii=False) + "\n" for name in modules}


def main():
    texts = wanted()
    there = {path: path.read_text() for path in HERE.glob("*.json")}
    if "--check" in sys.argv[1:]:
        differ = sorted(path.name for path in texts.keys() | there.keys() if texts.get(path) != there.get(path))
        if differ:
            sys.exit(f"differ from their source, run dashboards/generate.py: {', '.join(differ)}")
        return
    for path in there.keys() - texts.keys():
        path.unlink()
    for path, text in texts.items():
        path.write_text(text)


main()
