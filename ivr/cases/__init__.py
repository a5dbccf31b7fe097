"""What is kept of every call: the journal first, then the database."""
