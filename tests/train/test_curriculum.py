"""The curriculum: stages in order, the last half latent, the answer dropped at the very end."""

from __future__ import annotations

import pytest

from ponder.train.curriculum import Curriculum, Stage, remaining
from tests.families import FAMILIES

PAPER = Curriculum((0.25, 0.5, 0.75, 1.0), last=0.5, answerless=0.25)


def test_each_share_has_its_stretch() -> None:
    ratios = [PAPER.at(step, 120).ratio for step in range(120)]
    assert ratios == [0.25] * 20 + [0.5] * 20 + [0.75] * 20 + [1.0] * 60
    answers = [PAPER.at(step, 120).has_answer for step in range(120)]
    assert answers == [True] * 90 + [False] * 30


@pytest.mark.parametrize("steps", [1, 7, 10, 120])
def test_a_stage_knows_the_step_it_began_with(steps: int) -> None:
    stages = [PAPER.at(step, steps) for step in range(steps)]
    for step, stage in enumerate(stages):
        began = next(i for i, other in enumerate(stages) if other.ratio == stage.ratio)
        assert stage.since == began, step


def test_one_share_is_no_curriculum() -> None:
    plain = Curriculum((1.0,), last=0.5, answerless=1.0)
    assert {plain.at(step, 10) for step in range(10)} == {Stage(1.0, False, 0)}


def test_latent_steps_grow_with_the_share() -> None:
    taken = [Stage(r, True, 0).latent_steps(8) for r in (0, 0.01, 0.25, 0.5, 1.0)]
    assert taken == [0, 1, 2, 4, 8]


def test_what_stays_is_the_end_of_the_thought() -> None:
    tokenizer = FAMILIES["llava"]().processor.tokenizer

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    thought = ids("<think>a bicycle has two wheels and is red</think><answer>red</answer>")
    whole = tokenizer.decode(thought)
    parts = [tokenizer.decode(remaining(tokenizer, thought, s, True)) for s in (0, 0.5, 1)]
    assert parts[0] == whole
    assert all(whole.endswith(part) for part in parts)
    assert len(parts[0]) > len(parts[1]) > len(parts[2])
    assert parts[2].startswith("</think>")
    assert remaining(tokenizer, thought, 1.0, False) == []
    half = tokenizer.decode(remaining(tokenizer, thought, 0.5, False))
    assert "answer" not in half
    assert half in whole
