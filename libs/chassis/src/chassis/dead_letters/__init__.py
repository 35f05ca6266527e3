"""Dead letters as people meet them: listed, read, replayed, discarded
(docs/operations/dead-letters.md).
"""

from chassis.dead_letters.commands import replay_handler, submit_replays
from chassis.dead_letters.letters import Letter, LetterFilter, LetterGroup
from chassis.dead_letters.replay import REPLAY, replay_jobs

__all__ = [
    "REPLAY",
    "Letter",
    "LetterFilter",
    "LetterGroup",
    "replay_handler",
    "replay_jobs",
    "submit_replays",
]
