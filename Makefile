# The commands of the README. Each installs and builds what it needs and does only what is not done yet.

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
JOBS := $(shell nproc)
STUDY ?= studies/first_look.toml
STORE ?= results/$(basename $(notdir $(STUDY))).db

.PHONY: help setup build data sweep test exhaustive bench lint clean

help:
	@echo "make sweep        run STUDY ($(STUDY)) into STORE ($(STORE)) and print the ranking"
	@echo "make test         build and run the tests"
	@echo "make exhaustive   the tests over all 2^32 floats (hours); CASTS=\"e4m3fn to_odd\": those casts only"
	@echo "make bench        measure speed against peers and physical limits"
	@echo "make lint         check formatting and run clang-tidy"
	@echo "make build, data, setup: the steps of these"

# Debian packages from packages.txt, those missing only.
setup:
	@missing=$$(sed 's/#.*//' packages.txt | xargs -n1 | while read -r package; do \
	    dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q '^install ok installed$$' || echo "$$package"; \
	  done); \
	if [ -n "$$missing" ]; then \
	  echo "installing:" $$missing; \
	  $(SUDO) apt-get update -q && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -q -y --no-install-recommends $$missing; \
	fi

build/release/build.ninja: | setup
	cmake --preset release

build: setup build/release/build.ninja
	cmake --build --preset release --target halfulp

data: setup
	tools/fetch_data

sweep: build data
	@mkdir -p $(dir $(STORE))
	build/release/halfulp sweep $(STUDY) --store $(STORE) --jobs $(JOBS)

test: setup build/release/build.ninja data
	cmake --build --preset release
	ctest --preset release

exhaustive: setup build/release/build.ninja
	cmake --build --preset release
	build/release/tests/formats_all_floats $(CASTS)
	$(if $(CASTS),,ctest --preset exhaustive --progress -E formats_all_floats)

bench: setup build/release/build.ninja
	cmake --build --preset release
	@for program in build/release/bench/*_bench; do echo "$$program"; $$program; done

lint: setup build/release/build.ninja
	clang-format --dry-run --Werror $$(git ls-files '*.cc' '*.h')
	git ls-files 'formats/*.cc' 'sim/*.cc' 'cli/*.cc' | grep -v _kernels.cc | xargs -P $(JOBS) -n 4 clang-tidy -p build/release --quiet

clean:
	rm -rf build
