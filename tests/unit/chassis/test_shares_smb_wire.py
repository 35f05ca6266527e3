from chassis.shares import smb_messages as messages
from chassis.shares.smb_messages import Reply, Request
from chassis.shares.smb_wire import one_by_one

FILE_ID = b"the file's id..."
OPEN = Reply(0, bytes(64) + FILE_ID + bytes(8))
CHAIN = [messages.create("a", access=1), messages.read(offset=0, length=1), messages.close()]


def test_single_messages_name_the_file_that_the_first_one_opened() -> None:
    sent: list[Request] = []
    answers = [OPEN, Reply(5, b"r"), Reply(0, b"c")]

    def exchange(request: Request) -> Reply:
        sent.append(request)
        return answers[len(sent) - 1]

    assert one_by_one(exchange, CHAIN) == answers
    assert [request.command for request in sent] == [5, 8, 6]
    assert all(FILE_ID in request.body for request in sent[1:])


def test_after_a_file_that_cannot_be_opened_nothing_is_sent() -> None:
    sent: list[Request] = []

    def exchange(request: Request) -> Reply:
        sent.append(request)
        return Reply(0xC0000034, b"why")

    replies = one_by_one(exchange, CHAIN)
    assert [reply.status for reply in replies] == [0xC0000034] * 3
    assert len(sent) == 1


def test_a_single_message_needs_no_file() -> None:
    assert one_by_one(lambda _: Reply(0, b""), CHAIN[2:]) == [Reply(0, b"")]
