"""A client of OpenAI-compatible chat endpoints: one question, one answer, retried where that helps.

Errors tell three things apart: one request is refused for good (`ChatError`), the endpoint answers
nobody (`EndpointError`), and all that passes, which is tried again and never seen outside.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self

import httpx2

from ponder.errors import PonderError

if TYPE_CHECKING:
    from types import TracebackType

    from ponder.prompts import Message

MAX_WAIT_S = 300.0  # between two tries, whatever Retry-After asks for
_SHOWN = 300  # characters of a server's complaint


class ChatError(PonderError):
    """A request got no usable answer; others may."""


class EndpointError(PonderError):
    """No request will get an answer: the endpoint is away, or refuses the key or the model."""


@dataclass(frozen=True)
class Endpoint:
    """Where a teacher is, and how patient to be with it.

    Attributes:
        url: of the API, as in http://localhost:8000/v1.
        model: the name it serves the teacher under.
        api_key: None where it wants none.
        timeout_s: for one answer, from the first byte sent to the last received.
        retries: further tries after one that failed in passing.
        backoff_s: the wait before the first of these; it doubles each time.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    retries: int = 5
    backoff_s: float = 1.0


@dataclass(frozen=True)
class Reply:
    """What a teacher said and what it cost in tokens."""

    text: str
    was_cut: bool
    tokens_in: int
    tokens_out: int


class Chat:
    """A connection to an endpoint, for use in `async with`, by any number of tasks at once.

    Raises:
        EndpointError: on entering: it cannot be reached, refuses the key, or lists its models and
            not this one.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = endpoint.url.rstrip("/")
        key = endpoint.api_key
        if key and not (key.isascii() and key.isprintable()):
            raise EndpointError("OPENAI_API_KEY holds characters that no key has")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Who asks bounds how many ask at once, and `_send` how long an answer may take.
        limits, timeout = httpx2.Limits(max_connections=None), httpx2.Timeout(None, connect=10.0)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits)

    async def __aenter__(self) -> Self:
        try:
            await self._check()
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def ask(self, messages: list[Message], max_tokens: int) -> Reply:
        """Return the answer to a conversation, the likeliest one.

        Raises:
            ChatError: the request was refused, or every try failed.
            EndpointError: the endpoint is no longer there, or refuses the key.
        """
        body = {
            "model": self._endpoint.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0.0,
        }
        for attempt in range(self._endpoint.retries + 1):
            try:
                response = await self._send("POST", "/chat/completions", body)
                if response.status_code == httpx2.codes.OK:
                    return _reply(response.json())
                problem: Exception = ChatError(self._complaint(response))
                asked = _retry_after(response)
                if not (response.status_code == 429 or response.status_code >= 500):
                    raise problem
            except (httpx2.RequestError, TimeoutError, ValueError, RecursionError) as error:
                problem, asked = error, None
            if attempt < self._endpoint.retries:
                backoff = self._endpoint.backoff_s * 2**attempt * random.uniform(0.5, 1.5)
                await asyncio.sleep(min(backoff if asked is None else asked, MAX_WAIT_S))
        if isinstance(problem, httpx2.ConnectError | httpx2.ConnectTimeout):
            raise EndpointError(f"{self._url} is no longer there: {problem}") from problem
        if isinstance(problem, ChatError):
            raise problem
        raise ChatError(_say(problem, self._endpoint.timeout_s)) from problem

    async def _check(self) -> None:
        try:
            response = await self._send("GET", "/models")
        except (httpx2.RequestError, httpx2.InvalidURL, TimeoutError) as error:
            raise EndpointError(
                f"cannot reach {self._url}: {_say(error, self._endpoint.timeout_s)}; is the server "
                "up, and does the URL end as its API's does, mostly in /v1?"
            ) from error
        if response.status_code == 403:
            raise self._refusal(response)
        names = _names(response)
        if names and self._endpoint.model not in names:
            raise EndpointError(
                f"{self._url} serves no model {self._endpoint.model!r}, but {', '.join(names)}"
            )

    async def _send(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        async with asyncio.timeout(self._endpoint.timeout_s):
            response = await self._client.request(method, self._url + path, json=body)
        if response.status_code == 401:
            raise self._refusal(response)
        return response

    def _refusal(self, response: httpx2.Response) -> EndpointError:
        return EndpointError(
            f"{self._url} refuses the API key: {self._complaint(response)}; set OPENAI_API_KEY"
        )

    def _complaint(self, response: httpx2.Response) -> str:
        text = " ".join(response.text[: 4 * _SHOWN].split())
        if self._endpoint.api_key:
            text = text.replace(self._endpoint.api_key, "***")
        return f"HTTP {response.status_code}: {text[:_SHOWN]}"


def _reply(body: Any) -> Reply:
    try:
        choice = body["choices"][0]
        text = choice["message"]["content"] or ""
        usage = body.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"no chat completion: {error}") from error
    return Reply(text, choice.get("finish_reason") == "length", *tokens)


def _names(response: httpx2.Response) -> list[str]:
    """Return the models an endpoint lists; none where it keeps no list."""
    try:
        return [str(model["id"]) for model in response.json()["data"]]
    except (LookupError, TypeError, ValueError):
        return []


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds a response asks to wait, which it may give as a date."""
    value = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _say(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__
