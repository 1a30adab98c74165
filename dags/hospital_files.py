"""Shows hospital files that cannot be read as an import error in the Airflow UI. Makes no DAG of its own.

The other DAG files must go on when one hospital's file is broken (each replaces that hospital's DAG by one that says
so), and an import error would drop every DAG of its file; so the error is raised here, where there is none to drop.
"""

from __future__ import annotations

from card_usage.errors import BadHospitalFile, SettingsError
from card_usage_airflow import hospital_files

problems = [found for found in map(hospital_files.read, hospital_files.ids()) if isinstance(found, BadHospitalFile)]
if problems:
    raise SettingsError(problem="\n".join(map(str, problems)), remedy="the other hospitals' DAGs are not affected")
