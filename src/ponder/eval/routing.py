"""What thinking about some items and not about others does to retrieval.

Every item has both embeddings, so any choice of who thinks can be scored without embedding again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ponder.eval.metrics import gains, ranks
from ponder.model.gate import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ponder.eval.both_ways import BothWays

RANDOM_DRAWS = 200
CURVE_DRAWS = 20
RESAMPLES = 5000
CURVE_RATES = tuple(i / 20 for i in range(21))


@dataclass(frozen=True)
class Scored:
    """What one way of choosing who thinks leads to, task by task.

    Attributes:
        ranks: for each task (Q,), the rank of what is right.
        tokens: for each task, thought tokens per item; nan where no one could run it.
        ms: for each task, milliseconds per item; nan where it was not run.
    """

    ranks: list[NDArray[np.int64]]
    tokens: list[float]
    ms: list[float]

    def hits(self) -> list[NDArray[np.float64]]:
        """Return for each task (Q,), 1 where what is right came first."""
        return [(ranked == 1).astype(float) for ranked in self.ranks]

    def gains(self) -> list[NDArray[np.float64]]:
        """Return for each task (Q,), the nDCG@5 of each query."""
        return [gains(ranked, 5) for ranked in self.ranks]


@dataclass(frozen=True)
class Point:
    """One point of the curve of quality over cost.

    Attributes:
        rate: share of items that think.
        tokens: thought tokens per item, the mean of the tasks.
        hit: hit@1, the mean of the tasks.
    """

    rate: float
    tokens: float
    hit: float


class Routing:
    """All tasks, and their scores under any choice.

    Args:
        tasks: each embedded both ways.
    """

    def __init__(self, tasks: Sequence[BothWays]) -> None:
        self.tasks = list(tasks)
        self._scores = [
            {
                (a, b): task.queries.vectors[a] @ task.candidates.vectors[b].T
                for a in ("never", "always")
                for b in ("never", "always")
            }
            for task in self.tasks
        ]
        self._gates = [
            np.concatenate([getattr(task, side).gate for task in self.tasks])
            for side in ("queries", "candidates")
        ]

    def modes(self) -> dict[str, Scored]:
        """Return every mode as it was run, and the best of `never` and `always`.

        `oracle` takes for each query whichever of `never` and `always` ranks what is right higher;
        no one can run it, so it has no cost.
        """
        found: dict[str, Scored] = {}
        for mode in self.tasks[0].queries.vectors:
            rows = [
                (
                    ranks(task.queries.vectors[mode] @ task.candidates.vectors[mode].T, task.right),
                    _per_item(
                        task, [s.tokens[mode].sum() for s in (task.queries, task.candidates)]
                    ),
                    _per_item(
                        task, [s.milliseconds[mode].sum() for s in (task.queries, task.candidates)]
                    ),
                )
                for task in self.tasks
            ]
            found[mode] = Scored(*(list(column) for column in zip(*rows, strict=True)))
        pairs = list(zip(found["never"].ranks, found["always"].ranks, strict=True))
        none = [float("nan")] * len(pairs)
        best = [np.minimum(never, always) for never, always in pairs]
        found["oracle"] = Scored(best, none, none)
        return found

    def random(self, seed: int = 0) -> list[Scored]:
        """Return draws in which as many queries and candidates think as in `auto`, any of them."""
        chance = np.random.default_rng(seed)
        rates = [
            float(np.mean([(side.tokens["auto"] > 0).mean() for side in sides]))
            for sides in zip(*((t.queries, t.candidates) for t in self.tasks), strict=True)
        ]
        return [self._drawn(chance, rates) for _ in range(RANDOM_DRAWS)]

    def curve(self) -> list[Point]:
        """Return hit@1 over thought tokens where the likeliest to pay think first."""
        points = []
        for rate in CURVE_RATES:
            cuts = [cut(gates, rate) for gates in self._gates]
            chosen = self._chosen(
                [
                    [task.queries.gate >= cuts[0], task.candidates.gate >= cuts[1]]
                    for task in self.tasks
                ]
            )
            points.append(_point(rate, [chosen]))
        return points

    def random_curve(self, seed: int = 0) -> list[Point]:
        """Return the same where any think, the mean of some draws."""
        chance = np.random.default_rng(seed)
        return [
            _point(rate, [self._drawn(chance, [rate, rate]) for _ in range(CURVE_DRAWS)])
            for rate in CURVE_RATES
        ]

    def _drawn(self, chance: np.random.Generator, rates: Sequence[float]) -> Scored:
        return self._chosen(
            [
                [
                    chance.random(len(side)) < rate
                    for side, rate in zip((t.queries, t.candidates), rates, strict=True)
                ]
                for t in self.tasks
            ]
        )

    def _chosen(self, thinks: Sequence[Sequence[NDArray[np.bool_]]]) -> Scored:
        """Score a choice of who thinks: for each task (Q,) and (C,)."""
        ranked, tokens = [], []
        for task, scores, (q, c) in zip(self.tasks, self._scores, thinks, strict=True):
            plain = np.where(c, scores["never", "always"], scores["never", "never"])
            thought = np.where(c, scores["always", "always"], scores["always", "never"])
            ranked.append(ranks(np.where(q[:, None], thought, plain), task.right))
            spent = [
                task.queries.tokens["always"][q].sum(),
                task.candidates.tokens["always"][c].sum(),
            ]
            tokens.append(_per_item(task, spent))
        return Scored(ranked, tokens, [float("nan")] * len(tokens))


def mean(parts: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean of the tasks' means."""
    return float(np.mean([part.mean() for part in parts]))


def interval(
    parts: Sequence[NDArray[np.float64]],
    others: Sequence[NDArray[np.float64]] | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of the tasks' mean, or of its difference to the same queries' other.

    Queries are drawn again within each task (paired percentile bootstrap, Efron 1979).

    Args:
        parts: for each task (Q,).
        others: what to subtract, query by query.
        seed: of the draws.
    """
    chance = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for i, part in enumerate(parts):
        values = part - others[i] if others is not None else part
        counts = chance.multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
        means += counts @ values / len(values) / len(parts)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _point(rate: float, draws: Sequence[Scored]) -> Point:
    tokens = float(np.mean([np.mean(draw.tokens) for draw in draws]))
    return Point(rate, tokens, float(np.mean([mean(draw.hits()) for draw in draws])))


def _per_item(task: BothWays, amounts: Sequence[float]) -> float:
    return float(sum(amounts)) / (len(task.queries) + len(task.candidates))
