"""Steps that check out source: one module a version control system."""
