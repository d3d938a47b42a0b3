"""A model behind HTTP: MLflow's scoring protocol in JSON, a refusal in one sentence for what cannot be answered, and a
page on which people try it.

MLflow's own server (`mlflow models serve`) runs code that lies in a model's folder, and answers some bad requests with
status 500 or a stack trace. This one reads weights only, and takes every model that `predict` takes.
"""

import ipaddress
import json
import logging
import socket
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from nertransfer.core.config import ServeConfig
from nertransfer.corpora.conll import numbered_lines
from nertransfer.registry.tagger import Refused, Tagger, entity_table
from nertransfer.serving import hosts, limits, trial_page
from nertransfer.serving.prediction import load_tagger

LARGEST_BODY = 10_000_000
"""Bytes of a request; more is answered with 413."""

KEYS = ("inputs", "params")
"""Of the JSON object in a request."""

LONGEST_MESSAGE = 500
"""Characters of a refusal, which may repeat what was sent."""

ALIVE = ("/ping", "/health")
"""Paths that say whether the server lives."""

_ROW = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_log = logging.getLogger(__name__)


def serve(config: ServeConfig, listening: socket.socket) -> None:
    """Answer requests at a socket until SIGTERM or Ctrl-C; those under way are still answered (`limits.run`).

    Raises InputError when the model is not there.
    """
    tagger, name = load_tagger(config.which, config.tracking, config.run.device)
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if not address.is_loopback:
        _log.warning("host=%s: whoever reaches this machine can ask; there are no passwords", config.host)
    names = hosts.allowed(config.host, config.allowed_hosts)
    if address.is_unspecified:
        _log.warning(
            "host=%s: it answers by the names %s alone; allowed_hosts adds names", config.host, ", ".join(sorted(names))
        )
        host = "::1" if address.version == 6 else "127.0.0.1"
    at = f"[{host}]" if ":" in host else host
    print(f"{name}: page to try it at http://{at}:{port}/ (Ctrl-C stops)", flush=True)
    print(f"{name} answers at http://{at}:{port}/invocations", flush=True)
    # one text after the other: a forward pass has every core, or the GPU, for itself
    worker = limits.Worker()
    limits.run(application(tagger, name, names, worker), listening, worker, **limits.settings())


def application(
    tagger: Tagger,
    name: str = "a model",
    names: frozenset[str] = hosts.allowed(hosts.LOOPBACK[0]),
    worker: limits.Worker | None = None,
) -> Starlette:
    """The web application: ``POST /invocations``, ``GET /ping`` and ``/health``; ``/`` for people (`trial_page`).

    ``names``: those by which it is asked (`hosts.allowed`); ``/ping`` and ``/health`` are answered by every name.
    ``worker``: computes the answers.
    """
    worker = worker or limits.Worker()

    async def invocations(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        try:
            body = await _body(request)
            answered = await worker.run(request, _answered, tagger, body, kind)
            request.state.hold(len(answered))
        except Refused as error:
            return _refusal(400, str(error))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        return Response(answered, media_type="application/json")

    async def empty_page(_: Request) -> Response:
        return HTMLResponse(trial_page.page(name), headers=trial_page.HEADERS)

    async def tried(request: Request) -> Response:
        text = ""
        try:
            if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                raise Refused("the text was sent by another site's page")
            text = trial_page.written(await _body(request))
            shown = await worker.run(request, _shown, tagger, name, text)
            request.state.hold(len(shown))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except (HTTPException, ValueError) as error:  # Refused is a ValueError, and so is what a tagger cannot read
            reason, status = (
                (error.detail, error.status_code) if isinstance(error, HTTPException) else (str(error), 400)
            )
            return HTMLResponse(trial_page.page(name, text, refused=reason), status, trial_page.HEADERS)
        return HTMLResponse(shown, headers=trial_page.HEADERS)

    async def alive(_: Request) -> Response:
        return Response("\n", media_type="application/json")

    return Starlette(
        routes=[
            Route(trial_page.PLACE, empty_page, methods=["GET"]),
            Route(trial_page.PLACE, tried, methods=["POST"]),
            Route("/invocations", invocations, methods=["POST"]),
            *(Route(path, alive) for path in ALIVE),
        ],
        middleware=[Middleware(_OnlyByName, names), Middleware(limits.Room)],
        exception_handlers={HTTPException: _http_error, Exception: _failure},
    )


class _OnlyByName:
    """Refuses with status 403 what `hosts.refusal` refuses, except where it is asked whether the server lives."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = ""
        if scope["type"] == "http" and scope["path"] not in ALIVE:
            reason = hosts.refusal(Headers(scope=scope), self.names)
        await (_refusal(403, reason) if reason else self.app)(scope, receive, send)


async def _body(request: Request) -> bytes:
    too_large = HTTPException(413, f"the body is larger than {LARGEST_BODY} bytes: send fewer texts at a time")
    if int(request.headers.get("content-length", 0)) > LARGEST_BODY:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        if len(body) + len(part) > LARGEST_BODY:
            raise too_large
        request.state.hold(len(body) + len(part))
        body += part
    return bytes(body)


def _answered(tagger: Tagger, body: bytes, content_type: str) -> bytes:
    rows = ",".join(map(_ROW.encode, answer(tagger, body, content_type)))  # row by row: other threads get their turn
    return f'{{"predictions":[{rows}]}}'.encode()


def _shown(tagger: Tagger, name: str, text: str) -> bytes:
    lines = numbered_lines(text)
    found = tagger.read([line for _, line in lines])
    numbered = [(number, one) for (number, _), one in zip(lines, found, strict=True)]
    return trial_page.page(name, text, numbered).encode()


def answer(tagger: Tagger, body: bytes, content_type: str) -> list[dict[str, Any]]:
    """One record an entity, as `tagger.entity_table` has them. Raises Refused, or HTTPException with status 415."""
    kind, _, rest = content_type.partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8"):
        raise HTTPException(415, f"Content-Type {content_type!r} is not allowed: application/json, in UTF-8")
    try:
        given = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8: byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise Refused(f"the body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise Refused("the body is not allowed: its JSON is nested too deeply") from error
    except ValueError as error:  # digits without end
        raise Refused(f"the body is not allowed: {str(error).partition(';')[0]}") from error
    form = 'an object such as {"inputs": ["a text"], "params": {"threshold": 0.5}}'
    if not isinstance(given, dict):
        raise Refused(f"the body is not allowed: {form}")
    if unknown := sorted(set(given) - set(KEYS)):
        raise Refused(f"key {unknown[0]!r} is not allowed: {form}")
    params = given.get("params", {})
    if not isinstance(params, dict):
        raise Refused(f"params is not allowed: {form}")
    return entity_table(tagger, given.get("inputs"), params).to_dict(orient="records")


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error_code": HTTPStatus(status).name, "message": message[:LONGEST_MESSAGE]}
    return Response(json.dumps(body), status, headers, "application/json")  # ASCII: any text can be repeated


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(error.status_code, error.detail, error.headers)


async def _failure(_: Request, _error: Exception) -> Response:
    """The log has the stack trace, the answer has not."""
    return _refusal(500, "the server failed; its log says how")
