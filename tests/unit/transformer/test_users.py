"""The shipped rules for people, departments and groups; scores and winners by hand."""

import functools
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.support.paths import PROJECT, shared_data
from tests.support.people import parse_ldif
from tests.unit.transformer.calls import merge_one, merged, row
from transformer.adapters.entity_files import load_entities
from transformer.domain.entity import Entity
from transformer.domain.identity_keys import keys_of
from transformer.domain.records import Head, Merged, Rejected

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

TDX: dict[str, Any] = {
    "UID": "6318d5b0-5f7d-508e-a966-07c9ba8fdada",
    "IsActive": True,
    "FullName": "Daniel Grainger",
    "FirstName": "Daniel",
    "MiddleName": "J",
    "LastName": "Grainger",
    "DefaultAccountID": 11,
    "DefaultAccountName": "Chemistry (TDX)",
    "PrimaryEmail": "DGrainge@umich.example ",
    "ExternalID": "54917232",
    "AlternateID": "dgrainge",
    "Title": "Scientist",
    "WorkPhone": "555-0101",
    "WorkAddress": "24 holden crescent",
    "WorkCity": "riverhills",
    "WorkState": "NSW",
    "WorkZip": "5353",
    "EndDate": "0001-01-01T00:00:00Z",
}
API: dict[str, Any] = {
    "EmplId": "54917232",
    "EmplRcd": 1,
    "UniqName": "DGRAINGE",
    "Name": "Granger,Dan Jay",
    "FirstName": "Dan",
    "LastName": "Granger",
    "DepartmentId": "170500",
    "Dept_Description": "LSA Chemistry",
    "UniversityJobTitle": "RESEARCH AREA SPEC INTER",
    "DepartmentJobTitle": None,
    "SupervisorId": "39582036",
    "Work_Address1": "24 holden croscent",
    "Work_City": "riverhills",
    "Work_State": "NSW",
    "Work_Postal": "5353",
    "Work_Phone": "",
}
LDAP: dict[str, Any] = {
    "uid": ["dgrainge"],
    "cn": ["Daniel Grainger", "Danny"],
    "sn": ["Graingerr"],
    "givenName": ["Danny"],
    "mail": ["dgrainge@umich.example"],
    "umichTitle": ["Specialist"],
    "umichPostalAddress": ["24 holden croscent $ box 4 $ riverhills $ NSW 5353"],
    "telephoneNumber": ["555-0202"],
}
AD: dict[str, Any] = {
    "sAMAccountName": ["dgrainge"],
    "sn": ["Grainger-AD"],
    "givenName": ["D."],
    "mail": ["ad@umich.example"],
    "title": ["Staff"],
    "userAccountControl": ["514"],
    "accountExpires": ["9223372036854775807"],
    "lastLogonTimestamp": ["116444736000000000"],
}
DOCUMENTS = {"tdx": TDX, "umich_api": API, "mcommunity_ldap": LDAP, "active_directory": AD}


@functools.cache
def rules() -> Mapping[str, Entity]:
    return load_entities(PROJECT / "config")


def head(system: str, document: Mapping[str, Any], *, external_id: str = "1") -> Head:
    return Head(
        entity_id="tdx/1",
        source_system=system,
        external_id=external_id,
        version=1,
        is_deleted=False,
        stored_at=MOMENT,
        document=json.dumps(document),
    )


def user(**changes: dict[str, Any] | None) -> Merged:
    """The four records of one person; `tdx={...}` changes keys, `tdx=None` leaves it out."""
    heads = [
        head(system, {**document, **(changes.get(system) or {})})
        for system, document in DOCUMENTS.items()
        if changes.get(system, {}) is not None
    ]
    return merged(rules()["user"], *heads)


def values(record: Merged) -> dict[str, Any]:
    return row(rules()["user"], record)


@pytest.mark.covers("S2-03")
def test_every_value_comes_from_the_source_that_is_trusted_for_it() -> None:
    assert values(user()) == {
        "uniqname": "dgrainge",
        "employee_id": "54917232",
        "first_name": "Daniel",
        "middle_name": "J",
        "last_name": "Grainger",
        "full_name": "Grainger, Daniel J",
        "email": "dgrainge@umich.example",
        "department_id": "170500",
        "department_name": "LSA Chemistry",
        "title": "RESEARCH AREA SPEC INTER",
        "phone_number": "555-0202",
        "street_address": "24 holden croscent",
        "city": "riverhills",
        "state": "NSW",
        "postcode": "5353",
        "supervisor_id": "39582036",
        "tdx_uid": "6318d5b0-5f7d-508e-a966-07c9ba8fdada",
        "tdx_account_id": 11,
        "is_active": True,
        "ends_on": None,
        "account_expires_at": None,
        "last_logon_at": datetime(1970, 1, 1, tzinfo=UTC),
    }


@pytest.mark.covers("S2-03")
def test_names_fall_back_from_source_to_source_and_stay_together() -> None:
    api = values(user(tdx=None))
    assert (api["first_name"], api["middle_name"], api["last_name"]) == ("Dan", "Jay", "Granger")
    assert api["full_name"] == "Granger, Dan Jay"
    ldap = values(user(tdx=None, umich_api=None))
    assert (ldap["first_name"], ldap["middle_name"], ldap["last_name"]) == (
        "Danny",
        None,
        "Graingerr",
    )
    directory = values(user(tdx=None, umich_api=None, mcommunity_ldap=None))
    assert directory["full_name"] == "Grainger-AD, D."
    half = values(user(tdx={"LastName": "", "MiddleName": ""}))
    assert (half["first_name"], half["last_name"], half["full_name"]) == ("Daniel", None, "Daniel")


@pytest.mark.covers("S2-03")
def test_mail_title_and_department_have_their_own_orders() -> None:
    assert values(user(tdx={"PrimaryEmail": ""}))["email"] == "dgrainge@umich.example"
    assert values(user(tdx=None, mcommunity_ldap=None))["email"] == "ad@umich.example"
    assert values(user(umich_api=None))["title"] == "Specialist"
    assert values(user(umich_api=None, mcommunity_ldap=None))["title"] == "Scientist"
    assert values(user(umich_api={"DepartmentJobTitle": "Chemist"}))["title"] == "Chemist"
    without_api = values(user(umich_api=None))
    assert (without_api["department_id"], without_api["department_name"]) == (
        None,
        "Chemistry (TDX)",
    )
    assert values(user(tdx=None))["is_active"] is False
    assert values(user(tdx={"EndDate": "2026-07-01T00:00:00Z"}))["ends_on"] == date(2026, 7, 1)


def scored(record: Merged) -> tuple[str, tuple[str, ...]]:
    return str(record.score), record.flags


@pytest.mark.covers("S2-20", "S2-26")
def test_a_person_whom_all_sources_know_alike_scores_one() -> None:
    assert scored(user(active_directory=None)) == ("1.00", ())


@pytest.mark.covers("S2-21", "S2-22")
def test_each_missing_source_costs_a_tenth_and_each_missing_key_field_a_twentieth() -> None:
    assert scored(user(active_directory=None, mcommunity_ldap=None)) == (
        "0.90",
        ("missing_mcommunity_ldap_source",),
    )
    # A tenth, and a twentieth: only the API gives a department's number.
    assert scored(user(active_directory=None, umich_api=None)) == (
        "0.85",
        ("missing_umich_api_source", "missing_department_id"),
    )
    # Three tenths, and a twentieth each for name, e-mail and department.
    bare: dict[str, Any] = {"sn": [], "givenName": [], "mail": []}
    assert scored(user(tdx=None, umich_api=None, mcommunity_ldap=None, active_directory=bare)) == (
        "0.55",
        (
            "missing_tdx_source",
            "missing_umich_api_source",
            "missing_mcommunity_ldap_source",
            "missing_name",
            "missing_email",
            "missing_department_id",
            "no_phone_number",
        ),
    )


@pytest.mark.covers("S2-23", "C-17", "C-45")
def test_addresses_that_differ_cost_a_twentieth_and_case_or_absence_nothing() -> None:
    other = {"mail": ["dg@umich.example"]}
    assert scored(user(active_directory=None, mcommunity_ldap=other)) == (
        "0.95",
        ("email_mismatch",),
    )
    shouted = {"mail": ["DGRAINGE@UMICH.EXAMPLE"]}
    assert scored(user(active_directory=None, mcommunity_ldap=shouted)) == ("1.00", ())
    assert scored(user(active_directory=None, mcommunity_ldap={"mail": None})) == ("1.00", ())
    # Together: a tenth for the API, a twentieth each for the department and the addresses.
    record = user(active_directory=None, umich_api=None, mcommunity_ldap=other)
    assert record.score == Decimal("0.80")


@pytest.mark.covers("S2-24")
def test_a_missing_phone_number_is_told_and_costs_nothing() -> None:
    record = user(
        active_directory=None, tdx={"WorkPhone": None}, mcommunity_ldap={"telephoneNumber": []}
    )
    assert scored(record) == ("1.00", ("no_phone_number",))


@pytest.mark.covers("S2-27")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PrimaryEmail": "nobody at home"}, "email_form: the e-mail address has no `@`"),
        ({"AlternateID": None}, "uniqname_present: no source gives a uniqname"),
    ],
)
def test_a_person_who_breaks_a_validation_is_left_out(changes: dict[str, Any], reason: str) -> None:
    outcome = merge_one(rules()["user"], head("tdx", TDX | changes))
    assert isinstance(outcome, Rejected)
    assert outcome.reasons == (reason,)


def keys(name: str, system: str, document: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in sorted(keys_of(rules()[name], [head(system, document)])["tdx/1"].keys):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.covers("C-16")
def test_whoever_is_named_is_linked_by_name_only() -> None:
    assert keys("user", "tdx", TDX) == {
        "uniqname": ["dgrainge"],
        "employee_id": ["54917232"],
        "email": ["dgrainge@umich.example"],
    }
    two = LDAP | {"mail": ["dgrainge@umich.example", "Dan@umich.example", " "]}
    assert keys("user", "mcommunity_ldap", two) == {
        "uniqname": ["dgrainge"],
        "email": ["dan@umich.example", "dgrainge@umich.example"],
    }


def test_whoever_is_not_named_is_linked_by_name_with_address() -> None:
    anonymous = {key: value for key, value in LDAP.items() if key not in ("uid", "mail")}
    assert keys("user", "mcommunity_ldap", anonymous) == {
        "name_postcode": ["danny graingerr 5353"],
        "name_town": ["danny graingerr riverhills"],
        "name_street": ["danny graingerr holdencroscent"],
        "short_name_postcode": ["dan gra 5353"],
        "short_name_town": ["dan gra riverhills"],
        "short_name_street": ["dan gra holden"],
        "given_address_postcode": ["dan 24holdencroscent 5353"],
        "given_address_town": ["dan 24holdencroscent riverhills"],
        "family_address_postcode": ["gra 24holdencroscent 5353"],
        "family_address_town": ["gra 24holdencroscent riverhills"],
        "given_house_town": ["dan 24 5353 riverhills"],
        "family_house_town": ["gra 24 5353 riverhills"],
    }
    assert keys("user", "tdx", {"FirstName": "Ann", "LastName": "Lee"}) == {}


@pytest.mark.covers("S2-03", "S2-23")
def test_a_department_is_told_by_the_api_and_completed_by_its_account() -> None:
    department = rules()["department"]
    api = {
        "DeptId": "170500",
        "DeptDescription": "LSA Chemistry",
        "DeptGroup": "COLLEGE_OF_LSA",
        "DeptGroupDescription": "College of LSA",
    }
    account = {
        "ID": 11,
        "Code": "170500",
        "Name": "Chemistry",
        "ParentID": 0,
        "IsActive": True,
        "Phone": "555-0303",
        "ModifiedDate": "2025-05-13T12:00:00Z",
    }
    record = merged(department, head("tdx", account), head("umich_api", api))
    told = row(department, record)
    assert {key: value for key, value in told.items() if value is not None} == {
        "department_id": "170500",
        "name": "LSA Chemistry",
        "group_id": "COLLEGE_OF_LSA",
        "group_name": "College of LSA",
        "tdx_account_id": 11,
        "phone_number": "555-0303",
        "is_active": True,
        "modified_at": datetime(2025, 5, 13, 12, tzinfo=UTC),
    }
    assert scored(record) == ("0.95", ("name_mismatch",))
    assert keys("department", "tdx", account) == keys("department", "umich_api", api)
    # A tenth for the API, a twentieth for the group.
    assert scored(merged(department, head("tdx", account))) == (
        "0.85",
        ("missing_umich_api_source", "missing_group_id"),
    )


def test_groups_of_a_real_directory() -> None:
    group = rules()["group"]
    folder = shared_data("directory", "planetexpress")
    (crew,) = parse_ldif((folder / "30_groups_crew.ldif").read_text("utf-8"))
    record = merged(group, head("active_directory", crew))
    told = row(group, record)
    assert (told["name"], told["member_count"]) == ("ship_crew", 3)
    assert told["members"][0] == "cn=Philip J. Fry,ou=people,dc=planetexpress,dc=com"
    assert record.flags == ("missing_mcommunity_ldap_source", "missing_email")
    mcommunity = {
        "cn": ["Ship_Crew"],
        "umichGroupEmail": ["Ship.Crew"],
        "umichDirectMember": ["uid=fry,ou=People,dc=umich,dc=example"],
        "umichExpiryTimestamp": ["20270101000000Z"],
        "joinable": ["TRUE"],
    }
    both = row(
        group, merged(group, head("active_directory", crew), head("mcommunity_ldap", mcommunity))
    )
    assert (both["name"], both["email"], both["member_count"], both["is_joinable"]) == (
        "Ship_Crew",
        "ship.crew",
        1,
        True,
    )
    assert both["expires_at"] == datetime(2027, 1, 1, tzinfo=UTC)
    assert keys("group", "active_directory", crew) == keys("group", "mcommunity_ldap", mcommunity)
