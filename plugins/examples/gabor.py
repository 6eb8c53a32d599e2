from deepdream_plugins import ModelSpec, TapNote, hookimpl
from deepdream_plugins.weights import fit, read_state_dict


def load(weights):
    import torch
    from torch import nn

    y, x = torch.meshgrid(torch.arange(-5.0, 6), torch.arange(-5.0, 6), indexing="ij")  # (11, 11)
    angle = torch.arange(16).view(16, 1, 1) * (torch.pi / 16)
    wave = torch.cos((x * angle.cos() + y * angle.sin()) * (2 * torch.pi / 5))  # (16, 11, 11)
    gabor = wave * torch.exp(-(x * x + y * y) / 12)
    gabor = gabor - gabor.mean(dim=(1, 2), keepdim=True)  # blind to flat areas

    bank = nn.Conv2d(3, 16, 11, padding=5, bias=False)
    bank.weight = nn.Parameter(gabor[:, None].repeat(1, 3, 1, 1) / 11)
    net = nn.Sequential()
    net.add_module("strokes", bank)
    net.add_module("rectified", nn.ReLU())
    if weights is not None:
        fit(net, read_state_dict(weights), model="gabor", source=str(weights))
    return net


@hookimpl
def deepdream_models():
    yield ModelSpec(
        name="gabor",
        help="Not trained at all: one bank of stroke detectors",
        load=load,
        default_tap="strokes",
        weights="computed",
        min_side_px=16,
        taps=(
            TapNote(name="strokes", shows="pen strokes along every edge, dark and light"),
            TapNote(name="rectified", shows="light strokes only"),
        ),
    )
