#!/bin/sh
# Makes the pictures out of icon.svg; needs rsvg-convert (librsvg2-bin) and convert (imagemagick).
set -eu
cd "$(dirname "$0")/icons"
for size in 16 32 48 64 128 256 512; do
    rsvg-convert --width "$size" --height "$size" icon.svg --output "icon-$size.png"
done
convert icon-16.png icon-32.png icon-48.png icon-64.png icon-128.png icon-256.png icon.ico
