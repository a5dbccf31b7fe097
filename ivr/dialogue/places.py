"""The place a caller speaks of, gathered over the sentences of a call."""

from dataclasses import asdict

import structlog

from ivr.types import Language
from ivr.understanding.place import Gazetteer, Place


class PlaceOfCall:
    """Keeps the best place said so far. Never disturbs a call: an error is logged, no more."""

    def __init__(self, gazetteer: Gazetteer):
        self._gazetteer = gazetteer
        self._best: Place | None = None

    def hear(self, sentence: str, language: Language) -> dict[str, str]:
        """Take in a sentence; give the best place as the case's fields, those that are known."""
        try:
            found = self._gazetteer.find(sentence, language)
        except Exception as error:
            structlog.get_logger().warning("place not looked for", error=repr(error))
            found = None
        if found and (self._best is None or found.confidence >= self._best.confidence):
            self._best = found
        return fields(self._best) if self._best else {}


def fields(place: Place) -> dict[str, str]:
    """A place under the names of the case's fields, without those that were not said."""
    said = asdict(place)
    named = {
        "district": said["district"],
        "street": said["street"],
        "house_number": said["number"],
        "crossing": said["crossing"],
        "landmark": said["landmark"],
        "place_said": said["said"],
    }
    return {name: value for name, value in named.items() if value}
