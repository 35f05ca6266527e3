"""Every command of the hub, for programs: a route a topic, with the body that the topic carries.

The pages have routes of their own, which ask people for a reason, or to type what they are about to
replace. A program says what it means; its role is looked at all the same, and the service that
owns the topic decides.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from console.domain.needed_roles import needed_role
from console.errors import ForbiddenError
from console.web.answers import Accepted
from console.web.context import CurrentView
from contracts.commands import Command
from contracts.topics import TOPICS, Topic

router = APIRouter(prefix="/api/v1/commands", tags=["commands"])


def _route(topic: Topic) -> Callable[..., Awaitable[Accepted]]:
    async def give(view: CurrentView, command: Command) -> Accepted:
        role = needed_role(topic.name, command.model_dump())
        if not view.principal.may(role):
            raise ForbiddenError(f"This needs the role {role}; yours is {view.principal.role}.")
        return await view.accept(topic, command)

    # The framework reads here what the body is.
    give.__annotations__["command"] = topic.data
    return give


for _topic in TOPICS:
    if _topic.is_command:
        router.add_api_route(
            f"/{_topic.name}",
            _route(_topic),
            methods=["POST"],
            status_code=202,
            name=_topic.name,
            description=(_topic.data.__doc__ or "").strip(),
        )
