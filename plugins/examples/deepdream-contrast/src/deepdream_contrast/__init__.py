from deepdream_plugins import ObjectiveSpec, Option, Tap, hookimpl


def contrast(activations, *, layer, balance):
    seen = activations[layer]  # (N, C, H, W)
    places = seen.var(dim=(2, 3), correction=0).mean(dim=1)  # (N,): strong here, weak there
    features = seen.var(dim=1, correction=0).mean(dim=(1, 2))  # (N,): one above the others
    return places.lerp(features, balance)


@hookimpl
def deepdream_objectives():
    balance = Option(
        name="balance",
        type=float,
        default=0.5,
        minimum=0,
        maximum=1,
        per_picture=True,
        help="0 tells places apart, 1 tells features apart",
    )
    yield ObjectiveSpec(
        name="contrast",
        help="What differs, made more different",
        score=contrast,
        options=(Option(name="layer", type=Tap, help="the tap to read"), balance),
    )
