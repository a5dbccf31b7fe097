"""The telephone hotline of a city: understands callers, saves lives first, routes the rest."""
