"""The hospitals that DAG files are made for, read at parse: small files, no network, no database."""

from __future__ import annotations

import os
from collections.abc import Iterator

from card_usage.config.hospital import Hospital, hospital_ids, load_hospital
from card_usage.config.settings import hospitals_directory
from card_usage.errors import BadHospitalFile


def ids() -> tuple[str, ...]:
    """Every hospital that has a file, readable or not."""
    return hospital_ids(hospitals_directory(os.environ))


def hospitals() -> Iterator[Hospital]:
    """The hospitals whose files are in order."""
    for hospital_id in ids():
        found = read(hospital_id)
        if isinstance(found, Hospital):
            yield found


def read(hospital_id: str) -> Hospital | BadHospitalFile:
    """A hospital, or what is wrong with its file: one broken file must not take the other hospitals' DAGs down."""
    try:
        return load_hospital(hospitals_directory(os.environ), hospital_id)
    except BadHospitalFile as problem:
        return problem
