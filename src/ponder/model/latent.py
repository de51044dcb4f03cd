"""The transition adapter: from the state after a latent step to what is read next.

PLUME (arXiv 2604.02073): a thought is not written but taken as a few steps, in each of which the
language model reads a vector made of its own last state. One shared and some routed experts make
that vector; the router sees the state, a semantic anchor and the number of the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ponder.errors import ConfigError


@dataclass(frozen=True)
class TransitionConfig:
    """Shape of a rollout and its adapter.

    Attributes:
        steps: K, latent steps.
        experts: N, routed experts; 0 leaves the shared one alone.
        chosen: how many of them take part in a step; N at most.
        width: of an expert's hidden layer; None for that of the backbone's states.
        is_anchored: whether the router sees the no-think read-out.
        input_scale: root mean square to which inputs are brought, that of token embeddings; None
            leaves them as they are, as published.

    Raises:
        ConfigError: more experts are chosen than there are.
    """

    steps: int = 8
    experts: int = 4
    chosen: int = 2
    width: int | None = None
    is_anchored: bool = True
    input_scale: float | None = None

    def __post_init__(self) -> None:
        if self.chosen > self.experts:
            raise ConfigError(
                f"chosen: a step cannot take {self.chosen} of {self.experts} experts; "
                f"set it to {self.experts} or less"
            )


@dataclass(frozen=True)
class Rollout:
    """What happened in the K steps of B rows.

    Attributes:
        states: (B, K + 1, H), the last layer's states, that of the context first.
        gates: (B, K, N), the router's probabilities.
        chosen: how many experts took part in each step.
    """

    states: Tensor
    gates: Tensor
    chosen: int

    @property
    def experts(self) -> Tensor:
        """The experts that took part, (B, K, chosen), the likeliest first."""
        return self.gates.topk(self.chosen, dim=-1).indices

    @property
    def cosines(self) -> Tensor:
        """Cosines (B, K) between successive states."""
        return F.cosine_similarity(self.states[:, 1:], self.states[:, :-1], dim=-1)


class Expert(nn.Module):
    """Two linear layers, the second zero at first."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, width)
        self.fc2 = nn.Linear(width, hidden_size)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return what it adds to states (B, H)."""
        output: Tensor = self.fc2(F.gelu(self.fc1(states)))
        return output


class TransitionAdapter(nn.Module):
    """The experts and their router; untrained it returns the state as it is.

    The parts are called as in the published checkpoints.

    Args:
        config: its shape.
        hidden_size: H, width of the backbone's states.
        step_count: how many steps have an embedding of their own; the last serves all later ones.
    """

    def __init__(
        self, config: TransitionConfig, hidden_size: int, step_count: int | None = None
    ) -> None:
        super().__init__()
        self.config = config
        width = config.width or hidden_size
        self.ln = nn.LayerNorm(hidden_size)
        self.shared_expert = Expert(hidden_size, width)
        self.experts = nn.ModuleList(Expert(hidden_size, width) for _ in range(config.experts))
        if config.experts:
            self.step_embed = nn.Embedding(step_count or config.steps, hidden_size)
            self.router = nn.Linear(2 * hidden_size, config.experts)

    def forward(self, state: Tensor, step: int, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next input (B, H) and the router's probabilities (B, N), both in float32.

        Args:
            state: (B, H), the last layer's state after the step before.
            step: number of the step, from 0.
            anchor: (B, H), the state that the no-think read-out averages.
        """
        config = self.config
        state = state.float()
        seen = self.ln(state)
        change = self.shared_expert(seen)
        gates = state.new_zeros(len(state), config.experts)
        if config.experts:
            number = torch.tensor(min(step, self.step_embed.num_embeddings - 1))
            at = self.step_embed(number.to(state.device)).expand_as(state)
            about = state + anchor.float() if config.is_anchored else state
            gates = self.router(torch.cat([about, at], dim=-1)).softmax(dim=-1)
            values, which = gates.topk(config.chosen, dim=-1)
            weights = torch.zeros_like(gates).scatter(1, which, values)
            found = torch.stack([expert(seen) for expert in self.experts], dim=1)  # (B, N, H)
            change = change + (weights.unsqueeze(-1) * found).sum(dim=1)
        following = state + change
        if config.input_scale is not None:
            size = following.square().mean(dim=-1, keepdim=True).sqrt()
            following = following * (config.input_scale / size.clamp(min=1e-6))
        return following, gates
