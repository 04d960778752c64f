"""Background work in any process: what a worker does, and what becomes of it when it goes wrong."""
