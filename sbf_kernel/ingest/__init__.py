"""Ingest: bring sources in, in the background, each for itself."""
