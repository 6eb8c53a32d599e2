"""A cloudy summer sky, painted from noise: the demo's input, so that nothing has to be downloaded.

The picture is a function of its size and seed. Lengths are in picture heights, so that a larger picture
shows the same sky in more detail. Clouds are one density field, seen in perspective and lit from the upper
left by adding up the density on the way to the sun.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

_HORIZON = 0.93  # picture heights from the top
_SUN = (-0.62, -0.78)  # towards the light, in the picture's plane
_ZENITH = (0.10, 0.28, 0.60)
_MIDDLE = (0.27, 0.53, 0.83)
_HAZE = (0.78, 0.87, 0.94)
_LIT = (1.00, 0.985, 0.955)
_SHADE = (0.47, 0.54, 0.65)
_HILL = (0.22, 0.32, 0.36)


def paint_sky(width: int = 1024, height: int = 576, seed: int = 0) -> NDArray[np.float32]:
    """Return a sky, float32 RGB ``(height, width, 3)`` in [0, 1]."""
    y, x = np.meshgrid(
        (np.arange(height, dtype=np.float32) + 0.5) / height,
        (np.arange(width, dtype=np.float32) + 0.5) / height,
        indexing="ij",
    )
    elevation = np.clip((_HORIZON - y) / _HORIZON, 0, 1)  # 0 at the horizon, 1 at the top
    noise = _Noise(seed)
    sky = _air(elevation, x)
    cirrus = _cirrus(noise, x, y, elevation)
    sky = _over(sky, np.float32(0.97), 0.35 * cirrus)
    density, detail = _clouds(noise, x, elevation)
    light = _light(density, detail, height)
    opacity = _smoothstep(0.0, 0.42, density)
    colour = _mix(_SHADE, _LIT, light)
    distance = np.exp(-elevation * 6.5)  # far clouds fade into the haze
    colour = colour + (np.asarray(_HAZE, dtype=np.float32) - colour) * (0.75 * distance)[..., None]
    sky = _over(sky, colour, opacity * (1 - 0.55 * distance**2))
    sky = _land(noise, sky, x, y, height)
    grain = np.random.default_rng(seed + 1).normal(0, 0.006, (height, width, 1)).astype(np.float32)
    painted: NDArray[np.float32] = np.clip(sky + grain, 0, 1).astype(np.float32)
    return painted


class _Noise:
    """Smooth random fields, sampled anywhere: a seeded table on an endless, repeating lattice."""

    _SIDE = 256

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._values = rng.random((self._SIDE, self._SIDE), dtype=np.float32)
        self._points = rng.random((2, self._SIDE, self._SIDE), dtype=np.float32)

    def smooth(self, x: Field, y: Field) -> Field:
        """Value noise in [0, 1]: lattice values joined by smoothsteps."""
        column, row = np.floor(x), np.floor(y)
        s, t = x - column, y - row
        s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
        c0, r0 = column.astype(np.int32) & 255, row.astype(np.int32) & 255
        c1, r1 = (c0 + 1) & 255, (r0 + 1) & 255
        flat = self._values.ravel()
        top = flat[r0 * 256 + c0] * (1 - s) + flat[r0 * 256 + c1] * s
        bottom = flat[r1 * 256 + c0] * (1 - s) + flat[r1 * 256 + c1] * s
        return top * (1 - t) + bottom * t

    def fractal(self, x: Field, y: Field, octaves: int, gain: float = 0.5) -> Field:
        """Octaves of :meth:`smooth`, each turned so that no lattice direction shows; about [0, 1]."""
        total = np.zeros_like(x)
        weight, norm = 1.0, 0.0
        for octave in range(octaves):
            total += np.float32(weight) * self.smooth(x + 17.3 * octave, y - 9.1 * octave)
            norm += weight
            weight *= gain
            x, y = 1.62 * x + 1.21 * y, 1.62 * y - 1.21 * x  # turned, and 2.02 times finer
        return total / np.float32(norm)

    def puffs(self, x: Field, y: Field, octaves: int) -> Field:
        """Round bumps (one minus the distance to the nearest scattered point), in octaves; about [0, 1]."""
        total = np.zeros_like(x)
        weight, norm = 1.0, 0.0
        for octave in range(octaves):
            total += np.float32(weight) * self._bumps(x + 5.7 * octave, y + 3.1 * octave)
            norm += weight
            weight *= 0.5
            x, y = 1.62 * x + 1.21 * y, 1.62 * y - 1.21 * x
        return total / np.float32(norm)

    def _bumps(self, x: Field, y: Field) -> Field:
        column, row = np.floor(x), np.floor(y)
        s, t = x - column, y - row
        c, r = column.astype(np.int32), row.astype(np.int32)
        px, py = self._points[0].ravel(), self._points[1].ravel()
        nearest = np.full_like(x, 2.0)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                cell = ((r + down) & 255) * 256 + ((c + right) & 255)
                dx, dy = px[cell] + np.float32(right) - s, py[cell] + np.float32(down) - t
                np.minimum(nearest, dx * dx + dy * dy, out=nearest)
        return 1 - np.minimum(np.sqrt(nearest), 1)


def _air(elevation: Field, x: Field) -> Field:
    low = _mix(_HAZE, _MIDDLE, _smoothstep(0.0, 0.42, elevation))
    air = low + (np.asarray(_ZENITH, dtype=np.float32) - low) * _smoothstep(0.25, 1.05, elevation)[..., None]
    glow = np.exp(-1.4 * np.hypot(x, 1 - elevation))  # the sun is behind the upper left corner
    return air + (np.asarray((1, 0.97, 0.9), dtype=np.float32) - air) * (0.35 * glow)[..., None]


def _cirrus(noise: _Noise, x: Field, y: Field, elevation: Field) -> Field:
    u = x * 1.1 + y * 0.5
    v = y * 5.2 - x * 1.2
    bent = v + 2.2 * noise.fractal(u * 1.3, v * 0.4, 3)
    streaks = noise.fractal(u * 2.0 + 40, bent * 1.6, 6, 0.58)
    return _smoothstep(0.48, 0.85, streaks) * _smoothstep(0.15, 0.6, elevation)


def _clouds(noise: _Noise, x: Field, elevation: Field) -> tuple[Field, Field]:
    """Return the density of the cumulus layer, 0 where there is none, and its finest bumps."""
    # Perspective: towards the horizon the same cloud is smaller, and flatter still.
    near = 0.17 + elevation
    u = (x - 0.9) / near
    v = 1.35 * np.log(near) * -2.0
    u, v = u + 11.0, v + 23.0
    warp_u = noise.fractal(u * 1.8 + 3, v * 1.8 + 8, 3) - 0.5
    warp_v = noise.fractal(u * 1.8 - 7, v * 1.8 - 2, 3) - 0.5
    wu, wv = u + 0.30 * warp_u, v + 0.30 * warp_v
    mass = noise.fractal(wu * 1.45, wv * 1.45, 5, 0.5)
    bumps = noise.puffs(wu * 3.1, wv * 3.1, 5)
    fine = noise.fractal(wu * 15, wv * 15, 5, 0.62)
    body = mass + 0.42 * (bumps - 0.46) + 0.13 * (fine - 0.5)
    return np.clip((body - 0.535) * 4.6, 0, None).astype(np.float32), bumps


def _light(density: Field, detail: Field, height: int) -> Field:
    """Brightness in [0, 1]: what is left of the sun after the cloud between it and the point."""
    depth = np.zeros_like(density)
    relief = np.zeros_like(density)
    for step in (1, 2, 3, 5, 8, 12):
        right, down = (round(axis * step * height * 0.010) for axis in _SUN)
        towards = _shifted(density, down, right)
        depth += towards * np.float32(0.4 + 0.12 * step)
        relief += (density - towards) / np.float32(step)  # positive on the slopes that face the sun
    sun = np.exp(-0.26 * depth)
    thick = np.exp(-0.55 * density)  # the sky lights the thin parts from behind
    crevices = _smoothstep(0.2, 0.75, detail)
    lit: Field = 0.40 * sun + 0.34 * thick + 0.20 * crevices + 0.34 * np.tanh(1.3 * relief) + 0.14
    return lit.clip(0, 1)


def _shifted(field: Field, down: int, right: int) -> Field:
    """Return ``field[y + down, x + right]``, the edge repeated."""
    rows = np.clip(np.arange(field.shape[0]) + down, 0, field.shape[0] - 1)
    columns = np.clip(np.arange(field.shape[1]) + right, 0, field.shape[1] - 1)
    return field[rows][:, columns]


def _land(noise: _Noise, sky: Field, x: Field, y: Field, height: int) -> Field:
    for depth, (top, rise, fade) in enumerate(((0.945, 0.05, 0.62), (0.968, 0.04, 0.30))):
        ridge = top + rise * (0.5 - noise.fractal(x * (1.6 + depth) + 60 * depth, np.full_like(x, 5.5 + depth), 6))
        inside = np.clip((y - ridge) * height + 0.5, 0, 1)
        texture = 0.85 + 0.3 * noise.fractal(x * 40, y * 70, 4, 0.6)
        hill = np.asarray(_HILL, dtype=np.float32) * texture[..., None]
        hill = hill + (np.asarray(_HAZE, dtype=np.float32) - hill) * np.float32(fade)
        sky = _over(sky, hill, inside)
    return sky


def _over(below: Field, colour: Field | np.float32, opacity: Field) -> Field:
    return below + (colour - below) * opacity[..., None]


def _mix(first: tuple[float, ...], second: tuple[float, ...], amount: Field) -> Field:
    a, b = np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)
    return a + (b - a) * amount[..., None]


def _smoothstep(low: float, high: float, value: Field) -> Field:
    t: Field = ((value - np.float32(low)) / np.float32(high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)
