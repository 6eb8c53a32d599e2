import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from deepdream_plugins import Option, SinkSpec, hookimpl


def polaroid(delivery, *, width, border):
    target = Path(delivery.output_folder, "polaroids", f"{Path(delivery.output).stem}.jpg")
    target.parent.mkdir(exist_ok=True)
    with Image.open(delivery.output) as dream:
        small = ImageOps.contain(dream.convert("RGB"), (width, width))
    framed = ImageOps.expand(small, (border, border, border, 3 * border), fill="white")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as folder:  # of this call: two may run at once
        unfinished = Path(folder, "polaroid.jpg")
        framed.save(unfinished, format="JPEG", quality=90)
        unfinished.replace(target)  # nobody ever sees half a picture, and delivered again it is the same


@hookimpl
def deepdream_sinks():
    width = Option(name="width", type=int, default=600, minimum=16, maximum=4000, help="of the picture, in pixels")
    border = Option(name="border", type=int, default=30, minimum=0, maximum=400, help="of the frame, in pixels")
    yield SinkSpec(name="polaroid", help="A small framed copy", deliver=polaroid, options=(width, border))
