"""The store: all SQL, the embedded PostgreSQL, raw bytes. Nothing outside speaks to the database."""
