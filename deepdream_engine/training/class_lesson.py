"""What pictures with labels teach: to tell their classes apart, with smoothed labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from deepdream_engine.training.lesson import Lesson


class ClassLesson(Lesson):
    """Teaches which class each picture is of."""

    def loss(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """Return the cross entropy of pictures ``(N, 3, H, W)``."""
        return functional.cross_entropy(self(pictures), labels, label_smoothing=self.recipe.label_smoothing)

    def watched(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cross entropy, and the part that is recognised."""
        scores = self.scores(self.taught, pictures)
        return functional.cross_entropy(scores, labels), (scores.argmax(1) == labels).float().mean()
