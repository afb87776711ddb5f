"""How the tables of names say where something is: `"module:attribute"`, imported when it is asked for."""

from __future__ import annotations


def places(module: str, *names: str, **renamed: str) -> dict[str, str]:
    """{name: "module:name"} for each name, and {name: "module:other"} for each keyword name="other"."""
    found = {name: f"{module}:{name}" for name in names}
    found.update({name: f"{module}:{real}" for name, real in renamed.items()})
    return found
