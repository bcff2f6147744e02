"""The program as a MONAI Application Package: its context, manifests and SBOM, and what it does in its container."""
