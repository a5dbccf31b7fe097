"""The place of a call, from sentences to the fields of its case."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from ivr.cases.event import CaseEvent, EventKind
from ivr.cases.projection import fold
from ivr.dialogue.places import PlaceOfCall
from ivr.understanding.place import Gazetteer

GAZETTEER = Gazetteer.load(Path(__file__).parents[3] / "queues" / "places.csv")


def test_fields_of_the_case() -> None:
    heard = PlaceOfCall(GAZETTEER).hear("dziura na Marszałkowskiej przy Świętokrzyskiej", "pl")
    assert heard["street"] == "Marszałkowska"
    assert heard["crossing"] == "Świętokrzyska"
    assert "marszałkowskiej" in heard["place_said"]
    assert "house_number" not in heard


def test_the_surest_place_stays() -> None:
    place = PlaceOfCall(GAZETTEER)
    sure = place.hear("na Puławskiej 12", "pl")
    assert place.hear("no przy ulicy Kwiatuszkowej 7", "pl") == sure  # a street nobody knows
    assert place.hear("dziękuję bardzo", "pl") == sure
    assert place.hear("koło metra Wilanowska", "pl")["landmark"] == "metro Wilanowska"


def test_an_unknown_street_is_kept_as_said() -> None:
    heard = PlaceOfCall(GAZETTEER).hear("latarnia na ulicy Kwiatuszkowej 7", "pl")
    assert heard["place_said"] == "kwiatuszkowej 7"


def test_a_fault_does_no_harm() -> None:
    class Broken(Gazetteer):
        def find(self, utterance: str, language: object) -> None:
            raise RuntimeError(utterance)

    assert PlaceOfCall(Broken([])).hear("na Puławskiej", "pl") == {}


def test_into_the_case_and_corrected_by_the_consultant() -> None:
    call, start = uuid4(), datetime(2026, 1, 1, tzinfo=UTC)

    def event(second: int, kind: EventKind, **data: str) -> CaseEvent:
        return CaseEvent(uuid4(), call, start + timedelta(seconds=second), str(kind), data)

    place = PlaceOfCall(GAZETTEER)
    events = [
        event(0, EventKind.OPENED),
        event(1, EventKind.UNDERSTOOD, topic="roads", **place.hear("na Puławskiej 12", "pl")),
        event(2, EventKind.UNDERSTOOD, topic="roads", **place.hear("koło metra Wilanowska", "pl")),
        event(3, EventKind.UNDERSTOOD, topic="roads"),
    ]
    case = fold(call, events)
    assert (case.landmark, case.street, case.house_number) == ("metro Wilanowska", None, None)
    assert case.place_said
    case = fold(call, [*events, event(4, EventKind.CONSULTANT_NOTE, street="Domaniewska")])
    assert (case.street, case.landmark) == ("Domaniewska", "metro Wilanowska")
