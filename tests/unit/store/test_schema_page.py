"""docs/schema.md says every table and column of the store, with its meaning."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from buildbot.store import Store
from tests.tools import ROOT

_spec = importlib.util.spec_from_file_location("schema_page", ROOT / "docs" / "schema_page.py")
assert _spec is not None and _spec.loader is not None
schema_page = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(schema_page)

PAGE = (ROOT / "docs" / "schema.md").read_text()


def rows() -> dict[tuple[str, str], tuple[str, str]]:
    """(table, column) -> (declaration, meaning), as the page has them."""
    found, table = {}, ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            table = line[3:]
        elif match := re.fullmatch(r"\| `(\w+)` \| `(.*)` \| (.*) \|", line):
            found[table, match[1]] = (match[2], match[3])
    return found


def test_the_page_is_what_the_schema_says() -> None:
    assert schema_page.page(schema_page.SCHEMA.read_text()) == PAGE, "run: python docs/schema_page.py"


def test_every_column_of_a_store_is_on_the_page_with_its_type_and_meaning(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.sqlite")
    asked = (
        "SELECT m.name, x.name, x.type FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS x "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
    )
    real = {(table, column): kind for table, column, kind in store.all(lambda *row: row, asked)}
    store.close()
    said = rows()
    assert said.keys() == real.keys()
    assert {key: declared.split()[0] for key, (declared, _) in said.items()} == real
    assert [key for key, (_, meaning) in said.items() if not meaning.strip()] == []


def test_every_index_is_on_the_page(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.sqlite")
    names = store.column("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    store.close()
    assert sorted(re.findall(r"- index `(\w+)`", PAGE)) == sorted(names)


def test_a_line_that_is_not_understood_is_not_passed_over() -> None:
    with pytest.raises(schema_page.NotUnderstood):
        schema_page.page("CREATE VIEW a AS SELECT 1;\n")
