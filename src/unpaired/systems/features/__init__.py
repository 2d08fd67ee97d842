"""Features of pictures learned without labels, and probes that measure them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaired.catalog.system import (
    Condition,
    Files,
    MethodEntry,
    Metric,
    Output,
    Scorer,
    Stage,
    System,
)
from unpaired.data.sources import DRAWN_BY_RULE, DataSet

if TYPE_CHECKING:
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.features"
THINGS, PLACES, VOC, RGBD = 15, 16, 17, 18
SPLIT_BRAIN = "split_brain_cl"  # The row whose filters and neighbors are drawn.
IMAGENET = "ILSVRC2012 images, from image-net.org (free account)"
NYUD_FILES = "nyu_depth_v2_labeled.mat, splits.mat"
PLACES205 = "Places205, from places.csail.mit.edu: pictures of 256 px and the lists of splits"


def _drawn(name: str, reader: str, title: str, pictures: int) -> DataSet:
    return DataSet(
        name,
        title,
        f"{HERE}.sources.{reader}",
        pictures=pictures,
        megapixels=pictures * 48**2 / 1e6,
        where=DRAWN_BY_RULE,
    )


def _imagenet(name: str, folder: str, title: str, pictures: int) -> DataSet:
    return DataSet(
        name,
        f"ImageNet {title}, with labels, squeezed to 256 x 256",
        f"{HERE}.sources.imagenet_labeled:records",
        folder=f"imagenet/{folder}",
        pictures=pictures,
        megapixels=pictures * 256**2 / 1e6,
        where=IMAGENET,
        layout=f"imagenet/{folder}/n*/*.JPEG, in class folders",
    )


def _places205(name: str, reader: str, title: str, pictures: int) -> DataSet:
    return DataSet(
        name,
        f"Places205 {title}",
        f"{HERE}.sources.places205:{reader}",
        folder="places205/images256",
        pictures=pictures,
        megapixels=pictures * 256**2 / 1e6,
        where=PLACES205,
        layout="places205/images256/a/abbey/*.jpg .., "
        "places205/trainvalsplit_places205/{train,val}_places205.csv",
    )


def _scenes(name: str, reader: str, title: str, pictures: int) -> DataSet:
    return DataSet(
        name,
        f"drawn scenes, {title}",
        f"{HERE}.sources.drawn_scenes:{reader}",
        pictures=pictures,
        megapixels=pictures * 64**2 / 1e6,
        where=DRAWN_BY_RULE,
    )


def _voc(name: str, year: int, reader: str, title: str, pictures: int) -> DataSet:
    lists = "Main/{trainval,test}.txt" if reader.endswith("objects") else "Segmentation/*.txt"
    truths = "Annotations/*.xml" if reader.endswith("objects") else "SegmentationClass/*.png"
    return DataSet(
        name,
        f"PASCAL VOC {year}, {title}",
        f"{HERE}.sources.voc:{reader}",
        folder=f"voc/VOCdevkit/VOC{year}",
        pictures=pictures,
        megapixels=pictures * 500 * 375 / 1e6,
        where=f"VOC{year} of the PASCAL Visual Object Classes Challenge, host.robots.ox.ac.uk",
        layout=f"voc/VOCdevkit/VOC{year}/JPEGImages/*.jpg, {truths}, ImageSets/{lists}",
    )


def _rooms(name: str, reader: str, title: str, pictures: int) -> DataSet:
    return DataSet(
        name,
        f"drawn rooms with depth, {title}",
        f"{HERE}.sources.drawn_rooms:{reader}",
        pictures=pictures,
        megapixels=pictures * 64**2 / 1e6,
        where=DRAWN_BY_RULE,
    )


def _nyud(name: str, reader: str, title: str, pictures: int, files: str) -> DataSet:
    return DataSet(
        name,
        f"NYU Depth V2, {title}",
        f"{HERE}.sources.nyud:{reader}",
        folder="nyud",
        pictures=pictures,
        megapixels=pictures * 640 * 480 / 1e6,
        where="NYU Depth Dataset V2, from cs.nyu.edu/~silberman",
        layout=f"nyud/{files}",
    )


def _method(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", follows_settings=False, **details)


def _figure(name: str, holds: str) -> Output:
    path = f"results/figures/table{THINGS}{{part}}_{name}.png"
    return Output(path, f"Table {THINGS}", holds)


def _figure_files(run: Run) -> Files | None:
    plan = run.plans.get(THINGS)
    cells = [cell for cell in plan.cells if cell.scores] if plan else []
    if SPLIT_BRAIN not in {cell.row.name for cell in cells}:
        return None
    here = [cell for cell in cells if cell.testset == cells[0].testset]
    encoder = next(
        dict(cell.scores[0].model.needs)["encoder"] for cell in here if cell.row.name == SPLIT_BRAIN
    )
    return {
        "table": f"results/{plan.name}.csv",
        "record": f"results/{plan.name}.json",
        "encoder": encoder.file,
        "test": run.pack(here[0].testset),
    }


def _figure_arguments(run: Run) -> dict[str, Any]:
    cells = [cell for cell in run.plans[THINGS].cells if cell.scores]
    return {"testset": cells[0].testset}


_LAYERS = [f"conv{number}" for number in range(1, 6)]
OF_LABELS = (
    "Networks of all rows are of one form and see Lab; the supervised network of the paper is "
    "AlexNet on RGB."
)
OF_PROBES = (
    "The solver of the paper's classifiers is not published. Here they are fitted by L-BFGS with a "
    "penalty on weights, to the features of one crop from the middle of every training picture, "
    "each brought to mean 0 and deviation 1; the authors train on crops at random places, mirrored "
    "or not, and normalize every channel."
)

OF_SQUARES = (
    "Pictures are squeezed to a square, in training (mirrored or not) and in the test; the public "
    "frameworks of the paper cut and scale them otherwise. The schedule is ours."
)
OF_SEGMENTS = "Learned from the segments of VOC2012 alone; the paper does not say which it takes."
OF_RGBD = (
    "Detectors see whole pictures squeezed to a square, and judge windows at regular places "
    "instead of proposals; what is averaged are the probabilities of both detectors for the same "
    "windows, and the ways from these to objects."
)
OF_BRANCHES = (
    "The thesis weighs the term of color by 200 and does not name the units of lightness; here "
    "they are CIE's (0 to 100)."
)
OF_HHA = (
    "The HHA encoding is computed by this project: normals are of planes fitted to the inverse "
    "depth in windows, which join both sides of a step."
)
OF_FURNITURE = (
    "Objects of NYU-D are those whose name is one of the 19 classes; the published benchmark "
    "counts similar names, such as coffee table, to them as well."
)
OF_WINDOWS = (
    "Windows at regular places stand for the proposals of selective search, and are pooled by "
    "bilinear sampling (RoIAlign)."
)

SYSTEM = System(
    title="Features without labels",
    methods={
        "cross_channel": _method(
            "cross_channel:CrossChannel",
            deviations=(
                "How targets are made small the paper does not say: single pixels are taken. The "
                "solver of its encoders is not published; that of its colorizer's AlexNet is used.",
                "Losses of a network that learns two tasks are averaged; Equation 5.4 adds them.",
            ),
        ),
        "image_labels": _method("labels:Labels", deviations=(OF_LABELS,)),
        "initial": _method("initial:Initial"),
        "linear_probe": _method(
            "linear_probe:LinearProbe",
            is_trained=False,
            with_pictures=True,
            roles=("encoder",),
            deviations=(OF_PROBES,),
        ),
        "voc_classifier": _method(
            "voc_classifier:VOCClassifier", roles=("encoder",), deviations=(OF_SQUARES,)
        ),
        "voc_segmenter": _method(
            "voc_segmenter:VOCSegmenter", roles=("encoder",), deviations=(OF_SQUARES, OF_SEGMENTS)
        ),
        "voc_detector": _method(
            "voc_detector:VOCDetector", roles=("encoder",), deviations=(OF_SQUARES, OF_WINDOWS)
        ),
        "rgb_to_hha": _method("rgbd_encoder:RGBToHHA", deviations=(OF_HHA,)),
        "hha_to_lab": _method("rgbd_encoder:HHAToLab", deviations=(OF_HHA, OF_BRANCHES)),
        "rgb_initial": _method("rgbd_encoder:RGBInitial"),
        "hha_initial": _method("rgbd_encoder:HHAInitial", deviations=(OF_HHA,)),
        "rgb_detector": _method(
            "rgbd_detector:RGBDetector", roles=("encoder",), deviations=(OF_RGBD, OF_FURNITURE)
        ),
        "hha_detector": _method(
            "rgbd_detector:HHADetector", roles=("encoder",), deviations=(OF_RGBD, OF_FURNITURE)
        ),
        "rgb_d_detector": _method(
            "rgbd_detector:RGBDDetector",
            is_trained=False,
            roles=("rgb", "hha"),
            deviations=(OF_RGBD, OF_FURNITURE),
        ),
        "feature_distance": _method(
            "feature_distance:FeatureDistance",
            is_trained=False,
            roles=("encoder",),
            deviations=(
                "split_brain is the encoder of the features' tables at this run's scale: "
                "that of the thesis is AlexNet of full size (its reference 173).",
            ),
        ),
    },
    scorers={
        "probe": Scorer(
            f"{HERE}.scoring:score",
            metrics={
                **{f"top1_{layer}": Metric(f"{layer} (%)", 1, 0.3, 1.0) for layer in _LAYERS},
                "top1_mean": Metric("mean (%)", 1, 0.3, 1.0),
            },
            crops=False,
            ends=("picture", "picture"),
            notes=f"{HERE}.notes:notes",
        ),
        "fine_tune": Scorer(
            f"{HERE}.voc_scoring:score",
            metrics={
                "map_pct": Metric("mAP, eleven points (%)", 1, 0.3, 1.0),
                "map_area_pct": Metric("mAP, area (%)", 1, 0.3, 1.0),
                "miu_pct": Metric("mean IU (%)", 1, 0.3, 1.0),
            },
            crops=False,
            ends=("picture", "picture"),
            notes=f"{HERE}.notes:notes_of_scenes",
        ),
        "detect_rgbd": Scorer(
            f"{HERE}.rgbd_scoring:score",
            metrics={
                "map_pct": Metric("mAP, eleven points (%)", 1, 0.3, 1.0),
                "map_area_pct": Metric("mAP, area (%)", 1, 0.3, 1.0),
            },
            crops=False,
            ends=("picture", "picture"),
            notes=f"{HERE}.notes:notes_of_rooms",
        ),
    },
    conditions={
        "classification_fc6_8": Condition("classification, fc6 to fc8 trained"),
        "classification_all": Condition("classification, all layers trained"),
        "detection_all": Condition("detection, all layers trained"),
        "segmentation_all": Condition("segmentation, all layers trained"),
        "rgb": Condition("a detector of pictures"),
        "d": Condition("a detector of depth"),
        "rgb_d": Condition("both detectors, averaged"),
    },
    datasets=(
        _drawn("drawn_things_train", "drawn_things:train_records", "drawn things", 4000),
        _drawn(
            "drawn_things_labeled",
            "drawn_things:labeled_records",
            "drawn things, for classifiers",
            1000,
        ),
        _drawn("drawn_things_test", "drawn_things:test_records", "drawn things, test", 1000),
        _drawn(
            "drawn_places_labeled",
            "drawn_places:labeled_records",
            "drawn places, for classifiers",
            1000,
        ),
        _drawn("drawn_places_test", "drawn_places:test_records", "drawn places, test", 1000),
        _scenes("drawn_scenes_train", "train_objects", "boxes, training", 800),
        _scenes("drawn_scenes_test", "test_objects", "boxes, test", 300),
        _scenes("drawn_scenes_train_segments", "train_segments", "maps, training", 800),
        _scenes("drawn_scenes_test_segments", "test_segments", "maps, test", 300),
        _rooms("drawn_rooms_unlabeled", "unlabeled_rooms", "for encoders", 1600),
        _rooms("drawn_rooms_train", "train_rooms", "boxes, training", 800),
        _rooms("drawn_rooms_test", "test_rooms", "boxes, test", 300),
        _nyud(
            "nyud_keyframes",
            "keyframes",
            "unlabeled frames",
            10_000,
            "keyframes/<scene>/rgb/*.png (640 x 480), keyframes/<scene>/depth/*.png (16 bits, mm)",
        ),
        _nyud("nyud_train", "train_objects", "training", 795, NYUD_FILES),
        _nyud("nyud_test", "test_objects", "test", 654, NYUD_FILES),
        _voc("voc2007_trainval", 2007, "trainval_objects", "training and validation", 5011),
        _voc("voc2007_test", 2007, "test_objects", "test", 4952),
        _voc("voc2012_train_segments", 2012, "train_segments", "segmentation, training", 1464),
        _voc("voc2012_val_segments", 2012, "validation_segments", "segmentation, validation", 1449),
        _imagenet("imagenet_train_labeled", "train", "training", 1_281_167),
        _imagenet("imagenet_val_labeled", "val", "validation", 50_000),
        _places205("places205_train", "train_records", "training", 2_448_873),
        _places205("places205_val", "validation_records", "validation", 20_500),
    ),
    stages=(
        Stage(
            "feature_figures",
            f"{HERE}.stages.figures",
            tables=(THINGS,),
            inputs=_figure_files,
            outputs={
                "layers": _figure("layers", "accuracy by layer, as Figures 5.3 and 5.4"),
                "filters": _figure("filters", "filters of conv1"),
                "neighbors": _figure("neighbors", "nearest neighbors in feature space"),
            },
            arguments=_figure_arguments,
            code=lambda run: [f"{HERE}.methods.cross_channel"],
            caption="feature_figures.rst",
            message="Draw features",
        ),
    ),
    commands=f"{HERE}.commands",
    place=6,
)
