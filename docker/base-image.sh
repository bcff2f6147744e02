#!/usr/bin/env bash
# A base image made from Debian's archive, for places from which no image registry can be reached.
# Needs mmdebstrap and buildah:  docker/base-image.sh localhost/segnode-base [3.11 | 3.13]
set -euo pipefail
tag=${1:?give the tag of the image}
python=${2:-3.11}
case $python in
  3.11) suite=bookworm ;;
  3.13) suite=trixie ;;
  *) echo "no release of Debian is known here with Python $python; give 3.11 or 3.13" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Without manuals, translations and documents other than licences.
mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include="usr-is-merged,python$python-minimal,libpython$python-stdlib,ca-certificates" \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/*' \
  "$suite" "$work/base.tar"

printf 'FROM scratch\nADD base.tar /\n' > "$work/Dockerfile"
buildah build --isolation chroot --quiet --tag "$tag" "$work"
