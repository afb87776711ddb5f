"""Which changes become which buildsets, and when: one module a kind. Nothing here remembers anything between runs."""
