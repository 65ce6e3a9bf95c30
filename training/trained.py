"""What training leaves behind: the averaged weights of `picture.pt`."""

from __future__ import annotations

from pathlib import Path

import torch
from network import PictureNetwork
from texts import TextMap


def read_trained(checkpoint: Path) -> tuple[PictureNetwork, TextMap]:
    """The averaged picture network and text map, ready to be used."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["mean"]
    network, text = PictureNetwork().eval().to(memory_format=torch.channels_last), TextMap.empty()
    for prefix, part in (("picture.", network), ("text.", text)):
        part.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return network, text
