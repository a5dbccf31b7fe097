"""How well callers are understood: sets of sentences, noise and line, measures, reports."""
