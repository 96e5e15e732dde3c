"""Drives aqueduct's benchmark: `bench/run`. Standard library only."""
