"""Forty consultants at real telephones, hundreds of callers, and what must hold of it."""
