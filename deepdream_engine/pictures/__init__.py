"""Pictures in and out: bytes of a file become a :class:`Picture`, a dream becomes bytes again.

Nothing here opens a path: callers read and write files, so the daemon alone decides how safely. No torch.
"""

from deepdream_engine.pictures.decode import decode
from deepdream_engine.pictures.encode import OutputOptions, encode, output_format, suffix_of
from deepdream_engine.pictures.picture import Picture
from deepdream_engine.pictures.provenance import read_provenance

__all__ = ["OutputOptions", "Picture", "decode", "encode", "output_format", "read_provenance", "suffix_of"]
