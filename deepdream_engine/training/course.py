"""The course of a training: which step shows which pictures, how large, by which chance and at which rate.

All of it depends on the recipe and the number of the step alone, so a training that goes on after a stop goes on as if
it had not been stopped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepdream_engine.training.recipe import Stage, TrainingRecipe


class Draw(NamedTuple):
    """One look at a picture: which, how large, and by which chance; none for a plain look at its middle."""

    place: int
    side_px: int
    chance: int | None


class Course:
    """The training's steps: which stage each belongs to, and which pictures it shows."""

    def __init__(self, recipe: TrainingRecipe, pictures: int, side_px: int) -> None:
        self.recipe, self.pictures, self.side_px = recipe, pictures, side_px
        self.batch_size = min(recipe.batch, pictures)
        self.epoch_steps = max(1, pictures // self.batch_size)
        self.steps = sum(stage.epochs for stage in recipe.stages) * self.epoch_steps
        self._last: tuple[int, Tensor] = (-1, torch.empty(0))

    def stage_at(self, step: int) -> tuple[int, Stage]:
        """Return the stage of a step, with its number."""
        left = step
        for number, stage in enumerate(self.recipe.stages):
            left -= stage.epochs * self.epoch_steps
            if left < 0:
                return number, stage
        return number, stage

    def side_at(self, step: int) -> int:
        """Return how large pictures are at a step."""
        return self.stage_at(step)[1].side_px or self.side_px

    @property
    def largest_px(self) -> int:
        """The largest side of all stages that have any steps."""
        return max(stage.side_px or self.side_px for stage in self.recipe.stages if stage.epochs)

    def rate_at(self, step: int) -> float:
        """Return the learning rate: a warm-up, then a cosine, over a stage with a rate and those that go on with it."""
        begin = at = 0
        peak, end = 0.0, 0
        for stage in self.recipe.stages:
            if stage.rate:
                if step < at and at > begin:
                    break
                begin, peak = at, stage.rate
            at += stage.epochs * self.epoch_steps
            end = at
        length = max(1, end - begin)
        warm = max(1, round(self.recipe.warm_up * length))
        done = step - begin
        if done < warm:
            return peak * (done + 1) / warm
        return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warm) / max(1, length - warm))))

    def batch(self, step: int) -> list[Draw]:
        """Return the looks of a step."""
        epoch, place = divmod(step, self.epoch_steps)
        if self._last[0] != epoch:
            shuffle = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + epoch)
            self._last = (epoch, torch.randperm(self.pictures, generator=shuffle))
        chosen = self._last[1][place * self.batch_size : (place + 1) * self.batch_size].tolist()
        side, chances = self.side_at(step), torch.Generator().manual_seed(self.recipe.seed * 7_919 + step)
        seeds = torch.randint(0, 2**31, (len(chosen),), generator=chances).tolist()
        return [Draw(index, side, chance) for index, chance in zip(chosen, seeds, strict=True)]
