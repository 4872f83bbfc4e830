"""Compiles the Python modules of a tree ahead of time.

Without it every replica of a function with a read-only root would compile the standard library again at each start.
"""

import importlib.util
import marshal
import sys
from pathlib import PurePosixPath

from tools.imagebuild.tree import Tree

_UNCHECKED = (1).to_bytes(4, "little")


def compile_tree(tree: Tree, root: str) -> None:
    """Adds `__pycache__` files for the modules under `root`, marked as never to be checked against their source.

    Only where this interpreter writes the bytecode of the image's one (3.11): another version would be dead weight.
    """
    if sys.version_info[:2] != (3, 11):
        return
    for path, entry in sorted(tree.entries.items()):
        if not path.startswith(f"{root}/") or not path.endswith(".py") or not entry.data:
            continue
        try:
            code = compile(entry.data, f"/{path}", "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):
            continue  # templates with the name of a module
        # PEP 552: magic, flags (hash-based, not checked), hash of the source, code.
        header = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(entry.data)
        data = header + marshal.dumps(code)
        name = PurePosixPath(path)
        tree.file(str(name.parent / "__pycache__" / f"{name.stem}.cpython-311.pyc"), data)
