"""`python -m buildslave` is the `buildslave` command."""

from buildslave.scripts.runner import run

run()
