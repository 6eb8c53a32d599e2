from deepdream_plugins import FilterSpec, Option, hookimpl


def duotone(pictures, _context, *, warmth):
    grey = pictures.mean(dim=1, keepdim=True)  # (N, 1, H, W)
    light = pictures.new_tensor([1.0, 1.0 - 0.2 * warmth, 1.0 - 0.6 * warmth])
    return grey * light.view(1, 3, 1, 1)


@hookimpl
def deepdream_postfilters():
    warmth = Option(name="warmth", type=float, default=0.8, minimum=0, maximum=1, help="0 is grey, 1 sepia")
    yield FilterSpec(name="duotone", help="Two tones, like an old print", apply=duotone, options=(warmth,))
