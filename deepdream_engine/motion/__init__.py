"""Dreams that move: a film is many dreams, each an ordinary job, made from the frame before.

:class:`~deepdream_engine.motion.timeline.Timeline` says what happens when, ``camera`` moves a frame,
:class:`~deepdream_engine.motion.journey.Journey` puts both together. A :class:`~deepdream_engine.motion.clip.Clip` is
somebody's film: ``flow`` finds what has moved, ``coherence`` lets patterns live on there.

Importing this package imports no torch.
"""
