"""Kinds of series of several volumes that scanners make, with what their volumes are called."""

from collections.abc import Callable

from pydicom.dataset import Dataset

from tests.support.several_volumes import of_plane, private, stack

Stacks = tuple[list[Dataset], ...]
HEIGHTS = [4.0 * number for number in range(8)]
CORONAL, SAGITTAL = (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
SIEMENS_B = private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS")
GE_B = private(0x0043, "GEMS_PARM_01", 0x39, "IS")
PHILIPS_B = private(0x2001, "Philips Imaging DD 001", 0x03, "FL")
DIXON = ("DERIVED", "PRIMARY", "DIXON")
DIRECTIONS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def two_echoes() -> Stacks:
    return tuple(stack(n, HEIGHTS, EchoNumbers=n, EchoTime=2.3 * n) for n in (1, 2))


def echo_times_alone() -> Stacks:
    return tuple(stack(n, HEIGHTS, EchoTime=2.3 * n) for n in (1, 2, 3))


def dixon() -> Stacks:
    return tuple(stack(k, HEIGHTS, ImageType=[*DIXON, k]) for k in ("IN_PHASE", "OPP_PHASE", "WATER", "FAT"))


def dual_echo_magnitude_and_phase() -> Stacks:
    return tuple(
        stack((echo, kind), HEIGHTS, EchoNumbers=echo, EchoTime=2.3 * echo, ImageType=["ORIGINAL", "PRIMARY", *kind])
        for echo in (1, 2)
        for kind in (("M", "ND"), ("P", "ND"))
    )


def b_values() -> Stacks:
    return tuple(stack(b, HEIGHTS, DiffusionBValue=float(b)) for b in (0, 50, 800))


def with_private(write: Callable[[Dataset, object], None], values: dict[float, object]) -> Stacks:
    stacks = tuple(stack(b, HEIGHTS) for b in values)
    for images, value in zip(stacks, values.values(), strict=True):
        for image in images:
            write(image, value)
    return stacks


def diffusion_with_directions_and_adc() -> Stacks:
    kind = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]
    zero = stack("b0", HEIGHTS, DiffusionBValue=0.0, DiffusionDirectionality="NONE", ImageType=kind)
    directed = tuple(
        stack((b, n), HEIGHTS, DiffusionBValue=float(b), DiffusionGradientOrientation=list(direction), ImageType=kind)
        for b in (500, 1000)
        for n, direction in enumerate(DIRECTIONS)
    )
    adc = stack("adc", HEIGHTS, ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])
    return (zero, *directed, adc)


def dynamic() -> Stacks:
    return tuple(stack(t, HEIGHTS, TemporalPositionIdentifier=t) for t in (1, 2, 3))


def perfusion_ct() -> Stacks:
    return tuple(stack(t, HEIGHTS, modality="CT", AcquisitionNumber=t) for t in range(1, 6))


def cardiac() -> Stacks:
    return tuple(stack(t, HEIGHTS, TriggerTime=40.0 * t) for t in range(4))


def cardiac_of_uneven_beats() -> Stacks:
    return tuple(stack(t, HEIGHTS, TriggerTime=lambda number, t=t: 100.0 * t + number) for t in range(4))


def gated_pet() -> Stacks:
    return tuple(stack(t, HEIGHTS, modality="CT", FrameReferenceTime=500.0 * t) for t in (1, 2))


def cardiac_ct() -> Stacks:
    return tuple(stack(p, HEIGHTS, modality="CT", NominalPercentageOfCardiacPhase=float(p)) for p in (30, 70))


def two_kernels() -> Stacks:
    return tuple(stack(k, HEIGHTS, modality="CT", ConvolutionKernel=k) for k in ("B30f", "B70f"))


def two_thicknesses() -> Stacks:
    thin = stack("thin", [2.0 * n for n in range(16)], modality="CT", SliceThickness=2)
    return stack("thick", HEIGHTS, modality="CT", SliceThickness=4), thin


def two_planes() -> Stacks:
    return stack("a", HEIGHTS, modality="CT"), of_plane(stack("c", HEIGHTS, modality="CT"), CORONAL)


def two_tilts() -> Stacks:
    tilted = of_plane(stack("t", HEIGHTS, modality="CT", GantryDetectorTilt=20), (1, 0, 0, 0, 0.939693, 0.34202))
    return stack("s", HEIGHTS, modality="CT", GantryDetectorTilt=0), tilted


def two_fields_of_view() -> Stacks:
    return tuple(stack(s, HEIGHTS, modality="CT", PixelSpacing=[s, s]) for s in (6, 9))


def two_energies() -> Stacks:
    return tuple(stack(v, HEIGHTS, modality="CT", KVP=v) for v in (80, 140))


def angiography_with_projections() -> Stacks:
    planes = [(1, 0, 0, 0, c, s) for c, s in ((0.0, -1.0), (0.309017, -0.951057), (0.587785, -0.809017))]
    mips = [
        of_plane(stack(("mip", n), [14.0], ImageType=["DERIVED", "SECONDARY", "MIP"]), plane)
        for n, plane in enumerate(planes * 2)
    ]
    return (stack("tof", HEIGHTS, ImageType=["ORIGINAL", "PRIMARY", "OTHER"]), *mips)


def inversion_times() -> Stacks:
    return tuple(stack(t, HEIGHTS, InversionTime=float(t)) for t in (100, 400))


KINDS: dict[Callable[[], Stacks], list[str]] = {
    two_echoes: ["echo 1", "echo 2"],
    echo_times_alone: ["echo time 2.3 ms", "echo time 4.6 ms", "echo time 6.9 ms"],
    dixon: ["image type IN_PHASE", "image type OPP_PHASE", "image type WATER", "image type FAT"],
    dual_echo_magnitude_and_phase: [f"echo {echo}, image type {kind}" for echo in (1, 2) for kind in "MP"],
    b_values: ["b-value 0 s/mm²", "b-value 50 s/mm²", "b-value 800 s/mm²"],
    diffusion_with_directions_and_adc: [
        "b-value 0 s/mm²",
        *(f"b-value {b} s/mm², direction {' '.join(f'{c:g}' for c in d)}" for b in (500, 1000) for d in DIRECTIONS),
        "image type ADC",
    ],
    dynamic: ["time 1", "time 2", "time 3"],
    perfusion_ct: [f"acquisition {number}" for number in range(1, 6)],
    cardiac: [f"trigger time {time} ms" for time in (0, 40, 80, 120)],
    cardiac_of_uneven_beats: [f"trigger time {time} ms" for time in (3.5, 103.5, 203.5, 303.5)],
    gated_pet: ["frame time 500 ms", "frame time 1000 ms"],
    cardiac_ct: ["cardiac phase 30 %", "cardiac phase 70 %"],
    two_kernels: ["kernel B30f", "kernel B70f"],
    two_thicknesses: ["slice thickness 4 mm", "slice thickness 2 mm"],
    two_planes: ["orientation axial", "orientation coronal"],
    two_tilts: ["tilt 0 degrees", "tilt 20 degrees"],
    two_fields_of_view: ["pixel spacing 6 6 mm", "pixel spacing 9 9 mm"],
    two_energies: ["voltage 80 kV", "voltage 140 kV"],
    inversion_times: ["inversion time 100 ms", "inversion time 400 ms"],
}
