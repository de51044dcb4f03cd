"""`ponder show`: what a saved model is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from ponder.model.saved import Saved


def show(model: str, /, *, adapters: str | None = None) -> None:
    """Print a model's parts, their parameters and what share of the backbone these are.

    Args:
        model: a model's name or folder; with --adapters a backbone's folder or hub id.
        adapters: the folder of what was trained on that backbone.
    """
    from rich import box
    from rich.table import Table

    from ponder.cli.console import say, stdout
    from ponder.model.saved import load_saved

    saved = load_saved(model, adapters=adapters, device="cpu")
    whole, parts = _backbone_size(saved), list(_parts(saved))
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column("of the backbone", justify="right")
    for name, size in [("backbone (frozen)", whole), *parts]:
        table.add_row(name, f"{size:,}", f"{size / whole:.2%}")
    added = sum(size for _, size in parts)
    table.add_section()
    table.add_row("trained in all", f"{added:,}", f"{added / whole:.2%}")
    stdout.print(table)
    for line in _facts(saved):
        say(line)


def _backbone_size(saved: Saved) -> int:
    trained = {id(p) for module in _trained(saved).values() for p in module}
    parameters = saved.backbone.model.parameters()
    return sum(p.numel() for p in parameters if id(p) not in trained)


def _parts(saved: Saved) -> Iterator[tuple[str, int]]:
    for name, parameters in _trained(saved).items():
        yield name, sum(p.numel() for p in parameters)


def _trained(saved: Saved) -> dict[str, list[nn.Parameter]]:
    from ponder.model.adapters import ADAPTERS

    found: dict[str, list[nn.Parameter]] = {}
    if saved.readout is not None:  # which `nano` alone has, as it has a connector
        found["connector"] = list(saved.backbone.model.model.connector.parameters())
        found["read-out"] = list(saved.readout.parameters())
    if saved.thinker is not None:
        for name in ADAPTERS:
            rank = saved.thinker.config.ranks[name]
            found[f"{name} adapter, rank {rank}"] = saved.thinker.adapters.parameters(name)
        found["queries"] = list(saved.thinker.queries.parameters())
        if saved.thinker.gate is not None:
            found["gate"] = list(saved.thinker.gate.parameters())
        if saved.thinker.latent is not None:
            found["transition adapter"] = list(saved.thinker.latent.parameters())
    return found


def _facts(saved: Saved) -> Iterator[str]:
    reader = saved.thinker or saved.readout
    yield f"backbone:    {saved.backbone.source['name']}"
    yield f"dimensions:  {reader.dim if reader else 0}"
    yield f"fingerprint: {saved.fingerprint}"
    for number, stage in enumerate(saved.history):
        yield f"{'' if number else 'trained:':13}{_stage(stage)}"
    if saved.thinker is None:
        yield "thinks:      no (no reasoning adapter yet)"
        return
    config = saved.thinker.config
    yield f"interface:   {config.interface}, {config.queries} queries"
    yield f"thoughts:    at most {config.max_thought_tokens} tokens"
    if saved.thinker.gate is None:
        yield "gate:        none yet, so no think mode auto"
    else:
        query, document = config.thresholds["query"], config.thresholds["document"]
        yield f"gate:        from {query:.3f} for queries, {document:.3f} for documents"
    if saved.thinker.latent is not None:
        shape = saved.thinker.latent.config
        yield f"latent:      {shape.steps} steps, {shape.chosen} of {shape.experts} experts in each"


def _stage(stage: dict[str, Any]) -> str:
    """Return a stage of training in a line: what it was, from what, how long, with what."""
    recipe, versions = stage.get("recipe", {}), stage.get("versions", {})
    told = [str(stage["stage"])]
    if "model" in recipe:
        told.append(f"from {recipe['model']}")
    if "steps" in recipe:
        told.append(f"{recipe['steps']} steps")
    told += [f"{package} {number}" for package, number in versions.items() if number]
    if stage.get("commit"):
        told.append(f"commit {stage['commit'][:12]}")
    return ", ".join(told)
