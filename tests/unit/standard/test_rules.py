"""The declared rules: the document's conditions in full, each rule with its field present and absent, the payload."""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from card_usage.config.hospital import Platform
from card_usage.events import CODE_TABLES, FIELDS, OPTIONAL_FIELDS, PATIENT_FIELDS, CardUse, Finding, SourceRow
from card_usage.files.shipped import PACKAGE
from card_usage.standard import id_numbers, rule_check, rules
from card_usage.standard.code_tables import load_tables
from card_usage.standard.id_numbers import HEALTH_CARD, PATTERNS, RESIDENT_ID
from card_usage.standard.normalize import Normalizer
from card_usage.standard.payload import Form, filled, payload, template
from card_usage.standard.rule_check import check, required_fields
from card_usage.standard.rules import BY_ID, OURS, PROFILES, RULES, Rule
from card_usage.windows import Window, day_window
from cases import every_case
from hypothesis import given
from hypothesis import strategies as st

TABLES = load_tables()
SCENES = TABLES["scene"].codes
CARD_TYPES = TABLES["card_type"].codes
DAY = day_window(date(2024, 3, 1))
NUMBERS = {"01": "11010519491231002X", "06": "H12345678", "07": "12345678", "08": "A123456789"}
FULL = CardUse(
    occurred_at=datetime.fromisoformat("2024-03-01 08:30:00"),
    scene="010101",
    department="0301",
    card_type="01",
    channel="0401",
    cost_type="0200",
    id_number=NUMBERS["01"],
    name="张三",
    qr_code_text="2A4A19745AC6D6475C2AA48290B513F8:1",
)


def full(scene: str = "010101", card_type: str = "01") -> CardUse:
    return FULL._replace(scene=scene, card_type=card_type, id_number=NUMBERS.get(card_type, "E12345678"))


scenes, card_types, profiles = st.sampled_from(SCENES), st.sampled_from(CARD_TYPES), st.sampled_from(PROFILES)
full_uses = st.builds(full, scenes, card_types)
uses = st.builds(
    CardUse,
    occurred_at=st.none() | st.datetimes(datetime.fromisoformat("2024-02-28"), datetime.fromisoformat("2024-03-03")),
    scene=st.none() | scenes,
    department=st.none() | st.sampled_from(TABLES["department"].codes),
    card_type=st.none() | card_types,
    channel=st.none() | st.sampled_from(TABLES["channel"].codes),
    cost_type=st.none() | st.sampled_from(TABLES["cost_type"].codes),
    id_number=st.none() | st.text("0123456789X", min_size=1, max_size=40),
    name=st.none() | st.text(min_size=1, max_size=120),
    qr_code_text=st.none() | st.text(min_size=1, max_size=600),
)


def ids(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.rule for finding in findings]


# --- the document, written down a second time


def test_the_fields_to_send_are_those_of_the_document_for_every_scene_and_card_type():
    with every_case() as case:
        for profile in PROFILES:
            for card_type in CARD_TYPES:
                for scene in SCENES:
                    with case(scene, card_type, profile):
                        expected = {"occurred_at", "scene", "card_type", "channel"}
                        expected |= {"qr_code_text"} if card_type == "11" else {"id_number", "name"}
                        expected |= {"department"} if scene in ("010101", "0101011", "0101012") else set()
                        if profile == "current" and scene in ("010105", "0101051", "0101053"):
                            expected.add("cost_type")
                        assert required_fields(full(scene, card_type), profile) == expected


def test_conditions_name_codes_that_exist_and_the_two_kinds_of_card_are_all_card_types():
    for rule in RULES:
        if rule.when is not None:
            assert rule.when.values <= set(TABLES[rule.when.field].codes), rule.id
    assert set(CARD_TYPES) == rules.OTHER_DOCUMENTS | {HEALTH_CARD}
    assert HEALTH_CARD not in rules.OTHER_DOCUMENTS


# --- the declarations


def test_rule_ids_are_unique_and_speak_of_their_field():
    assert len(BY_ID) == len(RULES)
    for rule in RULES:
        assert rule.id.split(".")[0] == {"occurred_at": "time"}.get(rule.field, rule.field)
    assert {rule.field for rule in RULES} == {*FIELDS, "source_id"}


def test_every_rule_speaks_both_languages_and_cites_the_document_or_says_that_it_is_ours():
    for rule in RULES:
        assert rule.zh
        assert rule.en.isascii()
        assert rule.section == OURS or rule.section[0] in "23"


def test_every_code_table_has_its_code_rule_and_every_field_is_required_somewhere():
    assert {rule.field for rule in RULES if rule.kind == "code"} == set(CODE_TABLES)
    assert {rule.field for rule in RULES if rule.kind == "required"} == set(FIELDS)


# --- each rule, field present and absent


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.kind == "required"], ids=lambda rule: rule.id)
@given(use=full_uses, profile=profiles)
def test_an_absent_field_is_missed_exactly_where_the_rule_applies(rule: Rule, use: CardUse, profile: str):
    assert check(use, profile=profile, window=DAY) == ()
    if rule.field in ("scene", "card_type"):
        use = use._replace(**{rule.field: None})
        assert rule.id in ids(check(use, profile=profile, window=DAY))
    else:
        applies = rule.field in required_fields(use, profile)
        use = use._replace(**{rule.field: None})
        assert check(use, profile=profile, window=DAY) == ((rule.finding(),) if applies else ())


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.kind == "code"], ids=lambda rule: rule.id)
@given(use=full_uses, profile=profiles)
def test_an_unmapped_code_is_critical_everywhere_or_at_choice_only_where_it_is_sent(rule, use, profile):
    unreadable = (rule.finding("local"),)
    sent = rule.field in required_fields(use, profile)
    if rule.field not in ("scene", "card_type"):  # without these two nobody knows what else is asked
        use = use._replace(**{rule.field: None})
    assert check(use, profile=profile, window=DAY, unreadable=unreadable) == unreadable
    sunk = (replace(unreadable[0], severity="info"),)
    assert check(use, profile=profile, window=DAY, unreadable=unreadable, every_code=False) == (
        unreadable if sent else sunk
    )


@pytest.mark.parametrize("field", ["scene", "card_type"])
def test_an_unmapped_scene_or_card_type_speaks_alone_for_its_field(field):
    unreadable = (BY_ID[f"{field}.code"].finding("local"),)
    assert check(FULL._replace(**{field: None}), profile="v2.1", window=DAY, unreadable=unreadable) == unreadable


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.kind == "length"], ids=lambda rule: rule.id)
@given(use=full_uses, extra=st.integers(-1, 1))
def test_a_text_is_too_long_from_one_character_above_its_limit(rule, use, extra):
    assert rule.limit
    text = "长" * (rule.limit + extra)
    findings = ids(check(use._replace(**{rule.field: text}), profile="v2.1"))
    sent = rule.field in required_fields(use, "v2.1")
    assert (rule.id in findings) == (sent and extra > 0)


@given(uses, profiles)
def test_a_resident_id_must_be_one_and_other_numbers_only_look_unusual(use, profile):
    use = use._replace(card_type=RESIDENT_ID, id_number="110105194912310021")
    assert BY_ID["id_number.checksum"].finding() in check(use, profile=profile)
    for card_type in CARD_TYPES:
        use = use._replace(card_type=card_type, id_number="不像证件号码")
        of_number = [finding for finding in check(use, profile=profile) if finding.field == "id_number"]
        if card_type == RESIDENT_ID:
            assert of_number == [BY_ID["id_number.checksum"].finding()]
        else:
            assert of_number == ([BY_ID["id_number.format"].finding()] if card_type in PATTERNS else [])
            assert not [finding for finding in of_number if finding.severity != "warning"]


def test_a_value_that_breaks_two_rules_is_one_finding():
    assert ids(check(FULL._replace(id_number="1" * 33), profile="v2.1", window=DAY)) == ["id_number.length"]


def test_a_health_card_is_not_judged_by_an_id_that_is_not_sent():
    use = full(card_type="11")._replace(id_number="123", name="长" * 200)
    assert check(use, profile="v2.1", window=DAY) == ()


@given(st.integers(-172_800, 172_800))
def test_a_window_holds_its_start_and_not_its_end(seconds):
    at = DAY.start + timedelta(seconds=seconds)
    inside = DAY.start <= at < DAY.end
    assert (check(FULL._replace(occurred_at=at), profile="v2.1", window=DAY) == ()) == inside


@pytest.mark.parametrize(("at", "expected"), [(DAY.start, []), (DAY.end, ["time.window"])])
def test_both_edges_of_a_window_exactly(at, expected):
    assert ids(check(FULL._replace(occurred_at=at), profile="v2.1", window=DAY)) == expected
    hour = Window(at, at + timedelta(hours=1))
    assert check(FULL._replace(occurred_at=at), profile="v2.1", window=hour) == ()


def test_an_unreadable_time_is_one_finding():
    unreadable = (BY_ID["time.format"].finding(),)
    assert check(FULL._replace(occurred_at=None), profile="v2.1", window=DAY, unreadable=unreadable) == unreadable


# --- all findings


@given(uses, profiles, st.sets(st.sampled_from(CODE_TABLES)))
def test_each_field_gives_one_finding_from_a_declared_rule_and_no_patient_field_gives_a_value(use, profile, unmapped):
    use = use._replace(**dict.fromkeys(unmapped))
    unreadable = tuple(BY_ID[f"{table}.code"].finding("local") for table in sorted(unmapped))
    findings = check(use, profile=profile, window=DAY, unreadable=unreadable)
    fields = [finding.field for finding in findings]
    assert len(set(fields)) == len(fields)
    for finding in findings:
        rule = BY_ID[finding.rule]
        assert finding.field == rule.field
        assert finding.severity in (rule.severity, "info")
        if finding.field in PATIENT_FIELDS or not finding.rule.endswith(".code"):
            assert (finding.table, finding.code) == (None, None)
        else:
            assert (finding.table, finding.code) == (finding.field, "local")


@given(uses, profiles)
def test_an_event_without_critical_findings_has_every_field_that_its_payload_needs(use, profile):
    findings = check(use, profile=profile, window=DAY)
    if not any(finding.severity == "critical" for finding in findings):
        sent = payload(form(profile, "code"), use)
        assert {FIELDS[field] for field in required_fields(use, profile)} <= set(sent)


@given(
    uses | full_uses,
    profiles,
    st.sampled_from(["code", "name", "his_name"]),
    st.sampled_from([None, "内科"]),
    st.frozensets(st.sampled_from(OPTIONAL_FIELDS)),
)
def test_the_quick_answer_is_yes_exactly_where_the_check_finds_nothing(use, profile, department_format, name, also):
    of_hospital = {"profile": profile, "department_format": department_format, "department_name": name}
    of_hospital |= {"also_send": also}
    codes = use._replace(occurred_at=None, id_number=None, name=None, qr_code_text=None)
    passes_all = rule_check.passes_all(codes, **of_hospital)
    assert (passes_all is not None and passes_all(use)) == (check(use, **of_hospital) == ())


def test_the_row_check_and_normalization_agree_on_who_speaks():
    normalizer = Normalizer(TABLES, {table: {} for table in CODE_TABLES})
    row = SourceRow("GH1", FULL.occurred_at, "010101", "77", "睡眠", "01", "0401", None, NUMBERS["01"], "测试", None, 0)
    card_use, unreadable = normalizer.card_use(row)
    assert ids(check(card_use, profile="v2.1", unreadable=unreadable)) == ["department.code", "name.required"]


@pytest.mark.parametrize("unknown", ["", "v2", "V2.1"])
def test_an_unknown_profile_is_refused_and_not_taken_for_another(unknown):
    with pytest.raises(ValueError, match=r"v2\.1, current"):
        check(FULL, profile=unknown)


# --- the payload


def form(profile: str, department_format: str = "code", **other: object) -> Form:
    settings = {"profile": profile, "department_format": department_format, "also_send": (), **other}
    return Form.of(Platform(connection="p", hospital_id="10086", **settings), TABLES)


def test_a_form_is_marked_by_every_setting_that_a_body_depends_on():
    profiles, formats = ("v2.1", "current"), ("code", "name", "his_name")
    marks = {form(profile, kind).mark for profile in profiles for kind in formats}
    assert len(marks) == 6
    renamed = TABLES | {"department": replace(TABLES["department"], names=TABLES["department"].names | {"01": "别名"})}
    settings = form("v2.1", "name", also_send=None)
    assert Form.of(Platform(connection="q", hospital_id="10086"), TABLES) == settings
    assert Form.of(Platform(connection="p", hospital_id="10086"), renamed) != settings
    assert Form.of(Platform(connection="p", hospital_id="10087"), TABLES) != settings
    others = ({"also_send": ()}, {"channel_format": "name"}, {"sub_hospital_code": "2"})
    marks = {form("v2.1", "name", **other).mark for other in ({"also_send": None}, *others)}
    assert len(marks) == 4


@given(
    full_uses,
    profiles,
    st.sampled_from(["code", "name", "his_name"]),
    st.sampled_from([None, "内科"]),
    st.none() | st.sets(st.sampled_from(OPTIONAL_FIELDS)),
)
def test_a_template_filled_with_an_events_own_fields_is_its_payload(use, profile, department_format, name, also):
    of = form(profile, department_format, also_send=also and tuple(also))
    codes = use._replace(occurred_at=None, id_number=None, name=None, qr_code_text=None)
    patient = {"idCardNumber": use.id_number, "name": use.name, "qrCodeText": use.qr_code_text}
    sent = filled(template(of, codes, name), patient, str(use.occurred_at))
    assert list(sent.items()) == list(payload(of, use, name).items())


def test_the_payload_of_a_registration_is_the_documents():
    assert payload(form("v2.1", "code"), FULL) == {
        "hospitalId": "10086",
        "time": "2024-03-01 08:30:00",
        "scene": "010101",
        "department": "0301",
        "cardType": "01",
        "cardChannel": "0401",
        "idCardNumber": NUMBERS["01"],
        "name": "张三",
    }


def test_the_current_profile_adds_the_hospital_code_and_the_cost_type_of_a_charge():
    charge = FULL._replace(scene="0101051")
    sent = payload(form("current", "code"), charge)
    assert (sent["hospitalId"], sent["hospitalCode"], sent["cardCostTypes"]) == ("10086", "10086", "0200")
    assert "cardCostTypes" not in payload(form("v2.1", "code"), charge)


@given(full_uses, profiles)
def test_a_payload_is_flat_text_of_exactly_the_required_fields(use, profile):
    sent = payload(form(profile, "code"), use)
    hospital = {"hospitalId", "hospitalCode"} if profile == "current" else {"hospitalId"}
    assert set(sent) == {FIELDS[field] for field in required_fields(use, profile)} | hospital
    assert all(type(value) is str and value for value in sent.values())
    assert use.card_type == "11" or "qrCodeText" not in sent
    assert use.card_type != "11" or not {"idCardNumber", "name"} & set(sent)


@given(uses, profiles, st.sets(st.sampled_from(OPTIONAL_FIELDS)))
def test_a_field_that_no_rule_requires_is_sent_where_it_is_known_and_the_hospital_says_so(use, profile, also):
    least, more = (set(payload(form(profile, also_send=tuple(some)), use)) for some in ((), also))
    known = {FIELDS[name] for name in also if getattr(use, name) is not None}
    assert more == least | known


def test_by_default_codes_are_sent_where_known_and_of_the_patient_nothing_but_what_is_required() -> None:
    by_card = FULL._replace(scene="0101051", card_type="11", qr_code_text="ab" * 32 + ":1")
    sent = payload(form("v2.1", "name", also_send=None), by_card)
    assert sent["department"] == TABLES["department"].names["0301"]
    assert not {"idCardNumber", "name", "cardCostTypes"} & set(sent)
    assert payload(form("current", also_send=None), by_card._replace(scene="010102"))["cardCostTypes"] == "0200"
    with_name = payload(form("v2.1", also_send=("name",)), by_card)
    assert (with_name["name"], "department" in with_name) == ("张三", False)


def test_a_channel_goes_as_code_or_as_the_name_of_the_documents_sample_and_a_campus_if_it_is_set() -> None:
    assert payload(form("v2.1", channel_format="name"), FULL)["cardChannel"] == "服务号"
    assert payload(form("v2.1"), FULL)["cardChannel"] == "0401"
    assert payload(form("current", sub_hospital_code="2"), FULL)["subHospitalCode"] == "2"
    assert "subHospitalCode" not in payload(form("current"), FULL)


def test_a_patient_field_that_is_also_sent_is_judged_where_it_is_there_and_may_be_absent() -> None:
    card = full("0101051", "11")
    of_hospital = {"profile": "v2.1", "also_send": frozenset({"name"})}
    assert ids(check(card._replace(name=None), **of_hospital)) == []
    assert ids(check(card._replace(name="李" * 101), **of_hospital)) == ["name.length"]
    assert ids(check(card._replace(name="李" * 101), profile="v2.1")) == []


@given(uses, profiles)
def test_an_absent_field_is_left_out_and_never_sent_empty(use, profile):
    sent = payload(form(profile, "name", also_send=OPTIONAL_FIELDS, channel_format="name"), use)
    wires = {wire: field for field, wire in FIELDS.items()}
    for wire in set(sent) & set(wires):
        value = getattr(use, wires[wire])
        assert value is not None
        assert sent[wire] != ""
        assert sent[wire] != "None" or value == "None"


def test_a_department_goes_as_code_as_standard_name_or_as_the_his_calls_it():
    with every_case() as case:
        for code in TABLES["department"].codes:
            with case(code):
                use = FULL._replace(department=code)
                sent = {
                    kind: payload(form("v2.1", kind), use, "东院门诊")["department"]
                    for kind in ("code", "name", "his_name")
                }
                assert sent == {"code": code, "name": TABLES["department"].names[code], "his_name": "东院门诊"}


def test_a_hospital_that_sends_its_own_names_needs_the_name_and_no_mapping():
    unmapped = FULL._replace(department=None)
    unreadable = (BY_ID["department.code"].finding("77"),)
    judged = check(
        unmapped, profile="v2.1", department_format="his_name", department_name="东院门诊", unreadable=unreadable
    )
    assert [(finding.rule, finding.severity) for finding in judged] == [("department.code", "info")]
    nameless = check(FULL, profile="v2.1", department_format="his_name", department_name=None)
    assert ids(nameless) == ["department.required"]
    assert "department" not in payload(form("v2.1", "his_name"), FULL, None)


# --- texts


def test_each_rule_says_in_both_languages_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES:
        assert rule.text("zh") == rule.zh
        assert rule.text("en") == rule.en
        if rule.severity == "critical" and rule.kind != "code":
            zh, en = rule.action("zh"), rule.action("en")
            assert zh, rule.id
            assert en, rule.id
            assert not re.search(r"[一-鿿]", en), rule.id


def test_a_rule_is_declared_in_one_file_and_printed_in_one() -> None:
    # Those that the code has to know stand beside their meaning: an unreadable time, an event outside its window.
    known = {"time.format", "time.window", "department.required"}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "rules.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert [rule.id for rule in RULES if rule.id not in known and f'{rule.id}"' in text] == [], path


# --- docs/rules.md


def test_docs_rules_md_is_what_the_declarations_say():
    shipped = Path(__file__).parents[3] / "docs" / "rules.md"
    assert shipped.read_text(encoding="utf-8") == rules.markdown(), (
        "run: python -m card_usage.standard.rules > docs/rules.md"
    )


def test_a_birth_date_after_the_use_is_no_valid_number() -> None:
    first_17 = "11010120260304001"
    born = f"{first_17}{id_numbers.check_digit(first_17)}"
    assert id_numbers.is_resident_id(born)
    for day, later in ((3, True), (4, False), (5, False)):
        at = datetime(2026, 3, day, 12)  # noqa: DTZ001
        use = FULL._replace(card_type=RESIDENT_ID, id_number=born, occurred_at=at)
        assert ("id_number.birth" in ids(check(use, profile="v2.1"))) is later
        passes = rule_check.passes_all(use, profile="v2.1")
        assert passes is not None
        assert passes(use) is not later
    assert not id_numbers.is_born_after("110101490304001", datetime(2026, 3, 4))  # noqa: DTZ001 - born in 1949
