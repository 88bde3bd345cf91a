#!/bin/sh
# Makes Appliance.app and a .dmg out of the frozen folder, on macOS.
#
#     make frozen && packaging/macos/bundle.sh
#
# IDENTITY names a certificate to sign with (unset: for this machine alone, "-"); NOTARY a keychain
# profile of notarytool.
set -eu
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' appliance/__init__.py)
app=dist/Appliance.app
identity=${IDENTITY:--}

if [ "$(uname)" != Darwin ]; then
    echo "An app can only be signed on macOS: run this there." >&2
    exit 1
fi

rm -rf "$app"
mkdir -p "$app/Contents/MacOS" "$app/Contents/Resources"
cp -R dist/appliance/. "$app/Contents/MacOS/"

icons=$(mktemp -d)/icon.iconset
mkdir -p "$icons"
for size in 16 32 128 256 512; do
    cp "packaging/icons/icon-$size.png" "$icons/icon_${size}x${size}.png"
done
iconutil --convert icns --output "$app/Contents/Resources/icon.icns" "$icons"

cat >"$app/Contents/Info.plist" <<PLIST
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
    <key>CFBundleName</key><string>Appliance</string>
    <key>CFBundleIdentifier</key><string>org.appliance.Appliance</string>
    <key>CFBundleExecutable</key><string>appliance</string>
    <key>CFBundleIconFile</key><string>icon</string>
    <key>CFBundlePackageType</key><string>APPL</string>
    <key>CFBundleShortVersionString</key><string>$version</string>
    <key>CFBundleVersion</key><string>$version</string>
    <key>LSMinimumSystemVersion</key><string>14.0</string>
    <key>NSHighResolutionCapable</key><true/>
</dict>
</plist>
PLIST

codesign --force --deep --options runtime --timestamp=none --sign "$identity" "$app"
codesign --verify --deep --strict "$app"

image=dist/appliance-$version.dmg
rm -f "$image"
stage=$(mktemp -d)
cp -R "$app" "$stage/"
ln -s /Applications "$stage/Applications"
hdiutil create -volname Appliance -srcfolder "$stage" -format UDZO "$image"
if [ -n "${NOTARY:-}" ]; then
    xcrun notarytool submit "$image" --keychain-profile "$NOTARY" --wait
    xcrun stapler staple "$image"
fi
echo "$image"
