"""From a dream back to what made it: its recipe and seed inside the file, its source on the disk."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdream_daemon.configuration.settings import Settings
from deepdream_engine.errors import BadOption, BadPicture
from deepdream_engine.pictures import decode, read_provenance

if TYPE_CHECKING:
    from deepdream_daemon.journal.journal import Journal


@dataclass(frozen=True, kw_only=True)
class Original:
    """A dream as it was found, and what it says about its making."""

    path: Path
    data: bytes
    recipe: Mapping[str, Any]
    seed: int
    source_name: str
    source_sha256: str
    key: str
    weights_sha256: str
    version: str
    engine: Mapping[str, Any]
    companions: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The largest difference of any two values, in levels of 255; ``None`` when the sizes differ."""

    levels: int | None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.levels == 0:
            return "equal to the pixel"
        differs = "of another size" if self.levels is None else f"up to {self.levels} of 255 levels apart"
        why = self.notes or ("same version, weights and settings, so made on another machine",)
        return f"{differs}: {'; '.join(why)}"


def read_original(path: Path) -> Original:
    """Read the dream at ``path``; raises :class:`BadPicture` when it does not say how it was made."""
    data = path.read_bytes()
    return original_of(path, data, read_provenance(data))


def original_of(path: Path, data: bytes, found: Mapping[str, object] | None) -> Original:
    """Return what ``found`` says of the dream at ``path``; raises likewise."""
    if found is not None and found.get("preview"):
        raise BadPicture(f"{str(path)!r} is a preview, of a dream after its first octave. Name the dream itself.")
    if found is None:
        raise BadPicture(
            f"{str(path)!r} does not say how it was made: it is no dream of ours, or a program that saved it "
            "again has dropped its metadata."
        )
    source = _table(found, "source")
    recipe, seed = _table(found, "recipe"), found.get("seed")
    name, sha256 = source.get("name"), source.get("sha256")
    if not recipe or not isinstance(seed, int) or not isinstance(name, str) or not isinstance(sha256, str):
        raise BadPicture(f"{str(path)!r}: what it says about its making is incomplete.")
    return Original(
        path=path,
        data=data,
        recipe=recipe,
        seed=seed,
        source_name=Path(name).name,
        source_sha256=sha256,
        key=str(found.get("job", "")),
        weights_sha256=str(_weights(found)),
        version=str(found.get("deepdream", "")),
        engine=_table(found, "engine"),
        companions=_table(found, "companions"),
    )


def find_source(original: Original, named: Path | None, journal: Journal, settings: Settings) -> Path:
    """Return the picture that ``original`` was made from, checked by its SHA-256."""
    if named is not None:
        if (found := _sha256(named)) != original.source_sha256:
            raise BadOption(
                f"--input {str(named)!r} is not the source of {original.path.name!r}: its SHA-256 "
                f"is {found[:16]}…, that of {original.source_name!r} was {original.source_sha256[:16]}…."
            )
        return named
    seen: list[str] = []
    for candidate in dict.fromkeys(_candidates(original, journal, settings)):
        try:
            if _sha256(candidate) == original.source_sha256:
                return candidate
        except OSError as error:
            seen.append(f"{str(candidate)!r} ({(error.strerror or 'unreadable').lower()})")
        else:
            seen.append(f"{str(candidate)!r} (another content)")
    raise BadOption(
        f"the source of {original.path.name!r}, {original.source_name!r} with the SHA-256 "
        f"{original.source_sha256[:16]}…, was not found. Looked at {', '.join(seen)}. Name it: --input PHOTO."
    )


def find_companions(original: Original, source: Path) -> dict[str, Path]:
    """Return where the guide and masks are that lay beside the source, and were used, when ``original`` was made.

    Others that lie there now are not used. Raises :class:`BadOption` when one is missing or another picture now.
    """
    places: dict[str, Path] = {}
    for kind in original.companions:
        told = _table(original.companions, kind)
        path = source.with_name(Path(str(told.get("name", ""))).name)
        try:
            fault = "" if _sha256(path) == told.get("sha256") else "another content"
        except OSError as error:
            fault = (error.strerror or "unreadable").lower()
        if fault:
            raise BadOption(
                f"the {kind} of {original.path.name!r}, {path.name!r} with the SHA-256 "
                f"{str(told.get('sha256', ''))[:16]}…, was not found beside its source: {str(path)!r} ({fault}). "
                "Put it back there."
            )
        places[kind] = path
    return places


def recipe_of(original: Original, named: Path | None, settings: Settings) -> Mapping[str, Any]:
    """Return the recipe inside ``original`` with a place for its weights, of which a dream tells only the name, and
    in the precision that it was made with, which need not be the one that was asked for.
    """
    recipe: dict[str, Any] = {**original.recipe}
    if isinstance(precision := original.engine.get("precision"), str):
        recipe["precision"] = precision
    recipe_model = _table(original.recipe, "model")
    name = recipe_model.get("weights")
    if name is None:
        return recipe
    directory = Path() if settings.path is None else settings.path.parent
    models = [table.get("model") for table in settings.recipes.values()]
    configured = [
        directory / str(model["weights"]) for model in models if isinstance(model, dict) and "weights" in model
    ]
    candidates = [directory / str(name), *(path for path in configured if path.name == name)]
    if named is not None:
        candidates = [named]
    for path in candidates:
        if path.is_file():
            return {**recipe, "model": {**recipe_model, "weights": str(path.absolute())}}
    raise BadOption(
        f"the weights of {original.path.name!r}, {str(name)!r}, were not found: looked at "
        f"{', '.join(repr(str(path)) for path in candidates)}. Name the file: --weights FILE."
    )


def settings_of(original: Original, settings: Settings) -> Settings:
    """Return ``settings`` with all of the engine's that the pixels depend on as ``original`` was made."""
    from deepdream_engine.device import device_names

    changes: dict[str, Any] = {}
    for key in ("tile_px", "num_threads"):
        if isinstance(value := original.engine.get(key), int) and value > 0:
            changes[key] = value
    with contextlib.suppress(BadOption):  # another machine: the comparison says so
        changes["device"] = device_names(str(original.engine.get("device", "")))[0]
    return replace(settings, engine=replace(settings.engine, **changes))


def compare(original: Original, dream: bytes, settings: Settings) -> Comparison:
    """Compare the pixels of the two dreams, and say what else is not the same."""
    import numpy as np

    limit = settings.pictures.max_megapixels
    before = decode(original.data, max_megapixels=limit)
    after = decode(dream, max_megapixels=limit)
    notes = differences(original, read_provenance(dream) or {})
    if before.pixels.shape != after.pixels.shape:
        return Comparison(levels=None, notes=notes)
    levels = np.rint(before.pixels * 255) - np.rint(after.pixels * 255)  # (H, W, 3)
    return Comparison(levels=int(np.abs(levels).max(initial=0)), notes=notes)


def differences(original: Original, made: Mapping[str, object]) -> tuple[str, ...]:
    """Say what a dream was ``made`` with that ``original`` was not."""
    notes = []
    if (weights := _weights(made)) != original.weights_sha256:
        notes.append(f"other weights: {str(weights)[:16]}…, not {original.weights_sha256[:16]}…")
    if made.get("deepdream") != original.version:
        notes.append(f"made by version {original.version}, now {made.get('deepdream')}")
    engine = _table(made, "engine")
    notes += [
        f"made with {key} {original.engine.get(key)}, now {engine.get(key)}"
        for key in ("device", "torch", "tile_px", "precision", "num_threads")
        if engine.get(key) != original.engine.get(key)
    ]
    return tuple(notes)


def _weights(found: Mapping[str, object]) -> Any:
    """Return the digest of the weights: a film tells of it where it tells what its frames were dreamt with."""
    return _table(found, "model").get("weights_sha256", _table(found, "engine").get("weights_sha256", ""))


def _candidates(original: Original, journal: Journal, settings: Settings) -> Iterator[Path]:
    """Yield where the source may be: where the journal saw it, beside the dream, in the input."""
    for job in (journal.of_output(original.path), journal.find_by_key(original.key)):
        if job is not None:
            yield job.source
    yield original.path.with_name(original.source_name)
    for folder in settings.folders:
        if original.path.is_relative_to(folder.output):
            mirrored = original.path.relative_to(folder.output).parent
            yield folder.input / mirrored / original.source_name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(found: Mapping[str, object], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
