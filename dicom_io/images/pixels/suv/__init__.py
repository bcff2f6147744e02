"""PET values: from what a header says of them to the unit that a model was trained on, or the reason why not."""
