"""Hospital files, as DAG files read them when they are parsed: small files, no network, no database."""

from __future__ import annotations

import os
from collections.abc import Iterator

from card_usage.config.hospital import Hospital, hospital_ids, load_hospital
from card_usage.config.settings import hospitals_directory
from card_usage.errors import BadHospitalFile


def ids() -> tuple[str, ...]:
    """Ids of all hospitals that have a file, valid or not."""
    return hospital_ids(hospitals_directory(os.environ))


def hospitals() -> Iterator[Hospital]:
    """The hospitals whose files are valid."""
    for hospital_id in ids():
        hospital = read(hospital_id)
        if isinstance(hospital, Hospital):
            yield hospital


def read(hospital_id: str) -> Hospital | BadHospitalFile:
    """A hospital, or the error of its file: an invalid file must not remove the other hospitals' DAGs."""
    try:
        return load_hospital(hospitals_directory(os.environ), hospital_id)
    except BadHospitalFile as problem:
        return problem
