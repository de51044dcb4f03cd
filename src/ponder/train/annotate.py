"""Thoughts for training pairs, written by a teacher behind a chat endpoint and checked by it.

Half of the records are blind: the teacher thinks about each side without sight of the other, as a
model will have to. The other half is sighted, which gives thoughts that lead somewhere, at the risk
of a leak; strict verification looks for those. Which half a record falls in hangs on its id alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ponder.errors import ConfigError, ItemError
from ponder.media import Limits
from ponder.train import annotate_prompts as prompts
from ponder.train.annotate_prompts import Verify  # noqa: TC001 (read at run time)
from ponder.train.chat import Chat, ChatError, Endpoint
from ponder.train.records import BadRow, Record, RecordsError, Roots, read_records, to_row
from ponder.train.rows import append_row, written_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ponder.prompts import Message
    from ponder.train.annotate_prompts import Role
    from ponder.train.chat import Reply
    from ponder.train.records import Side, WrittenThought

Outcome = Literal["accepted", "rejected", "failed"]
Sight = Literal["blind", "sighted"]

ERRORS = "errors.jsonl"
LIMITS = Limits(max_side=1024, max_frames=8)  # of what a teacher is shown

_OUTPUT_KEYS = ("data_info", "annotation")
_ERROR_KEYS = ("output", "outcome")


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig:
    """How thoughts are written.

    Attributes:
        endpoint: URL of an OpenAI-compatible API, as in http://localhost:8000/v1.
        model: the teacher, by the name the endpoint serves it under.
        concurrency: records in work at once.
        verify: `strict` also rejects reasoning that does not lead to its answer or leaks the other
            side; `hallucination` only claims the item does not bear out; `none` asks nothing.
        blind_share: share of records whose sides are thought about without sight of the other.
        timeout_s: for one answer.
        retries: further tries after an overload, a server's error, a timeout or a broken answer.
        max_tokens: of one answer.
        seed: decides which records are blind.
        price_in: of a million tokens read, for the cost in the report.
        price_out: of a million tokens written.
    """

    endpoint: str
    model: str
    concurrency: int = 8
    verify: Verify = "strict"
    blind_share: float = 0.5
    timeout_s: float = 120.0
    retries: int = 5
    max_tokens: int = 1024
    seed: int = 0
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("retries", 0), ("max_tokens", 1)):
            if (value := getattr(self, name)) < least:
                raise ConfigError(f"{name} is at least {least}, not {value}")
        if not 0 <= self.blind_share <= 1:
            raise ConfigError(f"blind_share is a share from 0 to 1, not {self.blind_share}")
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s is above 0, not {self.timeout_s}")


@dataclass
class Report:
    """What became of the records so far.

    Attributes:
        records: how many came to which end, blind and sighted apart.
        bad: rows of the input that are no record.
        repeated: records left out since an earlier one has their id.
        finished: records that an earlier run had finished, one way or the other.
        tokens_in: read by the teacher, for all answers, also of records that came to nothing.
        tokens_out: written by the teacher, likewise.
        seconds: since the start.
    """

    records: Counter[tuple[Outcome, Sight]] = field(default_factory=Counter)
    bad: int = 0
    repeated: int = 0
    finished: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def cost(self, config: AnnotateConfig) -> float:
        """Return the price of the tokens, in the currency of the prices."""
        spent = self.tokens_in * config.price_in + self.tokens_out * config.price_out
        return spent / 1_000_000


def annotate(
    source: Path,
    target: Path,
    config: AnnotateConfig,
    *,
    roots: Mapping[str, Path] | None = None,
    api_key: str | None = None,
    backoff_s: float = 1.0,
    tell: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Write a thought about both sides of each record of `source` into `target`.

    `target` gets a record in the TWN style a line, as it is done, in no order. Records that were
    rejected or failed, and bad rows, go to `errors.jsonl` beside it. Whatever is in either is not
    done again, so a run that was stopped at any point goes on when it is repeated.

    Args:
        source: pairs in any form that `read_records` reads.
        target: the JSONL file, there or not.
        config: the teacher and how to ask it.
        roots: folders of media by scheme; that of paths without one is by default `source`'s.
        api_key: None where the endpoint wants none.
        backoff_s: the wait before a first retry.
        tell: called with the counts after each record.

    Raises:
        EndpointError: the endpoint cannot be reached, or refuses the key or the model.
        RecordsError: `source` is no file of records, or `target` is somebody else's file.
    """
    if not source.is_file():
        raise RecordsError(f"{source}: no such file")
    if target.exists() and target.samefile(source):
        raise RecordsError(f"{target} is what is to be read; name another file to write")
    run = _Run(source, target, config, {"": source.parent, **(roots or {})}, tell)
    endpoint = Endpoint(
        config.endpoint, config.model, api_key, config.timeout_s, config.retries, backoff_s
    )
    try:
        asyncio.run(run.all(endpoint))
    except ExceptionGroup as group:  # of workers, of which the first to fail stops the others
        raise group.exceptions[0] from None
    run.report.seconds = time.perf_counter() - run.start
    return run.report


def is_blind(record: Record, seed: int, share: float) -> bool:
    """Tell whether a record is among the `share` that is annotated blind; always says the same."""
    digest = hashlib.sha256(f"{seed}\0{record.dataset}\0{record.id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


class _Rejected(Exception):
    """A thought did not pass verification."""


class _Run:
    def __init__(
        self,
        source: Path,
        target: Path,
        config: AnnotateConfig,
        roots: Mapping[str, Path],
        tell: Callable[[Report], None],
    ) -> None:
        self.report = Report()
        self._target, self._config, self._tell = target, config, tell
        self._errors_path = target.with_name(ERRORS)
        self._records = read_records(source, roots)
        self._roots = Roots(roots, source.parent)
        self.start = time.perf_counter()
        self._finished: set[tuple[str, str]] = set()  # data set and id
        self._finished_bad: set[int] = set()

    async def all(self, endpoint: Endpoint) -> None:
        async with Chat(endpoint) as chat:
            self._resume()
            with ExitStack() as files:
                self._output = files.enter_context(self._target.open("a", encoding="utf-8"))
                self._errors = files.enter_context(self._errors_path.open("a", encoding="utf-8"))
                pending = self._pending()
                async with asyncio.TaskGroup() as workers:
                    for _ in range(self._config.concurrency):
                        workers.create_task(self._work(chat, pending))

    def _resume(self) -> None:
        for row in written_rows(self._target, _OUTPUT_KEYS):
            about = row["data_info"]
            self._finished.add((about["dataset_name"], about["data_id"]))
        for row in written_rows(self._errors_path, _ERROR_KEYS):
            if row["output"] != self._target.name:
                continue
            if "row" in row:
                self._finished_bad.add(row["row"])
            else:
                self._finished.add((row["dataset"], row["id"]))

    def _pending(self) -> Iterator[Record]:
        """Yield the records to do, each to one worker; note the rows that are none."""
        taken: set[tuple[str, str]] = set()
        for record in self._records:
            if isinstance(record, BadRow):
                self.report.bad += 1
                if record.number not in self._finished_bad:
                    self._note({"row": record.number}, "bad", record.reason)
                continue
            key = (record.dataset, record.id)
            if key in taken:
                self.report.repeated += 1
            elif key in self._finished:
                self.report.finished += 1
            else:
                yield record
            taken.add(key)

    async def _work(self, chat: Chat, pending: Iterator[Record]) -> None:
        for record in pending:
            blind = is_blind(record, self._config.seed, self._config.blind_share)
            about = {"dataset": record.dataset, "id": record.id}
            outcome: Outcome = "accepted"
            try:
                row = to_row(await self._annotated(chat, record, blind), self._roots)
            except _Rejected as rejection:
                outcome = "rejected"
                self._note(about, outcome, str(rejection))
            except (ChatError, ItemError) as error:
                outcome = "failed"
                self._note(about, outcome, str(error))
            else:
                how = {"teacher": self._config.model, "verify": self._config.verify, "blind": blind}
                append_row(self._output, row | {"annotation": how})
            self.report.records[outcome, "blind" if blind else "sighted"] += 1
            self.report.seconds = time.perf_counter() - self.start
            self._tell(self.report)

    async def _annotated(self, chat: Chat, record: Record, blind: bool) -> Record:
        query = await asyncio.to_thread(_shown, record.query)
        document = await asyncio.to_thread(_shown, record.positive)
        think = partial(self._thought, chat, blind)
        about_query = await think("query", query, document)
        about_document = await think("document", document, query)
        return replace(
            record,
            query=replace(record.query, thought=about_query),
            positive=replace(record.positive, thought=about_document),
        )

    async def _thought(
        self, chat: Chat, blind: bool, role: Role, item: list[Message], other: list[Message]
    ) -> WrittenThought:
        request = prompts.to_write(role, item, None if blind else other)
        thought = prompts.read_written((await self._ask(chat, request)).text)
        if self._config.verify != "none":
            request = prompts.to_verify(self._config.verify, role, item, other, thought)
            accepted, reason = prompts.read_verdict((await self._ask(chat, request)).text)
            if not accepted:
                raise _Rejected(f"{role}: {reason}")
        return thought

    async def _ask(self, chat: Chat, request: list[Message]) -> Reply:
        reply = await chat.ask(request, self._config.max_tokens)
        self.report.tokens_in += reply.tokens_in
        self.report.tokens_out += reply.tokens_out
        if reply.was_cut:
            limit = self._config.max_tokens
            raise ChatError(f"an answer broke off at {limit} tokens; allow more with --max-tokens")
        return reply

    def _note(self, about: dict[str, Any], outcome: str, reason: str) -> None:
        row = {"output": self._target.name, **about, "outcome": outcome, "reason": reason}
        append_row(self._errors, row)


def _shown(side: Side) -> list[Message]:
    return prompts.parts(side.to_item(LIMITS))
