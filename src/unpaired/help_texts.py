"""What ``unpaired COMMAND --help`` says below the options. Text alone, so that help stays fast.

Lines of up to 76 characters: a longer one is wrapped in a terminal of 80, and loses its indent.
"""

from __future__ import annotations

from unpaired.methods import FOR_NOISY_PICTURES

DOCUMENTATION = "Documentation: docs/index.md in the project's folder, or `mkdocs serve` there."
DEVICE = "auto, cpu, cuda (or gpu), mps."
CONFIG = "Configuration file; give the option again to lay another one over it."

EXAMPLES = {
    "denoise": [
        "unpaired denoise my_pictures/ --output restored/",
        "unpaired denoise a.tif b.tif --output restored/ --minutes 10",
        "unpaired denoise my_pictures/ --output restored/ --method cbm3d",
    ],
    "compare": [
        "unpaired compare my_pictures/ --output comparison/ --minutes 20",
        "unpaired compare my_pictures/ --output comparison/ --methods cbm3d,n2v",
    ],
    "colorize": [
        "unpaired colorize gray/ --output colored/ --model MODEL.safetensors",
        "unpaired colorize a.png --output vivid/ --model M.safetensors --temperature 0",
    ],
    "distance": [
        "unpaired distance original.png restored.png --map where.png",
        "unpaired distance originals/ restored/ --output distances.csv",
    ],
    "status": [
        "unpaired status",
        "unpaired status --table 19 -v",
        "unpaired status --config config/config.yaml --config config/paper.yaml",
    ],
    "data check": [
        "unpaired data check --data-root ~/data",
        "unpaired data check --data-root ~/data --table 10",
    ],
    "import-weights": [
        "unpaired import-weights neighbor2neighbor model_gauss25_b4e100r02.pth",
        "unpaired import-weights lpips alexnet-owt-7be5be79.pth",
    ],
    "classify": [
        "unpaired classify pictures/ --classifier vgg16.tv_in1k",
        "unpaired classify pictures/ --classifier NAME --colorizer M.safetensors",
    ],
    "study export": [
        "unpaired study export truth/ --method l2=l2/ --sentinel random/ --output s/",
    ],
    "study score": ["unpaired study score study/ answers.csv --output scores.csv"],
}


def examples(command: str) -> str:
    """Return the examples of a command, one a line."""
    shown = EXAMPLES[command]
    return "\n".join([f"Example{'s' if len(shown) > 1 else ''}:", *(f"  {line}" for line in shown)])


def examples_and_methods(command: str) -> str:
    """Return the examples, and the methods that noisy pictures are enough for."""
    width = max(map(len, FOR_NOISY_PICTURES))
    listed = [f"  {name:{width}}  {about}" for name, about in FOR_NOISY_PICTURES.items()]
    return "\n".join([examples(command), "", "Methods:", *listed])
