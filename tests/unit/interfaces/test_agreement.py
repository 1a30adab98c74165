"""The client's table and the sandbox's, each written from the document, agree."""

from __future__ import annotations

import re

import pytest
from card_usage.interfaces.declaration import Form, parameters
from card_usage.interfaces.messages import PatientToRegister
from card_usage.interfaces.table import INTERFACES
from card_usage.platform.outcome import meanings
from platform_sandbox import card_interfaces, rules
from platform_sandbox.codes import RESULTS
from platform_sandbox.server import INTERFACES as SANDBOX_INTERFACES

OWN = {**card_interfaces.FIELDS, "getAppToken": ("appId",), "reportHISData": rules.REPORT_TEXTS}


def test_paths_are_the_same():
    assert {each.path: name for name, each in INTERFACES.items()} == SANDBOX_INTERFACES


@pytest.mark.parametrize("name", INTERFACES)
def test_parameters_are_the_same(name: str):
    declared = [each.name for each in parameters(INTERFACES[name].request).values() if each.form is not Form.LIST]
    assert sorted(declared) == sorted(OWN[name])


def test_a_batchs_parameters_are_the_same():
    assert [each.name for each in parameters(PatientToRegister).values()] == list(card_interfaces.BATCH_TEXTS)


def test_result_codes_are_the_same():
    def plain(text: str) -> str:
        return re.sub(r"\s", "", text)

    assert RESULTS.keys() <= meanings().keys()  # newer documents may have more
    assert [code for code in RESULTS if code and plain(RESULTS[code]) != plain(meanings()[code])] == []
