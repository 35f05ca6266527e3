"""Templates: HTML is written here and nowhere else, and everything in it is escaped."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from chassis.clock import Clock
from console.domain.principals import Principal
from console.web.access import AccessTable
from console.web.addresses import list_address
from console.web.assets import Asset
from console.web.formats import FILTERS, rough
from console.web.navigation import NAVIGATION
from console.web.plots import curve, diff_lines, plot_of


class Renderer:
    """Renders templates with what all of them need."""

    def __init__(self, assets: Mapping[str, Asset], *, access: AccessTable, clock: Clock) -> None:
        self._assets = assets
        self._clock = clock
        self._access = access
        self._environment = Environment(
            loader=PackageLoader("console.web"),
            # Always, not by the name of the file: there is no template that is not HTML.
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {**FILTERS, "ago": self._ago}
        self._environment.globals |= {
            "address": list_address,
            "asset": self._asset,
            "curve": curve,
            "diff_lines": diff_lines,
            "plot_of": plot_of,
        }

    def render(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        address: str,
        principal: Principal | None,
        form_token: str,
    ) -> str:
        """Return a page as text.

        Args:
            template: Its name.
            context: What it shows.
            address: Path and query that the browser asked for.
            principal: Who asked; None before the log-on.
            form_token: What makes a form ours.
        """
        groups = [] if principal is None else self._navigation(principal)
        return self._environment.get_template(template).render(
            here=address,
            path=address.partition("?")[0],
            principal=principal,
            form_token=form_token,
            navigation=groups,
            now=self._clock.now(),
            **context,
        )

    def _navigation(self, principal: Principal) -> list[Any]:
        """Return the groups of the menu, as far as the principal may open them."""
        groups = []
        for name, items in NAVIGATION:
            shown = [item for item in items if self._is_open(item.path, principal)]
            if shown:
                groups.append((name, shown))
        return groups

    def _is_open(self, path: str, principal: Principal) -> bool:
        rule = self._access.find("GET", path)
        return rule is not None and (rule.role is None or principal.may(rule.role))

    def _asset(self, name: str) -> str:
        return f"/static/{name}?v={self._assets[name].version}"

    def _ago(self, moment: datetime | None) -> str:
        """Return how long ago something was, or that it is still to come."""
        if moment is None:
            return "never"
        seconds = (self._clock.now() - moment).total_seconds()
        if abs(seconds) < 1:
            return "now"
        return f"{rough(seconds)} ago" if seconds > 0 else f"in {rough(-seconds)}"
