# make run and make test do everything, also on a machine that has no more than Go and make.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := 0.1.0
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
ARCH := $(subst aarch64,arm64,$(shell uname -m))

# What packages are for, as Debian names it: nothing here builds for x86 on Arm.
DEB_ARCHS := $(if $(filter arm64,$(ARCH)),arm64,amd64 arm64)

# The Go tool's environment: flags for cgo, build tags, and where the libraries lie.
ENV := source native/env.sh;
# bin/sightd finds its libraries beside itself, in the checkout that it was built in, or where the package puts them.
rpath = -Wl,-rpath,\$$ORIGIN/lib:\$$ORIGIN/$(1):/usr/lib/sightd
ldflags = -X main.version=$(VERSION) -X main.commit=$(COMMIT) -extldflags '$(call rpath,$(1))'

# What reads streams and recordings, for the tests of those.
VIDEO := ffmpeg:ffmpeg gst-launch-1.0:gstreamer1.0-tools gst-device-monitor-1.0:gstreamer1.0-plugins-base-apps,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good

.PHONY: help run test build native gpu arm64 test-arm64 deb test-deb release model peers peers-speed bench camera-results delegate-results board-results cascade-results benchmarks faults fuzz lint clean

help: ## tell what there is
	@echo "sightd $(VERSION). Start with: make run"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: build ## build, watch ./inbox, classify two drawn pictures and what you drop there; labels on mqtt://127.0.0.1:1883
	bin/sightd run --sample

build: native ## build bin/sightd
	@$(ENV) go build -trimpath -ldflags "$(call ldflags,../native/$(ARCH)/lib)" -o bin/sightd ./cmd/sightd

test: gpu ## run all tests, with the race detector and without
	@native/gpu.sh $(ARCH) vulkan
	@native/packages.sh mosquitto:mosquitto strace:strace mkfs.ext4:e2fsprogs $(VIDEO)
	@$(ENV) if [ $(ARCH) = arm64 ] && ! go test -race -run '^$$' ./spelling >/dev/null; then \
		echo "the race detector doesn't run here, since it wants a kernel with addresses of 48 bits: tests run without it"; \
	else go test -race -timeout 20m ./...; fi
	@$(ENV) go test -timeout 20m ./...

native: ## fetch the native parts: TensorFlow Lite, OpenCV
	@native/go.sh
	@native/packages.sh gcc:gcc g++:g++ git:git
	@native/fetch.sh $(ARCH)

gpu: native ## fetch what the GPU needs: LiteRT and its Vulkan accelerator
	@native/gpu.sh $(ARCH)

arm64: ## cross-build bin/arm64/sightd for Raspberry Pi and Jetson
	@native/go.sh
	@native/packages.sh aarch64-linux-gnu-g++:g++-aarch64-linux-gnu
	@native/fetch.sh arm64
	@export TARGET=arm64; $(ENV) go build -trimpath -ldflags "$(call ldflags,../../native/arm64/lib)" -o bin/arm64/sightd ./cmd/sightd

test-arm64: native arm64 ## run the arm64 binary on this machine, emulated, and compare it with this machine's
	@native/packages.sh qemu-aarch64-static:qemu-user-static
	@export TARGET=arm64; $(ENV) go build -trimpath -ldflags "$(call ldflags,../../native/arm64/lib)" -o bin/arm64/agree ./testbench/agree
	@$(ENV) TEST_SIGHTD_ARM64=$(CURDIR)/bin/arm64/sightd go test -count=1 -timeout 20m -v -run TestArm64 ./testbench

deb: build ## build the packages sightd and sightd-gpu in bin, for amd64 and arm64; on arm64 for arm64 only
	@native/packages.sh aarch64-linux-gnu-g++:g++-aarch64-linux-gnu
	@for arch in $(DEB_ARCHS:amd64=x86_64); do native/fetch.sh $$arch; native/gpu.sh $$arch; done
	@for arch in $(DEB_ARCHS); do systemd/build.sh $$arch $(VERSION) $(COMMIT); done

test-deb: deb ## test the packages: in systems of Debian's, with systemd, and on an emulated Raspberry Pi; wants root
	@native/packages.sh lintian:lintian mmdebstrap:mmdebstrap systemd-analyze:systemd unshare:util-linux mosquitto:mosquitto qemu-aarch64-static:qemu-user-static
	@$(ENV) TEST_SIGHTD_PACKAGES=$(CURDIR)/bin go test -count=1 -timeout 20m -v -run TestPackage ./testbench

release: deb ## build the packages, list what they are made of, and sum all up in bin/SHA256SUMS
	@$(ENV) systemd/release.sh $(VERSION) $(DEB_ARCHS)

model: build ## remake models/ from the weights in ../shared
	bin/sightd export ../shared/weights/googlenet_imagenette.pth -o models/googlenet_imagenette.tflite \
		--name googlenet-imagenette-int8 --labels ../shared/weights/imagenette_labels.txt --size 160 --features \
		--calibration ../shared/images/imagenette/calibration --eval ../shared/images/imagenette/val

peers: build ## compare with other programs that make and run such models, and rewrite testbench/RESULTS_PEERS.md; installs 9 GB of Python packages into .venv, takes 45 minutes
	@native/packages.sh python3:python3
	@python3 -c 'import ensurepip, venv' 2>/dev/null || native/packages.sh ensurepip:python3-venv # no command of this name: installs it
	@testbench/peers.sh
	@testbench/export_peers.sh
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 30m -v -run '^TestPeersResults$$' ./testbench
	@testbench/peers_speed.sh

peers-speed: build ## compare pictures a second with other programs; installs 0.6 GB of Python packages into .venv, takes ten minutes, wants an idle machine
	@native/packages.sh python3:python3 taskset:util-linux
	@python3 -c 'import ensurepip, venv' 2>/dev/null || native/packages.sh ensurepip:python3-venv # no command of this name: installs it
	@testbench/peers_speed.sh

bench: gpu ## measure what is claimed and rewrite testbench/RESULTS.md, with what make peers-speed has left; takes 15 minutes, wants an idle machine
	@native/gpu.sh $(ARCH) vulkan
	@native/packages.sh mosquitto:mosquitto mosquitto_sub:mosquitto-clients
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 60m -v -run '^TestResults$$' ./testbench

camera-results: native ## measure what is claimed of live sources and rewrite testbench/RESULTS_CAMERAS.md; takes nine minutes, wants an idle machine
	@native/packages.sh $(VIDEO)
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 30m -v -run TestCameraResults ./testbench

delegate-results: native ## measure what is claimed of delegates and rewrite testbench/RESULTS_DELEGATES.md; takes minutes, wants an idle machine
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 30m -v -run TestDelegateResults ./testbench

board-results: native ## measure memory, start and sizes beside a trivial program and rewrite testbench/RESULTS_BOARD.md; takes minutes, wants an idle machine
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 30m -v -run TestBoardResults ./testbench

cascade-results: native ## measure what a cascade of two input sizes would save and rewrite testbench/RESULTS_CASCADE.md; takes minutes, wants an idle machine
	@$(ENV) TEST_RESULTS=1 go test -count=1 -timeout 30m -v -run TestCascadeResults ./testbench

benchmarks: native ## run the Go benchmarks
	@$(ENV) go test -run '^$$' -bench . -benchtime 1s ./...

faults: native ## treat boards badly, FAULT_ROUNDS (100), and have one work for SOAK (3m); rewrite testbench/RESULTS_FAULTS.md if nothing is lost; wants root
	@native/packages.sh mosquitto:mosquitto strace:strace mkfs.ext4:e2fsprogs $(VIDEO)
	@$(ENV) export TEST_RESULTS=1 FAULT_ROUNDS=$${FAULT_ROUNDS:-100} SOAK=$${SOAK:-3m}; \
		go test -count=1 -timeout 0 -parallel 4 -v -run 'TestFaults$$' ./testbench

fuzz: native ## fuzz every parser, FUZZTIME (10s) each; with FUZZ=-plain without the builds that tell which code is reached
	@$(ENV) testbench/fuzz.sh $(FUZZ) $${FUZZTIME:-10s}

lint: native ## gofmt, vet, staticcheck, go mod tidy -diff
	@$(ENV) .ci/lint.sh

clean: ## remove what was built and fetched
	rm -rf bin native/x86_64 native/arm64 .venv
