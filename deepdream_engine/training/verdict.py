"""What a taught network can do and what not, in sentences: as far as its pictures can tell."""

from __future__ import annotations

from collections.abc import Sequence

from deepdream_engine.training.card import Card
from deepdream_engine.training.evaluation import wilson

_FEW, _LIKELY = 10, 20
_SOME = 100
_SHOWN = 5


def verdict(card: Card) -> list[str]:
    """Return the sentences, the most important first."""
    if not card.classes:
        return _without_classes(card)
    low, high = wilson(card.right, card.held_out)
    told = [
        f"{card.right} of {card.held_out} held-out pictures are recognised at the first guess ({card.accuracy:.0%}; "
        f"with so many pictures to measure, the truth lies between {low:.0%} and {high:.0%})."
    ]
    # What somebody gets right who always names the class with the most pictures.
    guess = max(card.held_out_by_class) / card.held_out if card.held_out else 1.0
    if low <= guess:
        told.append(
            f"It has not been shown to tell them apart: who always names the most frequent class is right in "
            f"{guess:.0%}. Give more pictures of each class, or classes that look less alike."
        )
    told += _untaught(card)
    few = [(name, counts[0]) for name, counts in zip(_short(card), card.counts, strict=True) if counts[0] < _LIKELY]
    if few:
        scarce = [name for name, count in few if count < _FEW]
        what = "nothing but these very pictures" if len(scarce) == len(few) else "their colours and backgrounds only"
        told.append(
            f"Learnt from fewer than {_LIKELY} pictures: {_named([f'{name} ({count})' for name, count in few])}. "
            f"From so few a network may learn {what}: photograph other examples, elsewhere, in other light."
        )
    return told


def _without_classes(card: Card) -> list[str]:
    of, (low, _) = card.held_out, wilson(card.right, card.held_out)
    told = [
        f"{card.right} of {of} held-out pictures are known again in another view ({card.accuracy:.0%}; before it was "
        f"taught {card.right_before}, by chance 1)."
    ]
    if low <= card.right_before / max(1, of):
        told.append(
            "It has not been shown to know such pictures better than before, so its dreams may look as they did. Give "
            "more pictures, or train longer (--longer 3 --restart)."
        )
    if card.counts[0][0] < _SOME:
        told.append(
            f"Learnt from {card.counts[0][0]} pictures: without labels it takes some hundred, or it learns little but "
            f"their colours."
        )
    told.append(
        "It knows no classes: class_logit, 'deepdream evaluate' and 'inspect --class' need a model that was taught "
        "with sub-folders, which may begin with this one (--model)."
    )
    return told


def _untaught(card: Card) -> list[str]:
    chance = 1 / len(card.classes)
    blind = [
        name
        for name, right, of in zip(_short(card), card.right_by_class, card.held_out_by_class, strict=True)
        if of and right / of <= chance
    ]
    unknown = [name for name, of in zip(_short(card), card.held_out_by_class, strict=True) if not of]
    told = [f"Nothing is known of: {_named(unknown)}. No picture of these could be measured."] if unknown else []
    if not blind or len(blind) == len(card.classes):
        return told
    return [
        *told,
        f"No better than guessing at: {_named(blind)}. These need more pictures, or are taken for another class.",
    ]


def _short(card: Card) -> list[str]:
    """Return the names of classes without their synonyms."""
    return [name.partition(",")[0] for name in card.classes]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
