"""Drills: SBF's processes are killed and its promises counted afterwards."""
