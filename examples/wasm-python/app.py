"""A service in Python: GET /statistics?of=3,4,8 answers {"count": 3, "mean": 5.0, "median": 4.0}.

A component that holds Python has 18 MB, so it is not beside this file. `./x serve` and `./x test` put it together in
target/examples/wasm-python, as `./x examples` does; tools/examples.py shows the commands. The module `wit_world` is
made of wit/world.wit meanwhile. What is imported here is loaded while it is built, not in each request.
"""

import json
import statistics
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam


def answer_to(target: str) -> tuple[int, dict]:
    """The status and the JSON for a path with its query."""
    url = urlsplit(target)
    if url.path != "/statistics":
        return 404, {"error": "no such path"}
    try:
        numbers = [float(number) for number in parse_qs(url.query)["of"][0].split(",")]
    except (KeyError, ValueError):
        return 400, {"error": "ask for numbers: ?of=3,4,8"}
    return 200, {"count": len(numbers), "mean": statistics.mean(numbers), "median": statistics.median(numbers)}


class IncomingHandler(exports.IncomingHandler):
    """The interface that the world exports."""

    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        status, value = answer_to(request.path_with_query() or "/")
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        response.set_status_code(status)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(json.dumps(value).encode() + b"\n")
        OutgoingBody.finish(body, None)
