from deepdream_plugins import FilterSpec, hookimpl


def square(pictures, _context):
    height, width = pictures.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pictures[:, :, top : top + side, left : left + side]


@hookimpl
def deepdream_prefilters():
    yield FilterSpec(name="square", help="The largest square in the middle", apply=square, moves=True)
