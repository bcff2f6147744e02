"""Preparation: fingerprint, plans and prepared cases, by nnU-Net's own code, in parallel within the memory there is."""
