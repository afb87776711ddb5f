"""Passwords in the addresses of repositories: whoever stores, logs or shows such an address comes here first."""

from __future__ import annotations

import re

# up to the last @ before the path, because a password may hold an @ itself
_PASSWORD = re.compile(r"^([A-Za-z][\w+.-]*://[^/@:]*):([^/]*)@")


def without_password(url: str) -> str:
    """`https://user:password@host/` as `https://user@host/`: what a repository is known by."""
    return _PASSWORD.sub(r"\1@", url)


def with_password_masked(url: str) -> str:
    """`https://user:password@host/` as `https://user:XXXX@host/`: what is shown in place of a command's own words."""
    return _PASSWORD.sub(r"\1:XXXX@", url)
