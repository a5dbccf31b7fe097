"""Alembic's entry: always runs on the connection that the store gives.

A new step: `versions/NNNN_what.py` by hand, in the manner of the first; the test
`test_migrations_match_the_model` says when it is complete.
"""

from alembic import context

from ivr.cases.model import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
