"""The two LoRA adapters on one frozen backbone, as PEFT keeps them."""

from __future__ import annotations

import re
import reprlib
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ponder.errors import WeightsError
from ponder.model.families import text_tower
from ponder.model.record import FLAG, RANK, check, one_of, read_json, real
from ponder.model.tensors import check_shapes, read_shapes, read_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

Adapter = Literal["reasoning", "embedding"]
ADAPTERS: tuple[Adapter, Adapter] = ("reasoning", "embedding")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

_PREFIX = "base_model.model."  # of every tensor's name
_RULES = {
    "peft_type": one_of("LORA"),
    "r": RANK,
    "lora_alpha": real(1e-6, 1e6),
    "use_rslora": FLAG,
    # The others change the backbone's own weights when an adapter is added.
    "init_lora_weights": one_of(True, False, "gaussian", "eva", "orthogonal"),
}
# What changes no output of a trained adapter, or is read off its tensors.
_SILENT = frozenset(
    [
        *("peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
        *("inference_mode", "lora_dropout", "megatron_core", "qalora_group_size", "eva_config"),
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    ]
)


class Adapters:
    """The reasoning and the embedding adapter, in place in a backbone; one is active at a time.

    Attributes:
        parameter_count: parameters of the backbone and the adapters, merged or not.
    """

    def __init__(self, peft: PeftModel) -> None:
        self._peft = peft
        self.parameter_count = sum(p.numel() for p in peft.parameters())
        self._layers = {n: m for n, m in peft.named_modules() if isinstance(m, LoraLinear)}
        self._merged: list[_Merged] = []
        self._active: Adapter | None = None
        self.use("reasoning")

    @classmethod
    def fresh(cls, model: PreTrainedModel, ranks: dict[Adapter, int]) -> Adapters:
        """Add untrained adapters, which change no output until they learn something.

        They sit on every linear layer of the text tower, with alpha = 2 * rank.
        """
        targets = _linear_layers(model)
        configs = {
            name: LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
            for name, rank in ranks.items()
        }
        return cls(_attach(model, configs))

    @classmethod
    def load(cls, model: PreTrainedModel, folder: Path) -> Adapters:
        """Add the adapters saved in `folder/reasoning` and `folder/embedding`.

        Raises:
            WeightsError: one is missing, damaged, or fits another backbone; the message names the
                tensor. It is found before memory is taken.
        """
        configs = {name: _config(model, folder / name) for name in ADAPTERS}
        tensors = {name: read_tensors(folder / name / WEIGHTS) for name in ADAPTERS}
        adapters = cls(_attach(model, configs))
        for name in ADAPTERS:
            set_peft_model_state_dict(adapters._peft, tensors[name], adapter_name=name)
        return adapters

    def save(self, folder: Path) -> None:
        """Write each adapter in PEFT's layout, in bfloat16, to a folder of its name."""
        for name in ADAPTERS:
            # Told not to look whether the hub's model has another vocabulary.
            state = get_peft_model_state_dict(
                self._peft, adapter_name=name, save_embedding_layers=False
            )
            tensors = {k: v.detach().cpu().bfloat16().contiguous() for k, v in state.items()}
            (folder / name).mkdir(parents=True, exist_ok=True)
            save_file(tensors, folder / name / WEIGHTS)
            self._peft.peft_config[name].save_pretrained(str(folder / name))

    def use(self, adapter: Adapter) -> None:
        """Make an adapter the active one; whether its parameters learn stays as it was."""
        if adapter == self._active:
            return
        for merged in self._merged:
            merged.active = adapter
        for layer in self._layers.values():
            learns = [p.requires_grad for p in layer.parameters()]
            layer.set_adapter(adapter)
            for parameter, learn in zip(layer.parameters(), learns, strict=True):
                parameter.requires_grad_(learn)
        self._active = adapter

    def merge(self) -> None:
        """Add each adapter to a copy of the layers' weights, for good.

        Nothing can learn or be saved afterwards. It takes the layers' memory twice and the adapters
        cost no time any more: on a CPU that is a third of writing a thought.
        """
        layers, self._layers = self._layers, {}
        with torch.inference_mode(False), torch.no_grad():
            self._place({name: _Merged(layer) for name, layer in layers.items()})

    @contextmanager
    def folded(self) -> Iterator[None]:
        """Within, run as if merged, while what learns goes on getting its gradients.

        The adapters' own path is many small operations, which on a CPU take most of the time of
        learning. A change of the adapters within is not seen. What is merged stays as it is.
        """
        layers, self._layers = self._layers, {}
        self._place({name: _Merged(layer, learns=True) for name, layer in layers.items()})
        try:
            yield
        finally:
            self._layers = layers
            self._place(layers)

    def _place(self, layers: Mapping[str, nn.Module]) -> None:
        """Put modules in the places of the linear layers; none changes nothing."""
        if not layers:
            return
        for name, layer in layers.items():
            parent, _, own = name.rpartition(".")
            setattr(self._peft.get_submodule(parent), own, layer)
        self._merged = [layer for layer in layers.values() if isinstance(layer, _Merged)]
        active, self._active = self._active or "reasoning", None
        self.use(active)

    def parameters(self, adapter: Adapter) -> list[nn.Parameter]:
        """Return the parameters of one adapter."""
        part = f".{adapter}."
        return [p for name, p in self._peft.named_parameters() if part in name and "lora_" in name]

    @contextmanager
    def holding(self, adapter: Adapter, values: Sequence[Tensor]) -> Iterator[None]:
        """Give an adapter other values for a while: a frozen copy costs no second model."""
        parameters = self.parameters(adapter)
        own = [parameter.data for parameter in parameters]
        try:
            for parameter, value in zip(parameters, values, strict=True):
                parameter.data = value
            yield
        finally:
            for parameter, value in zip(parameters, own, strict=True):
                parameter.data = value

    def train(self, *adapters: Adapter) -> None:
        """Let these adapters learn and no other parameter of the backbone."""
        self._peft.requires_grad_(False)
        for adapter in adapters:
            for parameter in self.parameters(adapter):
                parameter.requires_grad_(True)


class _Merged(nn.Module):
    """A linear layer with weights of its own for each adapter.

    Args:
        layer: what it stands for.
        learns: whether gradients reach those of the layer's adapters that learn.
    """

    def __init__(self, layer: LoraLinear, learns: bool = False) -> None:
        super().__init__()
        base = cast("nn.Linear", layer.get_base_layer())
        self.bias: Tensor | None = base.bias
        self.active: Adapter = "reasoning"
        self._learning: dict[Adapter, tuple[Tensor, Tensor, float]] = {}
        for name in ADAPTERS:
            with torch.no_grad():
                weight = base.weight.float() + layer.get_delta_weight(name).float()
            self.register_buffer(name, weight.to(base.weight.dtype), persistent=False)
            a, b = (cast("Tensor", part[name].weight) for part in (layer.lora_A, layer.lora_B))
            if learns and a.requires_grad:
                self._learning[name] = a, b, layer.scaling[name]

    def forward(self, states: Tensor) -> Tensor:
        weight = self.get_buffer(self.active)
        if self.active not in self._learning:
            return F.linear(states, weight, self.bias)
        learning = self._learning[self.active]
        output: Tensor = _Learning.apply(states, weight, self.bias, *learning)  # type: ignore[no-untyped-call]
        return output


class _Learning(torch.autograd.Function):
    """x (W + s B A)^T + bias with the sum folded beforehand, whose gradients go to A and B.

    Through the sum they would cost one more product of the layer's size; these are of rank r.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
    ) -> Tensor:
        ctx.save_for_backward(states, weight, a, b)
        ctx.scaling = scaling
        return F.linear(states, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, a, b = ctx.saved_tensors
        x, dy = states.flatten(0, -2), ctx.scaling * gradient.flatten(0, -2)  # (T, in), (T, out)
        da = (dy @ b.to(dy.dtype)).T @ x  # (r, in)
        db = dy.T @ (x @ a.to(x.dtype).T)  # (out, r)
        dx = gradient @ weight if ctx.needs_input_grad[0] else None
        return dx, None, None, da.to(a.dtype), db.to(b.dtype), None


def _attach(model: PreTrainedModel, configs: dict[Adapter, LoraConfig]) -> PeftModel:
    with warnings.catch_warnings():  # PEFT asks transformers in a way that is on its way out
        warnings.simplefilter("ignore", FutureWarning)
        peft = PeftModel(model, configs["reasoning"], "reasoning", autocast_adapter_dtype=False)
        peft.add_adapter("embedding", configs["embedding"], autocast_adapter_dtype=False)
    return peft


def _config(model: PreTrainedModel, folder: Path) -> LoraConfig:
    """Return the configuration of the adapter in a folder, whose tensors fit it and the model.

    Where the adapter sits is read off its tensors' names: a configuration may say it by a pattern,
    and some patterns take for ever to match. Nothing else of the file reaches PEFT but numbers.

    Raises:
        WeightsError: the configuration is no plain LoRA's, or a tensor does not fit.
    """
    path = folder / CONFIG
    values = read_json(path)
    check(path, "", values, _RULES, required=("peft_type", "r", "lora_alpha"))
    for key in values.keys() - _RULES.keys() - _SILENT:
        if values[key] not in (None, False, "none", [], {}):
            raise WeightsError(
                f"{path}: {reprlib.repr(key)}: ponder reads plain LoRA adapters only, got "
                f"{reprlib.repr(values[key])}"
            )
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    given, rank, own = read_shapes(folder / WEIGHTS), values["r"], _linear_layers(model)
    is_own = values.get("target_modules") == own
    if is_own:
        places = [name for name in layers if re.fullmatch(own, name)]
    else:
        places = sorted({_place(name) for name in given})
    wanted: dict[str, tuple[int, ...]] = {}
    for place in places:
        if place not in layers:
            raise WeightsError(
                f"{folder / WEIGHTS}: {reprlib.repr(place)}: the backbone has no such linear layer"
            )
        wanted[f"{_PREFIX}{place}.lora_A.weight"] = rank, layers[place].in_features
        wanted[f"{_PREFIX}{place}.lora_B.weight"] = layers[place].out_features, rank
    check_shapes(folder / WEIGHTS, wanted, given)
    return LoraConfig(
        r=rank,
        lora_alpha=values["lora_alpha"],
        target_modules=own if is_own else places,
        use_rslora=values.get("use_rslora", False),
    )


def _place(name: str) -> str:
    """Return the layer that a tensor of an adapter belongs to."""
    return name.removeprefix(_PREFIX).rpartition(".lora_")[0]


def _linear_layers(model: PreTrainedModel) -> str:
    """Return a pattern of the names of all linear layers of the text tower."""
    name, tower = text_tower(model)
    paths = [path for path, module in tower.named_modules() if isinstance(module, nn.Linear)]
    leaves = sorted({path.rsplit(".", 1)[-1] for path in paths})
    return rf"{re.escape(name)}\..*\.({'|'.join(leaves)})"
