#!/bin/sh
# What a node and the image need, from Debian's packages: nothing where all of it is there, and a word where it cannot be had.
set -eu
missing=""
for package in containerd runc buildah debootstrap; do
  command -v "$package" >/dev/null || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "install as root, with your package manager:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # names without spaces
apt-get install -qq --no-install-recommends $missing
