"""The metrics of MMEB-V2, as the reference computes them, and correct ones.

The two differ in ties, which the reference leaves to an unstable sort and which here count against
the model, and in graded judgements: the reference takes the judged pages through a set before it
pairs them with their gains, so that gains may end up with other pages.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ponder.eval.mmeb.retrieval import Key

CUTS = (1, 5, 10)
NAMES = ("hit", "ndcg_linear", "ndcg_exponential", "precision", "recall", "f1", "map", "mrr")
MOST = max(CUTS)


def score(
    scores: NDArray[np.float32], keys: Sequence[Key], right: Mapping[Key, float]
) -> tuple[dict[str, float], dict[str, float], list[Key]]:
    """Return a query's metrics by the reference, the correct ones, and its ranking.

    Args:
        scores: (C,), higher is better.
        keys: of the C candidates; those may be left out that are worse than the tenth best.
        right: the gain of each candidate that is right, in the data's order.

    Returns:
        Two dicts of "NAME@K", and the first candidates of the reference's ranking.
    """
    is_right = np.array([key in right for key in keys])
    by_reference = [keys[i] for i in np.argsort(-scores, kind="stable")[:MOST]]
    ranking = [keys[i] for i in np.lexsort((is_right, -scores))[:MOST]]
    return metrics(by_reference, as_paired(right)), metrics(ranking, right), by_reference


def metrics(ranking: Sequence[Key], right: Mapping[Key, float]) -> dict[str, float]:
    """Return hit, nDCG, precision, recall, F1, MAP and MRR at 1, 5 and 10 of one query.

    nDCG is that of Järvelin and Kekäläinen 2002, its gain g or 2^g - 1; MAP is divided by the most
    hits there can be.

    Args:
        ranking: the candidates, best first, at least ten where there are so many.
        right: the gain of each candidate that is right.
    """
    found: dict[str, float] = {}
    hits = np.array([key in right for key in ranking[:MOST]], dtype=float)
    places = np.arange(1, len(hits) + 1)
    gains = [right.get(key, 0.0) for key in ranking[:MOST]]
    ideal = sorted(right.values(), reverse=True)
    for k in CUTS:
        count = len({key for key in ranking[:k] if key in right})
        precision, recall = count / k, count / len(right)
        at_hits = (hits.cumsum() / places * hits)[:k].sum()
        first = np.flatnonzero(hits[:k])
        values = {
            "hit": float(count > 0),
            "ndcg_linear": _dcg(gains[:k]) / _dcg(ideal[:k]),
            "ndcg_exponential": _dcg(map(_power, gains[:k])) / _dcg(map(_power, ideal[:k])),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if count else 0.0,
            "map": float(at_hits) / min(len(right), k),
            "mrr": 1 / (1 + int(first[0])) if len(first) else 0.0,
        }
        found |= {f"{name}@{k}": value for name, value in values.items()}
    return found


def as_paired(right: Mapping[Key, float]) -> dict[Key, float]:
    """Return the gains as the reference pairs them with what is right.

    The order of a set of text changes from one run of the reference to the next; text keeps its
    own gains here.
    """
    if any(isinstance(key, str) for key in right):
        return dict(right)
    return dict(zip(set(right), right.values(), strict=True))


def _dcg(gains: Iterable[float]) -> float:
    return math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def _power(gain: float) -> float:
    return math.exp2(gain) - 1
