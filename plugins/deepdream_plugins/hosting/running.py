"""A batch through ``deepdream_run_batch``: whichever plugin has it, every job that was taken comes to an end.

A plugin that fails, or gives back something else than it should, is left out, and the run goes on without it: with the
jobs that it has taken and not finished, then with those that are still to come.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from deepdream_plugins.hosting.guarding import PluginFailure, is_third_party
from deepdream_plugins.hosting.health import Health
from deepdream_plugins.hosting.rounds import HOOK, Feed, Implementation, Outcomes, Round

if TYPE_CHECKING:
    from deepdream_engine.records import DreamJob, Outcome
    from deepdream_plugins.records import Batch

_LOG = logging.getLogger(__name__)

Implementations = Callable[[frozenset[str]], Sequence[Implementation]]
"""Those of the plugins that are fit, without the named ones, in the order in which they are called: the wrappers, the
outermost first, then the others."""


def run_batch(batch: Batch, implementations: Implementations, health: Health) -> Outcomes:
    """Yield each job's index and outcome, as the plugins give them."""
    feed = Feed(batch)
    left_out: frozenset[str] = frozenset()
    while True:
        chain = implementations(left_out)
        round_ = Round(feed, batch)
        try:
            for index, job, outcome in round_.run(chain):
                yield index, _named(job, outcome)
                del job, outcome  # not to be kept while the next ones are dreamt
        except PluginFailure as failure:
            is_ours = failure.plugin not in [each.plugin for each in chain] or not is_third_party(failure.plugin)
            if is_ours or failure is round_.fed:
                raise
            _LOG.warning("%s The run goes on without it.", failure)
            if health.failed(failure.plugin, str(failure), HOOK):
                _LOG.error("the plugin %r is disabled: %s", failure.plugin, health.disabled[failure.plugin])
            left_out |= {failure.plugin}
        else:
            health.succeeded((each.plugin for each in chain), HOOK)
            return


def _named(job: DreamJob, outcome: Outcome) -> Outcome:
    """Return ``outcome``; if it is a gradient that is no number, it says which strangers' code it went through."""
    from deepdream_engine.dreaming import NotFinite
    from deepdream_engine.records import Failure

    if not isinstance(outcome, Failure) or not isinstance(outcome.error, NotFinite):
        return outcome
    functions = [job.program.objective.score, job.ascent, *job.transforms, job.program.network.load]
    guards = [guard for function in functions for guard in getattr(function, "guards", ())]
    strangers = [guard for guard in guards if is_third_party(guard.plugin)]
    if not strangers:
        return outcome
    names = " and ".join(dict.fromkeys(map(str, strangers)))
    message = (
        f"{outcome.error} It went through {names}: look there for a division by zero, a logarithm or a root of zero, "
        f"or values that grow without bound."
    )
    return Failure(error=PluginFailure(message, strangers[0].plugin))
