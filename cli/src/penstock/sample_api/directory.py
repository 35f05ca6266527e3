"""People and departments as TeamDynamix and the university's API tell them."""

from pathlib import Path
from typing import Any, TypeAlias

import orjson

Row: TypeAlias = dict[str, Any]

_UNSET = "0001-01-01T00:00:00Z"
_CREATED = "2024-01-02T08:00:00Z"
_FULL_ONLY = ("Attributes", "Applications", "OrgApplications", "GroupIDs", "Permissions")


class Directory:
    """People and what is derived from them."""

    def __init__(self, people: list[Row], employees: list[Row]) -> None:
        self.people = people
        self.employees = employees
        self.departments = _departments(employees)
        self.accounts = _accounts(people, self.departments)
        self._by_uid = {person["UID"]: person for person in people}

    @classmethod
    def load(cls, folder: Path) -> "Directory":
        """Read the two files of the people who stand in several sources."""
        lists: list[list[Row]] = []
        for name in ("tdx_people.json", "umapi_department_employees.json"):
            file = folder / "three_sources_febrl" / name
            lists.append(orjson.loads(file.read_bytes()) if file.exists() else [])
        return cls(*lists)

    def person(self, uid: str) -> Row | None:
        """Return the full form of a person: with the lists that a search leaves out."""
        found = self._by_uid.get(uid)
        return None if found is None else {name: [] for name in _FULL_ONLY} | found

    def accounts_since(self, moment: str) -> list[Row]:
        """Return the accounts that changed at a time or later."""
        return [row for row in self.accounts if row["ModifiedDate"] >= moment]


def _departments(employees: list[Row]) -> list[Row]:
    names = {row["DepartmentId"]: row["Dept_Description"] for row in employees}
    return [
        {
            "DeptId": number,
            "DeptDescription": name,
            "DeptGroup": name.split(" ", 1)[0].upper(),
            "DeptGroupDescription": name.split(" ", 1)[0],
            "DeptGroupVPArea": "",
            "DeptGroupVPAreaDescr": "",
            "DeptGroupCampus": "UM_ANN-ARBOR",
            "DeptGroupCampusDescr": "UM Ann Arbor",
        }
        for number, name in sorted(names.items())
    ]


def _accounts(people: list[Row], departments: list[Row]) -> list[Row]:
    codes = {row["DeptDescription"]: row["DeptId"] for row in departments}
    names = {
        row["DefaultAccountID"]: row["DefaultAccountName"]
        for row in people
        if row.get("DefaultAccountID")
    }
    return [
        {
            "ID": number,
            "Name": name,
            "Code": codes.get(name, ""),
            "ParentID": None,
            "ParentName": None,
            "IsActive": True,
            "CreatedDate": _CREATED,
            # A day each, so that a cursor has something to tell apart.
            "ModifiedDate": f"2025-{1 + index // 28:02d}-{1 + index % 28:02d}T08:00:00Z",
            "ManagerUID": None,
            "ManagerFullName": "",
            "Attributes": [],
            "EndDate": _UNSET,
        }
        for index, (number, name) in enumerate(sorted(names.items()))
    ]
