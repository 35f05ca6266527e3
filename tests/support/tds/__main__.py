"""Runs the scripted server: the script comes as one line on standard input, events leave as lines.

A process of its own, because a driver that holds the interpreter lock while it waits for a server
in the same process waits for ever.
"""

import asyncio
import json
import sys

from tests.support.tds.script import from_json
from tests.support.tds.session import Session, State

MARK = b"mark\n"
"""Asks for an event by which the other side knows that it has read all before it."""


async def serve() -> None:
    """Serve until standard input is closed: nothing is left behind by a test run that died."""
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    state = State(from_json(json.loads(await stdin.readline())), sys.stdout)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Session(state, reader, writer).run()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    state.say("listening", port=server.sockets[0].getsockname()[1])
    while line := await stdin.readline():
        if line == MARK:
            state.say("mark")
        else:
            state.follow(from_json(json.loads(line)))
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
