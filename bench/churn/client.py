"""A client of HTTP/1.1 that says exactly how an exchange failed: refused, closed before an answer, broken within one."""

import asyncio

# The longest head that is read, and how much at a time of a body.
LIMIT = 1 << 20


class Failed(Exception):
    """An exchange without a whole answer."""


class Refused(Failed):
    """Nobody listens."""


class Closed(Failed):
    """The connection ended before anything of the answer came."""


class Broken(Failed):
    """The answer began, and did not end."""


class Answer:
    """A response."""

    def __init__(self, status, headers):
        self.status, self.headers, self.body = status, headers, b""

    @property
    def text(self):
        return self.body.decode(errors="replace").strip()


class Connection:
    """A connection; `cuts` is its user's."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.cuts, self.used = reader, writer, 0, 0.0

    @classmethod
    async def to(cls, port):
        """A connection to a port of this machine, or to a Unix socket's path."""
        try:
            if isinstance(port, int):
                return cls(*await asyncio.open_connection("127.0.0.1", port, limit=LIMIT))
            return cls(*await asyncio.open_unix_connection(str(port), limit=LIMIT))
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Closed(f"connecting: {error}") from None

    @property
    def is_closed(self):
        return self.reader.at_eof() or self.writer.is_closing()

    def send(self, data):
        self.writer.write(data)

    async def drain(self):
        try:
            await self.writer.drain()
        except OSError:
            # What the server has said before counts.
            pass

    async def head(self):
        """The next answer's head."""
        try:
            text = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise (Broken("within the head") if error.partial else Closed("no answer")) from None
        except OSError as error:
            raise Closed(f"no answer: {error}") from None
        first, *fields = text.decode("latin-1").split("\r\n")[:-2]
        pairs = (field.split(": ", 1) for field in fields)
        return Answer(int(first.split(" ", 2)[1]), {name.lower(): value for name, value in pairs})

    async def body(self, answer):
        """Reads the rest of this answer."""
        try:
            async for part in self.parts(answer):
                answer.body += part
        except asyncio.IncompleteReadError:
            raise Broken(f"after {len(answer.body)} bytes of the body") from None
        except OSError as error:
            raise Broken(f"after {len(answer.body)} bytes of the body: {error}") from None
        return answer

    async def parts(self, answer):
        """The pieces of an answer's body as they come."""
        if "content-length" in answer.headers:
            yield await self.reader.readexactly(int(answer.headers["content-length"]))
        elif answer.headers.get("transfer-encoding") == "chunked":
            while True:
                length = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
                part = await self.reader.readexactly(length + 2)
                if length == 0:
                    return
                yield part[:-2]
        else:
            raise Broken("the answer has no length")

    def close(self):
        """Ends it at once, whatever is under way."""
        self.writer.transport.abort()


def request(method, target, host, nonce, body=None, more=""):
    """The bytes of a request."""
    length = f"content-length: {len(body)}\r\n" if body is not None else ""
    head = f"{method} {target} HTTP/1.1\r\nhost: {host}\r\nx-request-id: {nonce}\r\n{length}{more}\r\n"
    return head.encode() + (body or b"")


async def ask(port, method, target, body=None):
    """One request on a connection of its own."""
    connection = await Connection.to(port)
    try:
        connection.send(request(method, target, "nexus", "churn", body, "connection: close\r\n"))
        await connection.drain()
        return await connection.body(await connection.head())
    finally:
        connection.close()
