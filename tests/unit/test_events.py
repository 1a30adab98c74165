"""Event values: derived ids that never collide, and reprs that never tell who the patient is."""

import pickle
import string
import uuid
from datetime import datetime

import pytest
from card_usage.events import CODE_TABLES, FIELDS, PATIENT_FIELDS, CardUse, Finding, SourceRow, event_key, request_id
from hypothesis import given
from hypothesis import strategies as st

CANARY = {"id_number": "110101194910010012", "name": "金丝雀", "qr_code_text": "CANARYQR:1"}
USE = CardUse(
    occurred_at=datetime.fromisoformat("2024-03-01 08:30:00"),
    scene="010101",
    department="0300",
    card_type="01",
    channel="0100",
    cost_type=None,
    **CANARY,
)
ROW = SourceRow("GH1", "2024030108:30:00", "010101", "12", "内科门诊", "01", "0100", None, *CANARY.values(), 0)

parts = st.text(alphabet=string.ascii_letters + "|:,0123456789 内", max_size=12)
triples = st.tuples(parts, parts, parts)


def test_the_same_event_has_the_same_key_for_ever():
    assert event_key("demo_hospital", "registration", "GH1") == "bea13533ddbd58be9ea1bc076602e7c2"
    assert request_id("bea13533ddbd58be9ea1bc076602e7c2", 0) == "7444EE7F8D7F5D948D1E0EFB7DFC6CF7"
    assert request_id("bea13533ddbd58be9ea1bc076602e7c2", 1) == "EE63401CDBB1577CA8699274B00EFF86"


@given(triples, triples)
def test_two_events_share_a_key_only_if_they_are_the_same_event(first, second):
    assert (event_key(*first) == event_key(*second)) == (first == second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a|b", "c", "d"), ("a", "b|c", "d")),
        (("a", "", "b"), ("a", "b", "")),
        (("a", "1:b", "c"), ("a", "1:b1", ":c")),
        (("1", "1", "11"), ("1", "11", "1")),
    ],
)
def test_moving_a_separator_from_one_part_to_the_next_changes_the_key(one, other):
    assert event_key(*one) != event_key(*other)


@given(parts, parts, st.integers(0, 99), st.integers(0, 99))
def test_a_request_id_changes_with_event_and_generation_and_with_nothing_else(key, other, first, second):
    assert (request_id(key, first) == request_id(other, second)) == ((key, first) == (other, second))


@given(parts, parts, parts)
def test_a_key_is_the_uuid_that_the_standard_library_makes(hospital, feed, source_id):
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:card-usage-pipeline:event")
    name = "".join(f"{len(part)}:{part}" for part in (hospital, feed, source_id))
    assert event_key(hospital, feed, source_id) == uuid.uuid5(namespace, name).hex


def test_keys_are_lower_case_and_request_ids_upper_case_uuids_of_version_5():
    key, request = event_key("h", "f", "1"), request_id("k", 0)
    assert (len(key), key, uuid.UUID(key).version) == (32, key.lower(), 5)
    assert (len(request), request, uuid.UUID(request).version) == (32, request.upper(), 5)


def test_no_repr_tells_who_the_patient_is():
    for shown in (repr(USE), str(USE), repr(ROW), str(ROW), f"{ROW}"):
        assert not [value for value in CANARY.values() if value in shown]


def test_every_field_has_a_wire_name_and_every_code_field_a_table():
    assert tuple(FIELDS) == CardUse._fields
    assert set(CODE_TABLES) | set(PATIENT_FIELDS) | {"occurred_at"} == set(FIELDS)
    assert len(set(FIELDS.values())) == len(FIELDS)


@pytest.mark.parametrize("value", [USE, ROW, Finding("scene.code", "scene", "critical", "scene", "x")])
def test_values_survive_pickling(value):
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301
