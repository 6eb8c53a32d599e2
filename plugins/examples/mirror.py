from deepdream_plugins import AscentSpec, TransformSpec, hookimpl


def mirror(picture, generator):
    import torch

    heads = torch.rand((), generator=generator) < 0.5  # on the CPU, where looking at a value costs nothing
    return picture.flip(3) if heads else picture


def sign(gradient, _state, _step):
    return gradient.sign()


@hookimpl
def deepdream_transforms():
    yield TransformSpec(name="mirror", help="Left and right change places at random", apply=mirror)


@hookimpl
def deepdream_ascents():
    yield AscentSpec(name="sign", help="Every pixel goes up or down by the same amount", direction=sign)
