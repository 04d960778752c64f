"""Bytes → text with positions, one module per family of media types."""
