"""The demo's console: a process like the others, started last so that it knows their probes."""

import re
from dataclasses import dataclass
from typing import Self

from penstock.demo.scenario import DemoError
from penstock.processes import ServiceProcesses, known_services

SERVICE = "console"
_PASSWORD = re.compile(r"log on as `(\S+)` with the one-time password (\S+)")


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """Where it is, and how to log on for the first time."""

    address: str
    login: str

    @classmethod
    async def start(cls, services: ServiceProcesses) -> Self:
        """Start it on a free port, and read what it says of itself.

        Raises:
            DemoError: it did not say where it is, or printed no password.
        """
        known = known_services(services.running)
        process = services[SERVICE]
        await process.start(CONSOLE_SERVICES=known, CONSOLE_PORT="0")
        await process.until_ready()
        addresses = [
            str(line["address"])
            for line in process.events()
            if line.get("event") == "console_listening"
        ]
        found = _PASSWORD.search(process.log.read_text("utf-8"))
        if not addresses or found is None:
            raise DemoError(f"The console did not say where it is; look at {process.log}.")
        user, password = found.groups()
        return cls(addresses[-1], f"{user}, with the one-time password {password}")
