#!/usr/bin/env bash
# fetch.sh ARCH: puts the native parts of sightd into native/ARCH (x86_64 or arm64):
#   lib/      TensorFlow Lite 2.20 as libtensorflowlite_c.so, OpenCV 4.13 (core, imgproc, imgcodecs, videoio), OpenBLAS
#   include/  TensorFlow Lite's C headers, OpenCV's C++ headers
#   licenses/ what their archives say about themselves
# Every archive is a Maven artifact, checked against SHA256SUMS before anything of it is unpacked. Does nothing when
# native/ARCH is there already and was made from the same SHA256SUMS by the same script.
set -euo pipefail
cd "$(dirname "$0")"

arch=${1:?usage: fetch.sh x86_64|arm64}
case $arch in
x86_64 | arm64) ;;
*)
	echo "fetch.sh: no native parts for $arch: sightd runs on 64-bit x86 and Arm only" >&2
	exit 2
	;;
esac

stamp=$(cat SHA256SUMS fetch.sh | sha256sum | cut -d' ' -f1)
[ "$(cat "$arch/.stamp" 2>/dev/null || true)" = "$stamp" ] && exit 0

./packages.sh mvn:maven unzip:unzip patchelf:patchelf

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# get GROUP:ARTIFACT:VERSION:TYPE[:CLASSIFIER] FILE: downloads one artifact into $work and checks its hash.
get() {
	echo "fetching $2"
	if ! mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
		-Dartifact="$1" -DoutputDirectory="$work" -Dmdep.useBaseVersion=true >"$work/mvn.log" 2>&1; then
		cat "$work/mvn.log" >&2
		echo "fetch.sh: could not download $1." >&2
		echo "This needs a connection to the Maven repository, once. Behind a proxy or with a mirror: set that in ~/.m2/settings.xml." >&2
		exit 1
	fi
	if ! (cd "$work" && grep -F "  $2" "$OLDPWD/SHA256SUMS" | sha256sum -c --quiet -); then
		echo "fetch.sh: $2 is not the file that SHA256SUMS names: nothing was unpacked." >&2
		exit 1
	fi
}

get "org.bytedeco:tensorflow-lite:2.20.0-1.5.13:jar:linux-$arch" "tensorflow-lite-2.20.0-1.5.13-linux-$arch.jar"
get "org.tensorflow:tensorflow-lite:2.10.0:aar" tensorflow-lite-2.10.0.aar
get "org.bytedeco:opencv:4.13.0-1.5.13:jar:linux-$arch" "opencv-4.13.0-1.5.13-linux-$arch.jar"
get "org.bytedeco:openblas:0.3.31-1.5.13:jar:linux-$arch" "openblas-0.3.31-1.5.13-linux-$arch.jar"

new=$arch.new
rm -rf "$new"
mkdir -p "$new/lib" "$new/include" "$new/licenses"

unzip -qo "$work"/tensorflow-lite-2.10.0.aar 'headers/*' -d "$work/headers"
cp -r "$work/headers/headers/tensorflow" "$new/include/"

unzip -qo "$work"/tensorflow-lite-2.20.0-*.jar -d "$work/tflite"
# The library has no soname: what links it asks for the name that it was linked under.
cp "$work"/tflite/org/bytedeco/tensorflowlite/linux-*/libjnitensorflowlite.so "$new/lib/libtensorflowlite_c.so"

unzip -qo "$work"/opencv-*.jar 'org/bytedeco/opencv/*/libopencv_*' 'org/bytedeco/opencv/*/include/*' \
	'org/bytedeco/opencv/*/share/licenses/*' -d "$work/opencv"
opencv=$(echo "$work"/opencv/org/bytedeco/opencv/linux-*)
cp -r "$opencv/include/opencv4" "$new/include/"
cp "$opencv"/share/licenses/opencv4/* "$new/licenses/"
for module in core imgproc imgcodecs videoio; do
	cp "$opencv/libopencv_$module.so.413" "$new/lib/"
	ln -s "libopencv_$module.so.413" "$new/lib/libopencv_$module.so"
done

unzip -qo "$work"/openblas-*.jar 'org/bytedeco/openblas/*/lib*' -d "$work/openblas"
for name in libopenblas.so.0 libgfortran.so.5 libquadmath.so.0; do
	file=$(echo "$work"/openblas/org/bytedeco/openblas/linux-*/"$name")
	if [ -e "$file" ]; then cp "$file" "$new/lib/"; fi # arm64 has no libquadmath
done

# The libraries carry search paths of the machine that built them. They are to find each other beside themselves,
# and nowhere else.
chmod u+w "$new"/lib/*
for file in "$new"/lib/*; do
	[ -L "$file" ] || patchelf --set-rpath '$ORIGIN' "$file"
done

echo "$stamp" >"$new/.stamp"
rm -rf "$arch"
mv "$new" "$arch"
echo "native parts for $arch are in native/$arch"
