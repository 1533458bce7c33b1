"""State dicts of torchvision's GoogLeNet with 1000 classes, as torchvision publishes them, and PyTorch's own answers on photos.

torchvision_states.py PHOTOS.npy OUT [N]: PHOTOS.npy is uint8 [n, 224, 224, 3] RGB. Writes
    OUT/googlenet_zip.pth      the state dict, auxiliary heads included, in torch.save's zip format
    OUT/googlenet_legacy.pth   the same in its legacy pickle format, as the published googlenet-1378be20.pth is
    OUT/torch_logits.npy       float32 [N, 1000], the logits of the first N photos (50) in evaluation mode
and prints the two files' versions and sizes as JSON.

The weights are random, from a fixed seed, but behave: each batch norm's running statistics are those of the photos, its scale and offset
differ a channel, and the classifier sees features with their mean taken away, so that photos get different answers, far apart.

The photos go in as for the published weights: normalized by ImageNet's mean and standard deviation, which transform_input turns into
pixel/127.5 - 1 inside of the network.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torchvision

PHOTOS, BATCH = 50, 25
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOGIT_STD = 3.0  # that of ImageNet networks' logits, about


def prepare(pixels):
    """Pixels as torchvision's transforms prepare them: float32 [n, 3, height, width]."""
    values = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    return torchvision.transforms.functional.normalize(values, MEAN, STD)


def network():
    """GoogLeNet with all that its published state dict has."""
    torch.manual_seed(1)
    made = torchvision.models.googlenet(num_classes=1000, aux_logits=True, transform_input=True, init_weights=False)
    for layer in made.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.2)
    return made


@torch.no_grad()
def settle(made, batches):
    """Gives each batch norm the photos' statistics, and the classifier a spread of logits."""
    norms = [layer for layer in made.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = None  # the mean over all batches
    made.train()
    for batch in batches:
        made(batch)
    made.eval()

    features = []
    hook = made.dropout.register_forward_hook(lambda _, given, __: features.append(given[0]))
    for batch in batches:
        made(batch)
    hook.remove()
    features = torch.cat(features)
    mean = features.mean(dim=0)
    torch.nn.init.normal_(made.fc.weight)
    made.fc.weight *= LOGIT_STD / ((features - mean) @ made.fc.weight.T).std()
    made.fc.bias.copy_(-(made.fc.weight @ mean))
    made.fc.bias += torch.randn(1000) * 0.5


def main():
    out, n = pathlib.Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else PHOTOS
    pixels = np.load(sys.argv[1], mmap_mode="r")[:n]
    batches = [prepare(pixels[i : i + BATCH]) for i in range(0, n, BATCH)]
    made = network()
    settle(made, batches)
    with torch.no_grad():
        logits = torch.cat([made(batch) for batch in batches])

    out.mkdir(exist_ok=True)
    np.save(out / "torch_logits.npy", logits.numpy())
    sizes = {}
    for name, zipped in (("googlenet_zip.pth", True), ("googlenet_legacy.pth", False)):
        torch.save(made.state_dict(), out / name, _use_new_zipfile_serialization=zipped)
        sizes[name] = (out / name).stat().st_size
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    classes = len(set(logits.argmax(dim=1).tolist()))
    print(json.dumps(versions | {"photos": n, "best_classes": classes, "logit_std": round(float(logits.std()), 3), "bytes": sizes}))


if __name__ == "__main__":
    main()
