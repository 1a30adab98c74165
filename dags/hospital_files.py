"""Shows hospital files that cannot be read as an import error in the Airflow UI. Makes no DAG of its own.

The other DAG files must go on when one hospital's file is broken (each replaces that hospital's DAG by one that says
so), and an import error would drop every DAG of its file; so the error is raised here, where there is none to drop.
"""

from __future__ import annotations

import os

from card_usage.errors import BadHospitalFile, SettingsError
from card_usage.hospitals import hospital_ids, load_hospital
from card_usage.settings import hospitals_directory

directory = hospitals_directory(os.environ)
problems = []
for hospital_id in hospital_ids(directory):
    try:
        load_hospital(directory, hospital_id)
    except BadHospitalFile as problem:
        problems.append(str(problem))
if problems:
    raise SettingsError(problem="\n".join(problems), remedy="the other hospitals' DAGs are not affected")
