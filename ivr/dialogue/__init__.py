"""The conversation with a caller, one coroutine a call."""
