"""The `buildbot` command. docs/manual/commands.md describes it."""
