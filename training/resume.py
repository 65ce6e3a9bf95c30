"""Takes up an exported model again, so that training can go on where only the folder is left.

Export folds batch norm into the convolutions and the residual text map into two dense layers (see export.py); both
are undone here without changing what the network computes. What is lost is the optimiser and the training's own heads.
"""

from __future__ import annotations

from pathlib import Path

import torch
from export import pairs, reads_colours
from network import PictureNetwork
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from texts import TextMap
from torch import Tensor, nn
from tower import save_student


def read_network(folder: Path, calibration: Tensor) -> PictureNetwork:
    """The picture network of an exported model. `calibration`: float32 [n, 3, s, s], normalised training pictures.

    A convolution that is all zeros (a shortcut that was never learnt) begins anew with random weights and a batch norm
    that lets nothing through yet: the network computes what it did, and can learn the shortcut.
    """
    stored = {k: v.float() for k, v in load_file(folder / "image_0_Transformer" / "model.safetensors").items()}
    network = PictureNetwork()
    for name, pair in pairs(network):
        kernel, is_new = stored[f"{name}.convolution.weight"], not stored[f"{name}.convolution.weight"].any()
        if not is_new:
            pair[0].weight.data.copy_(2 * kernel[:, :3] if reads_colours(name) else kernel)  # type: ignore[index]
        pair[1].bias.data.copy_(stored[f"{name}.normalization.bias"])  # type: ignore[index]
        pair[0].register_forward_hook(_normalise_into(pair[1], 0.0 if is_new else 1.0))  # type: ignore[index]
    with torch.inference_mode():
        network.eval()(calibration)
    for _, pair in pairs(network):
        pair[0]._forward_hooks.clear()  # type: ignore[index]
    projection = load_file(folder / "image_2_Dense" / "model.safetensors")
    network.h.load_state_dict({k.removeprefix("linear."): v.float() for k, v in projection.items()})
    return network


def _normalise_into(norm: nn.Module, share: float) -> object:
    """A hook on a folded convolution that hands its scale to the batch norm behind it.

    Afterwards the convolution's output has unit variance over the calibration pictures, which is where SGD's step
    length fits, and the two together compute `share` of what they did.
    """

    def hook(convolution: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        deviation = output.std((0, 2, 3)).clamp(min=1e-3)
        convolution.weight.data.div_(deviation[:, None, None, None])  # type: ignore[operator, union-attr]
        output = output / deviation[:, None, None]
        mean, variance = output.mean((0, 2, 3)), output.var((0, 2, 3))
        norm.running_mean.data.copy_(mean)  # type: ignore[operator, union-attr]
        norm.running_var.data.copy_(variance)  # type: ignore[operator, union-attr]
        norm.weight.data.copy_(share * deviation * (variance + norm.eps).sqrt())  # type: ignore[operator, union-attr]
        norm.bias.data.add_(share * deviation * mean)  # type: ignore[operator, union-attr]
        return output

    return hook


def read_text_map(folder: Path) -> TextMap:
    """The text map of an exported model (its centre is one of many that give the same function)."""
    bend = {k: v.float() for k, v in load_file(folder / "text_3_Dense" / "model.safetensors").items()}
    join = load_file(folder / "text_4_Dense" / "model.safetensors")["linear.weight"].float()
    dimension = len(join)
    hidden = len(bend["linear.weight"]) - 2 * dimension
    inner, linear = bend["linear.weight"][:hidden], bend["linear.weight"][hidden : hidden + dimension]
    centre = torch.linalg.lstsq(linear, -bend["linear.bias"][hidden : hidden + dimension]).solution
    text_map = TextMap(linear, centre, hidden)
    text_map.bend[0].weight.data.copy_(inner / 8)  # type: ignore[operator, union-attr]
    text_map.bend[0].bias.data.copy_(bend["linear.bias"][:hidden] + inner @ centre)  # type: ignore[operator, union-attr]
    text_map.bend[3].weight.data.copy_(join[:, :hidden])  # type: ignore[operator, union-attr]
    return text_map


def read_tower(folder: Path, work: Path) -> SentenceTransformer:
    """The text tower alone (texts → float32 [n, 384], unit length); its weights are laid into `work` for export.py."""
    whole = SentenceTransformer(str(folder), device="cpu")
    parts = list(whole[0].sub_modules["text"])[:3]  # type: ignore[union-attr, arg-type]
    tokenizer = whole.tokenizer
    pieces: dict[str, int] = tokenizer.get_vocab()
    parts[0].auto_model.pooler = None  # never used: export.py adds one for transformers
    save_student(parts[0].auto_model, sorted(pieces, key=lambda piece: pieces[piece]), work)
    return SentenceTransformer(modules=parts, device="cpu")
