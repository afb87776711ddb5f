"""Tests of the store, all against real files."""
