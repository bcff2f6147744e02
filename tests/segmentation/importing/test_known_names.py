"""The lists of names that this project trusts, against the projects that they come from."""

import importlib
import inspect
import pkgutil
import warnings

from segmentation.importing import snomed_codes
from segmentation.package.known_trainers import keeps_the_network


def test_trainer_list_holds_only_classes_of_nnunet_that_keep_the_network() -> None:
    """Every class of nnunetv2 that inherits ``build_network_architecture`` is benign, every other one is not."""
    from nnunetv2.training import nnUNetTrainer as package
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    seen = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what nnU-Net's modules warn of at import is not the point
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "primus" in module.name:  # transformers; imports torchvision, which need not fit this torch
                continue
            for name, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(value, nnUNetTrainer):
                    seen.add(name)
                    inherits = value.build_network_architecture is nnUNetTrainer.build_network_architecture
                    if keeps_the_network(name):
                        assert inherits, name
    assert len(seen) > 40
    assert not keeps_the_network("nnUNetTrainerBN")
    assert not keeps_the_network("nnUNet_Primus_M_Trainer")
    assert not keeps_the_network("nnUNetTrainer_250epochs_Mine")


def test_codes_are_those_of_dicom() -> None:
    """pydicom's copy of PS3.16 holds every code with this project's meaning."""
    from pydicom.sr._concepts_dict import concepts  # the public dictionary keeps one meaning of each code only

    known = {(value, meaning.casefold()) for c in concepts["SCT"].values() for value, (meaning, _) in c.items()}
    rows = (*snomed_codes.SINGLE, *snomed_codes.PAIRED)
    table = [code for _, category, kind in rows for code in (category, kind)]
    for code in (*table, snomed_codes.LEFT, snomed_codes.RIGHT):
        assert (code.value, code.meaning.casefold()) in known, code
