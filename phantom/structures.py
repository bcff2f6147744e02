"""The patient as a list of solid parts, painted in order: later parts lie on top.

The origin is in the middle of the trunk at the height of the kidneys. All lengths are mm in LPS: the liver is at
negative x (the patient's right), the spine at positive y, the lungs at positive z. Nothing here is symmetric on
purpose: an image that is mirrored or turned anywhere on its way shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phantom.patient import Patient
from phantom.shapes import Box, Capsule, Column, Ellipsoid, Point, Shape, tube


@dataclass(frozen=True)
class Part:
    """One solid: its label (``None`` keeps the label below), its tissue, and the tissues it may replace."""

    label: str | None
    tissue: str
    shape: Shape
    within: tuple[str, ...] = ()


def structures(patient: Patient) -> Iterator[Part]:
    """Yield all parts of the patient, in the order of painting."""
    yield from _trunk(patient)
    yield from _chest(patient)
    yield from _abdomen(patient)
    yield from _kidneys(patient)
    yield from _vessels(patient)
    yield from _spine(patient)
    yield from _thorax_cage(patient)
    yield from _pelvis()


_LEVELS = (-280.0, -200.0, -60.0, 60.0, 180.0, 320.0)


def _trunk(patient: Patient) -> Iterator[Part]:
    if patient.on_table:
        yield Part(None, "table_shell", Box((-215.0, 121.0, -2000.0), (215.0, 141.0, 2000.0)))
        yield Part(None, "table_foam", Box((-212.0, 124.0, -2000.0), (212.0, 138.0, 2000.0)))
    wide, deep = (168.0, 172.0, 152.0, 156.0, 166.0, 160.0), (112.0, 112.0, 102.0, 106.0, 110.0, 100.0)
    for label, tissue, depth in (("body", "skin", 0.0), ("body", "fat", 2.0), ("body", "muscle", patient.fat)):
        half_x, half_y = tuple(w - depth for w in wide), tuple(d - depth for d in deep)
        yield Part(label, tissue, Column(_LEVELS, half_x, half_y, exponent=2.5))
    inner_x = tuple(w - 24.0 - 18.0 for w in wide)
    inner_y = tuple(d - 24.0 - 12.0 for d in deep)
    yield Part("body", "fat", Column(_LEVELS, inner_x, inner_y, (0.0, -4.0), bottom=-230.0, exponent=2.3))
    for side in (-1.0, 1.0):
        points = np.array([[side * 28, 45, 40], [side * 38, 42, -60], [side * 60, 15, -170], [side * 75, 0, -260]])
        yield from (Part("body", "muscle", c) for c in tube(points, 12.0, 20.0))
        yield Part("body", "muscle", Capsule((side * 45, 72, 300), (side * 40, 80, -180), 19.0, 22.0))


def _chest(patient: Patient) -> Iterator[Part]:
    cavity = ("fat", "muscle")
    size, shift = patient.lung, patient.breath
    right = Ellipsoid((-70.0, 2.0, 150.0), (56.0 * size, 80.0 * size, 140.0))
    left = Ellipsoid((72.0, 4.0, 158.0), (49.0 * size, 74.0 * size, 130.0 * size))
    yield Part("lung_right", "lung", right, cavity)
    yield Part("lung_left", "lung", left, cavity)
    rng = np.random.default_rng([patient.bowel_seed, 2])
    for side, reach in ((-1.0, 95.0), (1.0, 92.0)):
        for _ in range(14):
            root = np.array([side * 28.0, 10.0, 150.0]) + rng.uniform(-12.0, 12.0, 3)
            tip = np.array([side * reach, 0.0, 160.0]) + rng.uniform(-1.0, 1.0, 3) * (35.0, 60.0, 110.0)
            line = np.linspace(root, tip, 4) + rng.uniform(-6.0, 6.0, (4, 3))
            yield from (Part("body", "lung_vessel", c, ("lung",)) for c in tube(line, 4.0, 1.0))
    yield Part("heart", "heart", Ellipsoid((26.0, -24.0, 128.0 - shift / 2), (52.0, 44.0, 48.0), (0.0, 25.0, 20.0)))
    for centre, radii in (
        ((-64.0, 4.0, 12.0 - shift), (80.0, 88.0, 84.0)),
        ((64.0, 6.0, 6.0 - shift), (78.0, 86.0, 76.0)),
    ):
        yield Part("body", "diaphragm", Ellipsoid(centre, radii), ("lung", "lung_vessel"))
        inner = (radii[0] - 3.0, radii[1] - 3.0, radii[2] - 3.0)
        yield Part("body", "fat", Ellipsoid(centre, inner), ("diaphragm",))


def _abdomen(patient: Patient) -> Iterator[Part]:
    open_to = ("fat", "muscle", "diaphragm", "heart")
    size, shift = patient.liver, patient.breath
    liver = (62.0 * size, 72.0 * size, 74.0 * size)
    yield Part("liver", "liver", Ellipsoid((-60.0, -2.0, 16.0 - shift), liver, (0.0, -12.0, 0.0)), ("fat",))
    yield Part("liver", "liver", Ellipsoid((-8.0, -38.0, 38.0 - shift), (62.0, 28.0, 34.0), (0.0, 12.0, 10.0)), open_to)
    yield Part(
        "gallbladder", "gallbladder", Ellipsoid((-48.0, -48.0, -22.0 - shift), (14.0, 16.0, 26.0)), ("fat", "liver")
    )
    spleen = (24.0 * patient.spleen, 40.0 * patient.spleen, 44.0 * patient.spleen)
    yield Part("spleen", "spleen", Ellipsoid((92.0, 34.0, 42.0 - shift), spleen, (15.0, 0.0, -20.0)), ("fat",))
    stomach = Ellipsoid((56.0, -24.0, 38.0 - shift), (40.0, 42.0, 36.0), (0.0, 20.0, 0.0))
    yield Part("stomach", "stomach", stomach, ("fat",))
    yield Part("gas", "gas", Ellipsoid((58.0, -44.0, 34.0 - shift), (25.0, 15.0, 17.0)), ("stomach",))
    yield from _bowel(patient)
    yield Part("bladder", "bladder", Ellipsoid((4.0, -22.0, -205.0), (42.0, 36.0, 32.0)))


def _bowel(patient: Patient) -> Iterator[Part]:
    rng = np.random.default_rng([patient.bowel_seed, 3])
    into = ("fat", "bowel", "stool")
    for side, radius in ((-100.0, 25.0), (102.0, 17.0)):
        for z in np.arange(-150.0, -20.0, 26.0):
            centre = (side + float(rng.uniform(-5, 5)), float(rng.uniform(-20, 5)), float(z))
            yield Part("bowel", "bowel", Ellipsoid(centre, (radius, radius, 21.0)), into)
            inner = (radius - 3.0, radius - 3.0, 18.0)
            yield Part("bowel", "stool", Ellipsoid(centre, inner), into)
            if rng.random() < 0.7:
                top = (centre[0], centre[1] - radius / 3.0, centre[2])
                r = float(rng.uniform(0.4, 0.65)) * radius
                yield Part("gas", "gas", Ellipsoid(top, (r, r, 14.0)), ("stool",))
    for _ in range(34):
        spot = (float(rng.uniform(-70, 70)), float(rng.uniform(-62, 5)), float(rng.uniform(-170, -25)))
        radii = (float(rng.uniform(12, 28)), float(rng.uniform(9, 14)), float(rng.uniform(9, 14)))
        turn = (0.0, float(rng.uniform(-60, 60)), float(rng.uniform(-40, 40)))
        yield Part("bowel", "bowel", Ellipsoid(spot, radii, turn), ("fat",))
        if rng.random() < 0.35:
            bubble = (radii[0] * 0.5, radii[1] * 0.5, radii[2] * 0.5)
            yield Part("gas", "gas", Ellipsoid((spot[0], spot[1] - 4.0, spot[2]), bubble, turn), ("bowel",))


def _kidneys(patient: Patient) -> Iterator[Part]:
    size = patient.kidney
    for name, x, z, turn, radii in (
        ("kidney_right", -60.0, -22.0, 12.0, (27.0, 25.0, 52.0)),
        ("kidney_left", 62.0, 2.0, -12.0, (29.0, 26.0, 58.0)),
    ):
        centre, angles = (x, 40.0, z), (8.0, turn, 0.0)
        whole = (radii[0] * size, radii[1] * size, radii[2] * size)
        inner = (whole[0] - 9.0, whole[1] - 9.0, whole[2] - 11.0)
        into = ("fat", "muscle", "liver", "spleen", "bowel", "stool", "gas")
        yield Part(name, "kidney_cortex", Ellipsoid(centre, whole, angles), into)
        yield Part(name, "kidney_medulla", Ellipsoid(centre, inner, angles), ("kidney_cortex",))
        pelvis = (x * 0.85, 36.0, z)
        yield Part(name, "urine", Ellipsoid(pelvis, (7.0, 6.0, 18.0), angles), ("kidney_cortex", "kidney_medulla"))
    yield Part("kidney_tumour", "tumour", Ellipsoid(patient.tumour_at, (patient.tumour,) * 3))
    for name, side, z in (("ureter_right", -1.0, -22.0), ("ureter_left", 1.0, 2.0)):
        line = np.array([
            [side * 50, 34, z], [side * 38, 26, z - 40], [side * 34, 22, -100], [side * 44, 34, -150],
            [side * 34, 20, -190], [side * 16, 4, -205],
        ])  # fmt: skip
        yield from (Part(name, "urine", c) for c in tube(line, patient.ureter))


def _vessels(patient: Patient) -> Iterator[Part]:
    artery: list[tuple[NDArray[np.float64], float, float]] = [
        (np.array([[16, 30, 300], [17, 34, 150], [12, 25, 40], [9, 20, -50], [7, 22, -95]]), 11.0, 8.5),
        (np.array([[7, 22, -95], [-28, 24, -140], [-52, 10, -190], [-72, -32, -270]]), 6.5, 5.0),
        (np.array([[7, 22, -95], [34, 26, -140], [58, 10, -190], [76, -32, -270]]), 6.0, 5.0),
        (np.array([[11, 24, 6], [-20, 36, -4], [-46, 38, -20]]), 3.5, 2.5),
        (np.array([[12, 24, 14], [34, 34, 8], [50, 38, 3]]), 3.5, 2.5),
        (np.array([[12, 18, 46], [4, 2, 44], [-30, -6, 40]]), 4.0, 3.0),
        (np.array([[11, 16, 24], [8, -8, 0], [2, -30, -70]]), 4.5, 2.5),
    ]
    vein: list[tuple[NDArray[np.float64], float, float]] = [
        (np.array([[-20, 6, 120], [-24, 16, 60], [-22, 26, -30], [-18, 28, -100]]), 12.0, 10.0),
        (np.array([[-18, 28, -100], [-40, 36, -150], [-60, 18, -200], [-64, -26, -270]]), 8.0, 6.0),
        (np.array([[-18, 28, -100], [28, 38, -145], [52, 22, -195], [68, -24, -270]]), 8.0, 6.0),
        (np.array([[-22, 24, -12], [-40, 36, -18], [-48, 38, -20]]), 5.0, 4.0),
        (np.array([[-20, 22, 0], [12, 10, 4], [34, 26, 4], [50, 36, 3]]), 5.0, 4.0),
        (np.array([[2, -14, -30], [-6, -8, 12], [-42, -6, 30 - patient.breath]]), 6.5, 5.0),
    ]
    for label, tissue, lines in (("vein", "blood_vein", vein), ("artery", "blood_artery", artery)):
        for points, start, end in lines:
            yield from (Part(label, tissue, c) for c in tube(points.astype(np.float64), start, end))


def _spine(patient: Patient) -> Iterator[Part]:
    for number, height in enumerate(np.arange(-120.0, 330.0, 30.0)):
        x = patient.lean * float(np.sin((height + 120.0) / 450.0 * np.pi))
        y, wide = 54.0 + 8.0 * float(np.cos(height / 90.0)), 23.0 - 0.4 * number
        low, high = height - 12.5, height + 12.5
        disc = Column((0.0,), (wide - 1.0,), (wide * 0.75,), (x, y), low - 6.0, low)
        yield Part("body", "disc", disc)
        yield Part("bone", "cortical", Column((0.0,), (wide,), (wide * 0.78,), (x, y), low, high))
        marrow = Column((0.0,), (wide - 2.5,), (wide * 0.78 - 2.5,), (x, y), low + 2.0, high - 2.0)
        yield Part("bone", "marrow", marrow)
        back = y + wide * 0.78
        yield Part("body", "cord", Capsule((x, back + 9, low - 6), (x, back + 9, high), 7.5, 7.5))
        for side in (-1.0, 1.0):
            foot, arch = (x + side * 13, back - 2, height + 4), (x + side * 13, back + 12, height)
            yield Part("bone", "cortical", Capsule(foot, arch, 4.5, 5.0))
            yield Part("bone", "cortical", Capsule(arch, (x, back + 21, height - 4), 4.5, 4.0))
            yield Part("bone", "cortical", Capsule(arch, (x + side * 34, back + 12, height), 4.0, 3.0))
        yield Part("bone", "cortical", Capsule((x, back + 20, height - 4), (x, back + 36, height - 12), 4.0, 4.5))


def _thorax_cage(patient: Patient) -> Iterator[Part]:
    for number in range(12):
        for side in (-1.0, 1.0):
            end = 165.0 if number > 2 else (70.0, 95.0, 135.0)[number] - 22.0 * (side < 0)
            angle = np.deg2rad(np.linspace(12.0, end, 14))
            line = np.stack([
                side * 123.0 * np.sin(angle),
                2.0 + 77.0 * np.cos(angle),
                46.0 + 25.0 * number - 60.0 * (1.0 - np.cos(angle)) / 2.0 * (end > 100.0) - 3.0 * side,
            ], axis=1)  # fmt: skip
            yield from (Part("bone", "cortical", c, ("muscle", "fat", "lung", "skin")) for c in tube(line, 5.5, 4.5))
            yield from (Part("bone", "marrow", c, ("cortical",)) for c in tube(line[1:-1], 2.6))
    top: Point = (2.0, -80.0, 300.0)
    yield Part("bone", "cortical", Capsule((0.0, -82.0, 108.0), top, 6.0, 9.0))
    yield Part("bone", "marrow", Capsule((0.0, -82.0, 110.0), top, 3.5, 6.0))


def _pelvis() -> Iterator[Part]:
    for side in (-1.0, 1.0):
        turn = (25.0, side * -28.0, side * 25.0)
        wing = (side * 88.0, 30.0, -150.0)
        yield Part("bone", "cortical", Ellipsoid(wing, (10.0, 50.0, 58.0), turn))
        yield Part("bone", "marrow", Ellipsoid(wing, (6.0, 45.0, 53.0), turn))
        head = (side * 92.0, 0.0, -236.0)
        yield Part("bone", "cortical", Ellipsoid(head, (30.0, 30.0, 30.0)))
        yield Part("bone", "marrow", Ellipsoid(head, (26.0, 26.0, 26.0)))
        yield Part("bone", "cortical", Capsule(head, (side * 14.0, -62.0, -248.0), 12.0, 9.0))
        yield Part("bone", "cortical", Capsule(head, (side * 122.0, 6.0, -300.0), 14.0, 20.0))
    yield Part("bone", "cortical", Ellipsoid((0.0, 66.0, -165.0), (46.0, 18.0, 42.0), (25.0, 0.0, 0.0)))
    yield Part("bone", "marrow", Ellipsoid((0.0, 66.0, -165.0), (42.0, 14.0, 38.0), (25.0, 0.0, 0.0)))
    yield Part("bone", "cortical", Ellipsoid((-92.0, 32.0, -140.0), (5.0, 7.0, 9.0)))
