"""From layers of a recipe, as somebody wrote them, to one with nothing left open."""
