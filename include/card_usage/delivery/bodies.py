"""Bodies: what a call sends of an event, out of its sealed part.

An event is sealed with the body by the settings of its staging. One that may have been sent keeps that body, whatever
the settings are by then; every other one is sealed again by the present settings before it is sent.
"""

from __future__ import annotations

import json
from typing import Any

from card_usage.config.day_keys import HospitalKeys
from card_usage.config.keyring import Sealed
from card_usage.delivery.transitions import Claimed
from card_usage.errors import WrongKey
from card_usage.events import CardUse
from card_usage.standard.payload import Form, filled, template


def body(keys: HospitalKeys, claimed: Claimed) -> dict[str, str]:
    """`req` of reportHISData, as it is sealed."""
    kept = _open(keys, claimed)
    return filled(kept["req"], kept, kept["time"])


def is_due_for_sealing(claimed: Claimed, form: Form) -> bool:
    """Whether its body has to be sealed before it may be sent: what may have been sent keeps the one that it has.

    An event that version 0.2.0 or an earlier one sealed has patient fields only, and no body yet."""
    return claimed.form is None or (claimed.form != form.mark and claimed.before != "unknown")


def is_readable(keys: HospitalKeys, claimed: Claimed) -> bool:
    """Whether its sealed part is there, whole and as it was sealed. Raises WrongKey if a master key is missing, which
    is a matter of no single event."""
    if claimed.sealed is None or claimed.key_id is None:
        return False
    try:
        keys.open(Sealed(claimed.key_id, claimed.sealed), bound_to=claimed.key.encode())
    except WrongKey:
        if not keys.can_open(claimed.key_id):
            raise
        return False
    return True


def sealed_again(keys: HospitalKeys, claimed: Claimed, form: Form) -> Claimed:
    """The same event with its body by these settings."""
    kept = _open(keys, claimed)
    codes = CardUse(
        None,
        claimed.scene,
        claimed.department,
        claimed.card_type,
        claimed.channel,
        claimed.cost_type,
        None,
        None,
        None,
    )
    body_parts = {
        "time": claimed.occurred_at.isoformat(" ", "seconds"),
        "req": template(form, codes, claimed.department_name),
    }
    text = json.dumps(kept | body_parts, ensure_ascii=False)
    sealed = keys.current(claimed.occurred_at.date()).seal(text.encode(), bound_to=claimed.key.encode())
    return claimed._replace(form=form.mark, key_id=sealed.key_id, sealed=sealed.blob)


def _open(keys: HospitalKeys, claimed: Claimed) -> dict[str, Any]:
    sealed = Sealed(claimed.key_id or "", claimed.sealed or b"")
    kept: dict[str, Any] = json.loads(keys.open(sealed, bound_to=claimed.key.encode()))
    return kept
