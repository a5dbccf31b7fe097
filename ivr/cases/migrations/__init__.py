"""Alembic's migrations of the case database; `CaseStore.open` runs them."""
