"""Keys rotate without losing anything, what was tampered with does not open, and no key ever shows."""

from __future__ import annotations

import base64
import hmac
import pickle
import traceback

import pytest
from card_usage.config.keyring import Keyring, Sealed
from card_usage.errors import BadKey, WrongKey
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW = Keyring.new_key("2025"), Keyring.new_key("2026")
BEFORE, ROTATED = Keyring.parse(OLD), Keyring.parse(f"{NEW},{OLD}")
EVENT = b"0f" * 16


@given(plain=st.binary(max_size=2000), bound_to=st.binary(max_size=40))
def test_what_was_sealed_opens_as_it_was(plain: bytes, bound_to: bytes):
    sealed = BEFORE.seal(plain, bound_to=bound_to)
    assert BEFORE.open(sealed, bound_to=bound_to) == plain
    assert plain not in sealed.blob or len(plain) < 4


def test_a_key_put_in_front_seals_and_the_old_one_still_opens():
    old = BEFORE.seal(b"patient", bound_to=EVENT)
    assert (old.key_id, ROTATED.current) == ("2025", "2026")
    assert ROTATED.open(old, bound_to=EVENT) == b"patient"
    assert ROTATED.seal(b"patient", bound_to=EVENT).key_id == "2026"


def test_digests_stay_the_same_when_keys_rotate():
    assert ROTATED.digest("登记|2026-11-23") == BEFORE.digest("登记|2026-11-23")
    assert ROTATED.fingerprint == BEFORE.fingerprint
    thrice = Keyring.parse(f"{Keyring.new_key('2027')},{NEW},{OLD}")
    assert thrice.fingerprint == BEFORE.fingerprint


@given(text=st.text(max_size=300))
def test_a_digest_is_the_beginning_of_an_hmac_under_the_founding_key(text: str):
    founding = hmac.digest(base64.b64decode(OLD.partition(":")[2]), b"card-usage digest key v1", "sha256")
    assert ROTATED.digest(text) == hmac.digest(founding, text.encode(), "sha256").hex()[:32]


def test_another_founding_key_gives_other_digests_and_another_fingerprint():
    other = Keyring.parse(f"{OLD},{NEW}")
    assert other.digest("same") != BEFORE.digest("same")
    assert other.fingerprint != BEFORE.fingerprint


@given(first=st.text(), second=st.text())
def test_equal_texts_and_only_they_have_equal_digests(first: str, second: str):
    assert (BEFORE.digest(first) == BEFORE.digest(second)) == (first == second)
    assert len(BEFORE.digest(first)) == 32


def test_the_same_plain_text_is_sealed_differently_each_time():
    assert len({BEFORE.seal(b"same", bound_to=EVENT).blob for _ in range(200)}) == 200


@given(at=st.integers(0, 12 + 7 + 16 - 1), flip=st.integers(1, 255))
def test_a_single_changed_byte_is_detected(at: int, flip: int):
    sealed = BEFORE.seal(b"patient", bound_to=EVENT)
    bad = bytearray(sealed.blob)
    bad[at] ^= flip
    with pytest.raises(WrongKey):
        BEFORE.open(Sealed(sealed.key_id, bytes(bad)), bound_to=EVENT)


def test_fields_of_one_event_do_not_open_as_those_of_another():
    sealed = BEFORE.seal(b"patient", bound_to=EVENT)
    with pytest.raises(WrongKey, match="key '2025'"):
        BEFORE.open(sealed, bound_to=b"1f" * 16)


@pytest.mark.parametrize("blob", [b"", b"short", bytes(12), bytes(27)])
def test_a_torn_blob_is_a_wrong_key_and_not_a_crash(blob: bytes):
    with pytest.raises(WrongKey):
        BEFORE.open(Sealed("2025", blob), bound_to=EVENT)


def test_a_key_that_is_not_in_the_list_is_named():
    sealed = ROTATED.seal(b"patient", bound_to=EVENT)
    with pytest.raises(WrongKey, match="key '2026', which CARD_USAGE_KEY cannot open: put that key back"):
        BEFORE.open(sealed, bound_to=EVENT)


def test_other_bytes_under_the_same_id_are_a_wrong_key():
    sealed = BEFORE.seal(b"patient", bound_to=EVENT)
    with pytest.raises(WrongKey, match="key '2025'"):
        Keyring.parse(Keyring.new_key("2025")).open(sealed, bound_to=EVENT)


GOOD = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("setting", "position"),
    [
        ("", 1),
        (GOOD, 1),
        (f":{GOOD}", 1),
        (f"k1 {GOOD}", 1),
        (f"k1:{GOOD[:-2]}", 1),
        (f"k1:{base64.b64encode(bytes(31)).decode()}", 1),
        (f"k1:{base64.b64encode(bytes(33)).decode()}", 1),
        (f"k1:{base64.urlsafe_b64encode(b'?' * 32).decode()}", 1),
        (f"{'k' * 17}:{GOOD}", 1),
        (f"k1:{GOOD},", 2),
        (f"k1:{GOOD},k1:{GOOD}", 2),
        (f"k2:{GOOD},k1:{'密' * 10}", 2),
        (f"k2:{GOOD};k1:{GOOD}", 1),
    ],
)
def test_a_key_setting_that_cannot_be_read_is_named_by_position_and_never_quoted(setting: str, position: int):
    with pytest.raises(BadKey) as refused:
        Keyring.parse(setting)
    line = str(refused.value)
    assert f"entry {position}," in line
    assert GOOD[:8] not in "".join(traceback.format_exception(refused.value))
    assert refused.value.details == {"position": position}
    assert refused.value.__cause__ is None


def test_spaces_around_entries_do_no_harm():
    assert Keyring.parse(f" {NEW} ,\n {OLD}\n").fingerprint == BEFORE.fingerprint


def test_a_new_key_is_one_that_can_be_set_and_never_the_same():
    assert Keyring.parse(Keyring.new_key("k1")).current == "k1"
    assert len({Keyring.new_key("k1") for _ in range(50)}) == 50


def test_nothing_secret_shows():
    secret = base64.b64decode(OLD.partition(":")[2])
    shown = [repr(BEFORE), str(BEFORE), repr(ROTATED), BEFORE.fingerprint]
    for text in shown:
        assert OLD.partition(":")[2] not in text
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


def test_a_keyring_does_not_travel_to_other_processes():
    with pytest.raises(TypeError) as refused:
        pickle.dumps(BEFORE)
    assert OLD.partition(":")[2] not in str(refused.value)
