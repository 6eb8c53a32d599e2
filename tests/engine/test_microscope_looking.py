"""The microscope looks: activations, covers, other classes, stickers, rankings; each finds what was put there."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from deepdream_engine import Engine
from deepdream_engine.errors import UnknownTap
from deepdream_engine.microscope import eyes as eyes_module
from deepdream_engine.microscope.coactivation import Baseline, raised, shared
from deepdream_engine.microscope.eyes import Classifier, Eyes, nothing_in_particular, sample
from deepdream_engine.microscope.occlusion import Place, occlusion, strongest
from deepdream_engine.microscope.ranking import Ranking, gaze
from tests.engine.conftest import TINY, tiny_network


def test_eyes_see_what_the_network_computes() -> None:
    engine = Engine(device="cpu")
    pictures = torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    net = tiny_network().eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (TINY.mean, TINY.std))
    with torch.no_grad():
        normalised = (pictures - mean) / std
        expected = net(normalised)
        relu = net.get_submodule("relu1")(net.get_submodule("bn1")(net.get_submodule("conv1")(normalised)))
    eyes = Eyes(engine, TINY, ("first/output", "logits"))
    means = eyes.means(pictures)
    torch.testing.assert_close(means["logits"], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(means["first/output"], relu.mean((2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(Classifier(engine, TINY)(pictures), expected, atol=1e-4, rtol=1e-4)


def test_eyes_keep_no_more_activations_than_those_of_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eyes_module, "_PASS_PX", 24 * 24)  # one picture
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    means = eyes_module.channel_means

    def watched(seen: Tensor) -> Tensor:
        nonlocal most
        alive.append(weakref.ref(seen))
        most = max(most, sum(each() is not None for each in alive))
        return means(seen)

    monkeypatch.setattr(eyes_module, "channel_means", watched)
    pictures = torch.rand(6, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    found = Eyes(Engine(device="cpu"), TINY, ("relu1",)).means(pictures)["relu1"]
    assert len(alive) == len(found) == 6
    assert most <= 2, "one that is being reduced, and at most the one before it"


def test_eyes_refuse_a_layer_that_is_not_there() -> None:
    with pytest.raises(UnknownTap, match="relu9"):
        Eyes(Engine(device="cpu"), TINY, ("relu9",))


def test_a_larger_sample_contains_every_smaller_one() -> None:
    assert sample(5, None) == sample(5, 9) == [0, 1, 2, 3, 4]
    few, more = sample(200, 10), sample(200, 30)
    assert len(few) == 10
    assert set(few) < set(more)
    assert few == sorted(few)


def test_pictures_of_nothing_are_the_same_each_time_and_have_the_frequencies_of_photos() -> None:
    pictures = nothing_in_particular(4, 64)
    assert torch.equal(pictures, nothing_in_particular(4, 64))
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    power = torch.fft.rfft2(pictures - pictures.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    assert power[2, 2] > 20 * power[20, 20]


def corner(pictures: Tensor) -> Tensor:
    """Evidence ``(N, 2)``: how red the top right corner is, and how bright the bottom left one."""
    red = pictures[:, 0, :8, -8:].mean((1, 2)) - pictures[:, 1:, :8, -8:].mean((1, 2, 3))
    return torch.stack([10 * red, 10 * pictures[:, :, -8:, :8].mean((1, 2, 3))], dim=1)


def test_a_cover_over_what_counts_costs_most() -> None:
    picture = nothing_in_particular(1, 48)[0] * 0.2
    picture[:, :8, -8:] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    lost = occlusion(corner, picture)
    place, share = strongest(lost[0])
    assert place.words == "top right corner"
    assert place.is_off_centre
    assert share > 0.8
    assert place.cut(picture)[0].max() == 1


@pytest.mark.parametrize(
    ("top", "left", "words"),
    [(0.0, 0.0, "top left corner"), (0.4, 0.0, "left edge"), (0.4, 0.4, "middle"), (0.8, 0.4, "bottom edge")],
)
def test_places_have_words(top: float, left: float, words: str) -> None:
    assert Place(top, left, 0.2, 0.2).words == words


def test_pictures_raise_the_classes_that_are_in_them_and_the_place_is_found() -> None:
    picture = torch.full((3, 48, 48), 0.1)
    picture[:, :8, -8:] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    picture[:, -8:, :8] = 0.9
    pictures = picture[None].repeat(3, 1, 1, 1)
    found = raised(corner(pictures), Baseline(corner, 48), 2)
    assert {each.number for each in found} == {0, 1}
    assert all(each.rise > 2 for each in found)
    assert found[0].first == 3
    (other,) = shared(corner, pictures, own=0, others=[1])
    assert other.place.words == "bottom left corner"
    assert other.own_share < 0.05


def test_classes_are_ordered_by_how_far_they_rise_and_those_that_fall_are_left_out() -> None:
    def evidence(pictures: Tensor) -> Tensor:
        red, green, blue = pictures.mean((2, 3)).unbind(1)
        # The first is sure of what is red. The third and fourth are likely anywhere, but fall, or hardly rise.
        columns = [99 * red - 40, 3 * red, 30 - 9 * red, 25 - blue, 2 * red - 8, -9 * red, green - 9]
        return torch.stack(columns, dim=1)

    pictures = torch.zeros(2, 3, 32, 32)
    pictures[:, 0], pictures[:, 2] = 1.0, 0.4
    found = raised(evidence(pictures), Baseline(evidence, 32), 6)
    assert found[0].probability > 0.99
    rises = [each.rise for each in found]
    assert rises == sorted(rises, reverse=True)
    assert all(rise > 0 for rise in rises)
    numbers = [each.number for each in found]
    assert set(numbers[:3]) == {0, 1, 4}
    assert not {2, 5, 6} & set(numbers), "what has more evidence in pictures of nothing is not raised"
    assert len(raised(evidence(pictures), Baseline(evidence, 32), 2)) == 2
    assert [each.in_top5 for each in found if each.number == 0] == [2]
    few = raised(evidence(pictures)[:, :5], Baseline(lambda seen: evidence(seen)[:, :5], 32), 6)
    assert {each.in_top5 for each in few} == {None}


def test_a_ranking_keeps_the_ends_of_any_number() -> None:
    ranking = Ranking(3)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(3)).tolist()
    for number in order:
        ranking.add(f"{number}.jpg", number / 10)
    assert ranking.highest == [("999.jpg", 99.9), ("998.jpg", 99.8), ("997.jpg", 99.7)]
    assert ranking.lowest == [("0.jpg", 0.0), ("1.jpg", 0.1), ("2.jpg", 0.2)]
    assert ranking.count == 1000


def test_photos_that_agree_on_a_corner_are_suspicious_and_those_on_the_middle_are_not() -> None:
    def maps(row: int, column: int) -> list[Tensor]:
        random = torch.Generator().manual_seed(2)
        lost = [0.1 * torch.rand(7, 7, generator=random) for _ in range(8)]
        for each in lost:
            each[row, column] += 3
        return lost

    in_corner, in_middle = gaze(maps(0, 0)), gaze(maps(3, 3))
    assert in_corner is not None
    assert in_middle is not None
    assert in_corner.is_suspicious
    assert in_corner.place.words == "top left corner"
    assert not in_middle.is_suspicious
    anywhere = gaze([*maps(0, 0)[:3], *maps(6, 6)[:3], *maps(0, 6)[:3]])
    assert anywhere is not None
    assert not anywhere.is_suspicious
    assert gaze([torch.zeros(7, 7)]) is None
