"""Asterisk's protocols and its running: nothing here knows of the hotline."""
