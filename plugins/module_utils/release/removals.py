# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What new migrations take away, which the code that runs meanwhile may still read. Read from their text; nothing of them is run.

Understood are Alembic's `upgrade`, Django's operations, and SQL, in files and in words inside of both. What a migration computes
is not seen: this finds what is forgotten, not what is hidden.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from .schema import migrations

ALEMBIC = ("drop_table", "drop_column", "rename_table")
DJANGO = ("DeleteModel", "RemoveField", "RenameField", "RenameModel", "AlterModelTable")
SQL = re.compile(
    r"\b(?:drop\s+(?:table|column|(?:materialized\s+)?view|schema|type|function)\b|rename\s+(?:to|column|\w+\s+to)\b)[^;\n]{0,60}",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def removals(new: Path, live: Path, patterns: Sequence[str]) -> list[str]:
    """`file:line what` for everything that migrations of the source folder `new` take away which are not in the folder `live`."""
    before = {path.relative_to(live): path.read_bytes() for path in migrations(live, patterns)}
    found = []
    for path in migrations(new, patterns):
        name = path.relative_to(new)
        if before.get(name) != path.read_bytes():
            found += [f"{name}:{line} {what}" for line, what in _of_file(path)]
    return found


def _of_file(path: Path) -> list[tuple[int, str]]:
    text = path.read_text(errors="replace")
    if path.suffix != ".py":
        return list(_of_sql(text, 1))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []  # the build has compiled it, with the Python of the release
    return sorted(set(_of_python(tree)))


def _of_sql(text: str, first: int) -> Iterator[tuple[int, str]]:
    """(line, words); a comment keeps its lines and loses its words."""
    plain = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    for match in SQL.finditer(plain):
        yield first + plain.count("\n", 0, match.start()), " ".join(match[0].split())


def _of_python(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Walks what runs forth: neither `downgrade`, nor what only changes Django's idea of the database, nor SQL for the way back."""
    if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
        return
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        words = [part.value for part in [*node.args, *given.values()] if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if name in ALEMBIC or name in DJANGO or (name == "alter_column" and "new_column_name" in given):
            yield node.lineno, " ".join([name, *words])
        if name == "RunSQL":
            forth = given.get("sql", node.args[0] if node.args else None)
            for part in [forth] if forth else []:
                yield from _of_python(part)
            return
        for part in [node.func, *node.args, *(value for key, value in given.items() if key != "state_operations")]:
            yield from _of_python(part)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _of_sql(node.value, node.lineno)
    body = getattr(node, "body", None)
    for child in ast.iter_child_nodes(node):
        # What a file or a function says of itself is prose.
        prose = isinstance(body, list) and child in body[:1] and isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if not prose:
            yield from _of_python(child)
