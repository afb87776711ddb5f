"""The `buildslave` command. docs/manual/buildslave.md describes it."""
