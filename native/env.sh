# env.sh: source it to have the Go tools find the native parts of this machine (make does the same):
#   . native/env.sh && go test ./...
# With TARGET=arm64 on another machine it sets a cross-build up.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case ${TARGET:-$(uname -m)} in
x86_64) export NATIVE_PARTS=$root/native/x86_64 ;;
aarch64 | arm64) export NATIVE_PARTS=$root/native/arm64 ;;
*) echo "sightd has no native parts for $(uname -m)" >&2 ;;
esac
if [ "${TARGET:-}" = arm64 ] && [ "$(uname -m)" != aarch64 ]; then
	export GOARCH=arm64 CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++
fi
export CGO_ENABLED=1
export GOARM64=v8.0 # as of a Raspberry Pi 4, whatever this machine has: what is newer is looked for at run time
export CGO_CFLAGS="-O2 -I$NATIVE_PARTS/include"
export CGO_CXXFLAGS="-O2 -std=c++17 -I$NATIVE_PARTS/include/opencv4"
# OpenBLAS and the Fortran run-time are needed by OpenCV's libraries alone: the linker need not look into them.
export CGO_LDFLAGS="-L$NATIVE_PARTS/lib -Wl,-rpath-link,$NATIVE_PARTS/lib -Wl,--allow-shlib-undefined -lopencv_imgcodecs -lopencv_videoio -lopencv_imgproc -lopencv_core"
# make passes the commit to the linker; asking git for it would fail a build in a checkout that belongs to somebody else.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false -tags=customenv,gocv_specific_modules,gocv_videoio"
# For `go test` and `go run`, whose binaries lie in temporary folders; bin/sightd has its own search path.
export LD_LIBRARY_PATH=$NATIVE_PARTS/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
# For tests: the software Vulkan device that gpu.sh fetches. Set it to another driver's file to test on a real GPU.
if [ -e "$NATIVE_PARTS/vulkan/vk_swiftshader_icd.json" ]; then
	export TEST_VULKAN_ICD=${TEST_VULKAN_ICD-$NATIVE_PARTS/vulkan/vk_swiftshader_icd.json}
fi
