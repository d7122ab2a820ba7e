"""What a microscope's file holds, whatever its format: scenes, each with channels, time points and planes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike

import numpy as np

from common.errors import InputError

__all__ = ["PICKS", "Image", "Pick", "Scene", "Spacing", "Window", "chosen", "only_one", "picked", "read_scene"]

PICKS = ("scene", "channel", "time")
RGB = "rgb"  # instead of a channel: all three of them, as red, green and blue
PRIMARIES = ("FF0000", "00FF00", "0000FF")
Spacing = tuple[float | None, float | None, float | None]
Window = Callable[[int, int, tuple[slice, ...]], np.ndarray]


@dataclass(frozen=True)
class Scene:
    """A position of the stage, a field of view or a slide: what has one grid of pixels.

    Attributes
    ----------
    name : str
        As the file calls it; may be empty.
    sizes : mapping of str to int
        Lengths of T, C, Z, Y and X, and of S (3 for colours); an axis that is not named has length 1.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X); None for each that the file does not give.
    channels : tuple of str
        Names of the channels, as many as there are; empty names if the file has none.
    dtype : numpy.dtype
        Of its pixels.
    load : callable
        Takes a time point and a channel, both from 0; returns their pixels (Z, Y, X), or (Z, Y, X, S) in colours. Only
        these are read.
    window : callable or None
        Takes a time point, a channel, and slices along Z, Y and X, with start and stop; returns their pixels, as
        ``load`` does. Little more than these is read. None where a format is read by whole planes only.
    hues : tuple of str
        What viewers show each channel in, such as ``FF0000``; empty if the file does not tell them.
    """

    name: str
    sizes: Mapping[str, int]
    spacing: Spacing
    channels: tuple[str, ...]
    dtype: np.dtype
    load: Callable[[int, int], np.ndarray]
    window: Window | None = None
    hues: tuple[str, ...] = ()

    @classmethod
    def in_parts(
        cls,
        name: str,
        sizes: Mapping[str, int],
        spacing: Spacing,
        channels: tuple[str, ...],
        dtype: np.dtype,
        window: Window,
        hues: tuple[str, ...] = (),
    ) -> Scene:
        """A scene of which parts can be read, and so all of it."""
        whole = tuple(slice(0, sizes.get(axis, 1)) for axis in "ZYX")
        load = lambda time, channel: window(time, channel, whole)  # noqa: E731  as short as it is
        return cls(name, sizes, spacing, channels, dtype, load, window, hues)

    def size(self, axis: str) -> int:
        """Length along an axis."""
        return self.sizes.get(axis, 1)

    @property
    def rgb(self) -> tuple[int, ...]:
        """Which of its channels are red, green and blue, by what the file says; empty where it does not.

        Their names count. Where there are none, the hues of 8 bit channels do: viewers then show the picture in these
        colours. Fluorescence of more bits, or of a dye that has a name, is coloured so only to be told apart.
        """
        names = "".join(name[:1].upper() for name in self.channels)
        if {name.casefold() for name in self.channels} in ({"red", "green", "blue"}, {"r", "g", "b"}):
            return tuple(map(names.index, "RGB"))
        is_unnamed = all(re.fullmatch(r"(c|ch|channel)?[ :_-]*[\d:_-]*", name, re.I) for name in self.channels)
        if self.size("C") == 3 and is_unnamed and self.dtype == np.uint8 and {*self.hues} == {*PRIMARIES}:
            return tuple(map(self.hues.index, PRIMARIES))
        return ()

    def in_colours(self) -> Scene:
        """The same with its three channels as samples; in the order of the file where it does not say what they are."""
        order, window = self.rgb or (0, 1, 2), self.window
        return replace(
            self,
            sizes={**self.sizes, "C": 1, "S": 3},
            channels=("",),
            load=lambda time, _: np.stack([self.load(time, channel) for channel in order], axis=-1),
            window=window
            and (lambda time, _, where: np.stack([window(time, channel, where) for channel in order], axis=-1)),
        )


@dataclass(frozen=True)
class Pick:
    """Which image of a file is meant: names or numbers from 0, of the time a number; empty fields are left open."""

    scene: str = ""
    channel: str = ""
    time: str = ""

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Pick:
        """The pick in some options, among others."""
        return cls(**{name: options[name] for name in PICKS if name in options})

    def told(self) -> dict[str, str]:
        """What is picked, by name."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Image:
    """One image: of one scene, one time point and one channel, or in colours.

    Attributes
    ----------
    pixels : ndarray
        In the file's own type.
    axes : str
        Of the pixels: ``ZYX`` or ``YX``, with ``S`` behind it where they are red, green and blue.
    spacing : tuple of float or None
        Size of a voxel in µm as (Z, Y, X); None for each that the file does not give.
    channels : tuple of str
        Name of the channel.
    name : str
        Of the scene.
    """

    pixels: np.ndarray
    axes: str
    spacing: Spacing
    channels: tuple[str, ...]
    name: str


def picked(path: str | PathLike[str], scenes: Sequence[Scene], pick: Pick, *, in_colours: bool = False) -> list[Pick]:
    """Every image of a file that a user's pick leaves open: all scenes and time points, one channel.

    They have numbers instead of names; a scene or time that the file has only one of stays empty. Where it is wanted
    ``in_colours``, channels that are red, green and blue are one. InputError if there is no such scene, channel or time
    point, or several channels and none is named.
    """
    names = [scene.name for scene in scenes]
    numbers = range(len(scenes)) if not pick.scene else [_find(path, "scene", pick.scene, names)]
    found = []
    for number in numbers:
        scene = scenes[number]
        channel = _channel(path, scene, pick.channel, in_colours=in_colours)
        times = range(scene.size("T")) if not pick.time else [_find(path, "time", pick.time, [""] * scene.size("T"))]
        is_series = scene.size("T") > 1
        found += [
            Pick(_as_text(number, names) if len(scenes) > 1 else "", channel, str(time) if is_series else "")
            for time in times
        ]
    return found


def only_one(path: str | PathLike[str], scenes: Sequence[Scene], pick: Pick, *, in_colours: bool = False) -> Pick:
    """The pick of the only image that a pick allows, with numbers instead of names.

    InputError if it means none, or several; as `picked`.
    """
    found = picked(path, scenes, pick, in_colours=in_colours)
    if not found:
        raise InputError(f"{path}: no image in it; copy or export it again")
    if len({one.scene for one in found}) > 1:
        names = _listed([scene.name for scene in scenes])
        raise InputError(f"{path}: {len(scenes)} scenes, expected one: {names}; give its --scene")
    if len(found) > 1:
        raise InputError(f"{path}: {len(found)} time points, expected one; give its --time, 0 to {len(found) - 1}")
    return found[0]


def chosen(
    path: str | PathLike[str], scenes: Sequence[Scene], pick: Pick, *, in_colours: bool = False
) -> tuple[Scene, int, int]:
    """The scene, the time point and the channel that a pick means; InputError as `only_one`."""
    meant = only_one(path, scenes, pick, in_colours=in_colours)
    scene, time = scenes[int(meant.scene or 0)], int(meant.time or 0)
    return (scene.in_colours(), time, 0) if meant.channel == RGB else (scene, time, int(meant.channel))


def read_scene(path: str | PathLike[str], scenes: Sequence[Scene], pick: Pick, *, in_colours: bool = False) -> Image:
    """The one image that a pick means; InputError as `only_one`."""
    scene, time, channel = chosen(path, scenes, pick, in_colours=in_colours)
    pixels = scene.load(time, channel)
    axes = "ZYX" if scene.size("Z") > 1 else "YX"
    axes += "S" if scene.size("S") > 1 else ""
    name = scene.channels[channel] if channel < len(scene.channels) else ""
    return Image(pixels if axes.startswith("Z") else pixels[0], axes, scene.spacing, (name,), scene.name)


def _channel(path: str | PathLike[str], scene: Scene, wanted: str, *, in_colours: bool) -> str:
    """Number of a channel; ``rgb`` for all three of them together."""
    names = _channel_names(scene)
    if len(names) == 3 and (wanted.casefold() == RGB if wanted else in_colours and scene.rgb):
        return RGB
    if not wanted and in_colours and len(names) > 1:
        advice = f"give --channel {RGB} if they are that, else " if len(names) == 3 else ""
        raise InputError(
            f"{path}: {len(names)} channels, expected red, green and blue: {_listed(names)}; {advice}export the image "
            "in colours"
        )
    if not wanted and len(names) > 1:
        slices = (
            ", or if these are slices, save it with Z as their axis" if scene.size("Z") == 1 and not any(names) else ""
        )
        raise InputError(f"{path}: {len(names)} channels, expected one: {_listed(names)}; give its --channel{slices}")
    return _as_text(_find(path, "channel", wanted, names) if wanted else 0, names)


def _channel_names(scene: Scene) -> list[str]:
    """As many as there are channels."""
    return [*scene.channels, *[""] * scene.size("C")][: scene.size("C")]


def _match(wanted: str, names: Sequence[str]) -> int | None:
    """Number of what is called so, or has this number, before which there may be a plus."""
    folded = [name.casefold() for name in names]
    for known, name in ((list(names), wanted), (folded, wanted.casefold())):
        if known.count(name) == 1:
            return known.index(name)
    number = wanted.removeprefix("+")
    return int(number) if number.isdecimal() and int(number) < len(names) else None


def _as_text(number: int, names: Sequence[str]) -> str:
    """The number, as `_match` takes it even if another one is called so."""
    return str(number) if _match(str(number), names) == number else f"+{number}"


def _find(path: str | PathLike[str], what: str, wanted: str, names: Sequence[str]) -> int:
    """As `_match`; InputError if there is none."""
    number = _match(wanted, names)
    if number is not None:
        return number
    there = f"there are {_listed(names)}" if len(names) > 1 else f"there is one: {_listed(names)}"
    raise InputError(f"{path}: no {what} {wanted!r}; {there}")


def _listed(names: Sequence[str]) -> str:
    """Numbers and names; only the numbers where there are no names."""
    if not any(names) and len(names) > 3:
        return f"0 to {len(names) - 1}"
    shown = [f"{number} {name}".strip() for number, name in enumerate(names)]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
