"""Rotation of the hue of 8-bit images in Pillow's HSV."""

from __future__ import annotations

import torch
from torch import Tensor

from vireid.data.augment.pixels import send


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Add to the hue of each image, modulo 256, in the 8-bit HSV of Pillow.

    Shape:
        images (B, 3, H, W) uint8 on any device, shift (B,) int64 gray levels of hue on the CPU -> (B, 3, H, W) uint8

    Sums are float64 and quotients float32, as in Pillow.
    """
    hue, saturation, value = _to_hsv(images)
    hue = (hue + send(shift.view(-1, 1, 1), images.device)) % 256
    return _to_rgb(hue, saturation, value)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 3, H, W) uint8 -> hue, saturation, value: (B, H, W) int64 in 0 .. 255."""
    red, green, blue = images.float().unbind(dim=1)
    highest, lowest = images.amax(dim=1), images.amin(dim=1)
    spread = highest.float() - lowest.float()
    divisor = spread.masked_fill(spread == 0, 1)
    to_red, to_green, to_blue = ((highest.float() - channel) / divisor for channel in (red, green, blue))
    to_red, to_green, to_blue = to_red.double(), to_green.double(), to_blue.double()
    sector = torch.where(red == highest, to_blue - to_green, 2 + to_red - to_blue)
    sector = torch.where((red != highest) & (green != highest), 4 + to_green - to_red, sector).float()
    turn = torch.remainder(sector.double() / 6 + 1, 1).float()
    hue = (turn.double() * 255).long().clamp(0, 255)
    gray = spread == 0
    saturation = ((spread / highest.float().masked_fill(gray, 1)).double() * 255).long().clamp(0, 255)
    return hue.masked_fill(gray, 0), saturation.masked_fill(gray, 0), highest.long()


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sector = (hue.double() * 6 / 255).float()
    index = sector.floor()
    part, pure = (sector - index).double(), (saturation.double() / 255).float().double()
    bright = value.double()
    low, falling, rising = bright * (1 - pure), bright * (1 - pure * part), bright * (1 - pure * (1 - part))
    low, falling, rising = ((each + 0.5).floor() for each in (low, falling, rising))
    table = torch.stack([low, falling, rising, bright], dim=1)
    order = torch.tensor(_SECTORS, device=hue.device)[index.long() % 6].permute(0, 3, 1, 2)  # (B, 3, H, W)
    colors = table.gather(1, order)
    return torch.where(saturation.unsqueeze(1) == 0, bright.unsqueeze(1), colors).clamp(0, 255).to(torch.uint8)


_LOW, _FALLING, _RISING, _BRIGHT = range(4)
_SECTORS = (  # red, green, blue in each sixth of the circle
    (_BRIGHT, _RISING, _LOW),
    (_FALLING, _BRIGHT, _LOW),
    (_LOW, _BRIGHT, _RISING),
    (_LOW, _FALLING, _BRIGHT),
    (_RISING, _LOW, _BRIGHT),
    (_BRIGHT, _LOW, _FALLING),
)
