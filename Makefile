# Every target sets up what it needs: `make demo` works in a fresh clone.
# Without a GPU, `make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu` takes 2 GB instead of 6.4.
TORCH_INDEX ?=
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
DEMO := .embench/demo

# Real recordings, where they are at hand; tests that need them are skipped elsewhere.
ifneq ($(wildcard ../shared/data),)
export EMBENCH_TEST_DATA ?= $(realpath ../shared/data)
endif

.PHONY: setup light docs pages gallery demo test test-all test-changed versions lint ruff mypy imports bench leaderboards interop
.PHONY: rates personal fuzz mutants sealed papers published pairs-gpu gpu install browser cluster clean
.DELETE_ON_ERROR:

setup: $(INSTALLED)

# What torch needs comes with the rest: an index of torch's builds has other versions of it than constraints.txt. Modules
# are compiled by all cores, which pip does with one; some packages hold files of another Python's, which it leaves.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile torch torchvision $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX) --no-deps) -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile -e '.[dev]' -c constraints.txt
	@echo "compiling modules: a minute or two"
	$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	touch $@

# What only scores, compares, audits and shows boards, without torch.
light: .venv-light/installed

.venv-light/installed: requirements-score.txt pyproject.toml
	test -x .venv-light/bin/python || $(PYTHON) -m venv .venv-light
	.venv-light/bin/python -m pip install --quiet -r requirements-score.txt
	.venv-light/bin/python -m pip install --quiet --no-deps -e .
	touch $@

# The documentation as a site, in .embench/docs/site: built by Zensical, by MkDocs as a second opinion, and both checked.
# Links to other files of the repository lead to REPOSITORY; bench/docs_site.py says where its address is found otherwise.
DOCS := .embench/docs
REPOSITORY ?=

docs: .venv-docs/installed
	.venv-docs/bin/python bench/gallery.py --check
	.venv-docs/bin/python bench/docs_site.py stage $(DOCS)/pages $(if $(REPOSITORY),--repository $(REPOSITORY))
	.venv-docs/bin/zensical build --strict --clean
	.venv-docs/bin/python bench/docs_site.py check $(DOCS)/site
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean --quiet --site-dir $(DOCS)/site-mkdocs
	.venv-docs/bin/python bench/docs_site.py check $(DOCS)/site-mkdocs

# What is put on the web: the documentation, with the leaderboards below boards/.
pages: docs light
	.venv-light/bin/embench leaderboard site --out $(DOCS)/site/boards --notes docs/boards
	.venv-docs/bin/python bench/docs_site.py join $(DOCS)/site
	.venv-docs/bin/python bench/docs_site.py check $(DOCS)/site

.venv-docs/installed: requirements-docs.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet -r requirements-docs.txt
	touch $@

# Runs the examples whose script changed since their page was made, and keeps what they show in docs/gallery/; ALL=1 runs
# all. One of them needs braindecode, which `make setup` does not install.
gallery: setup
	$(BIN)/python -m bench.gallery $(if $(ALL),--all)

# The commands of docs/start/first-run.md: a network, two estimators beside it, and a report. Of several runs of the
# network, as after a change of its code, the newest one is compared and shown.
NEWEST = "$$(ls -td $(DEMO)/runs/amigos/cnn_tf-cross_attn-* | head -n 1)"

demo: setup $(DEMO)/amigos/EMBENCH_SYNTHETIC.json
	$(BIN)/embench run --dataset amigos --encoder cnn_tf --fusion cross_attn --recipe quick --modalities ecg,eda \
		--set encoder.prepare.rate_hz=4 --set encoder.view.length_s=20 --set fusion.epochs=9 \
		--data-root $(DEMO) --runs $(DEMO)/runs
	$(BIN)/embench baselines --dataset amigos --baseline-set quick-v1 --modalities ecg,eda --target arousal \
		--method $(NEWEST) --data-root $(DEMO) --runs $(DEMO)/runs
	$(BIN)/embench report $(NEWEST) --out $(DEMO)/report.html --data-root $(DEMO)

$(DEMO)/amigos/EMBENCH_SYNTHETIC.json: plugins/embench_plugins/datasets/amigos/synthetic.py | $(INSTALLED)
	rm -rf $(DEMO)/amigos
	$(BIN)/embench data synthesize amigos --out $(DEMO)/amigos --subjects 20 --length-s 30

# The three linters side by side; mypy and import-linter keep what they know of unchanged files.
lint: setup
	$(MAKE) --no-print-directory --jobs 3 --output-sync ruff mypy imports

ruff: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

mypy: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# pytest ends with 5 where it found no test, so neither target can pass on nothing. One thread for each of the workers:
# they share the machine, and sums of floats then come in one order. The tests of a file stay with one worker, so that
# what they share is made once. Compiled modules are kept, whatever the machine says: to compile the tests anew takes
# each worker nine seconds.
WORKERS ?= logical
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/pytest
SHARED := -n $(WORKERS) --dist loadfile

test: lint
	$(PYTEST) $(SHARED) -m "not slow"

# Ray is large, and has no wheel for every system: where it can't be installed, its test is skipped.
test-all: setup
	-$(BIN)/python -m pip install --quiet ray -c constraints.txt
	$(PYTEST) $(SHARED) -m slow

# The quick tests with the lowest versions that pyproject.toml admits, or with the newest: RESOLUTION=highest. The folder
# holds the versions in versions.txt, and in numbers.json what `python -m bench.versions` compares.
RESOLUTION ?= lowest-direct
VERSIONS := .embench/versions/$(RESOLUTION)
UV := .embench/versions/uv/bin/uv
versions:
	test -x $(UV) || { $(PYTHON) -m venv .embench/versions/uv && .embench/versions/uv/bin/pip install --quiet uv; }
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VERSIONS)
	$(UV) pip compile --quiet --python $(VERSIONS) --resolution $(RESOLUTION) --extra features pyproject.toml \
		-o $(VERSIONS)/versions.txt
	$(UV) pip install --quiet --python $(VERSIONS) -r $(VERSIONS)/versions.txt pytest pytest-xdist hypothesis
	$(UV) pip install --quiet --python $(VERSIONS) --no-deps -e .
	OMP_NUM_THREADS=1 $(VERSIONS)/bin/python -m pytest $(SHARED) -m "not slow"
	OMP_NUM_THREADS=1 $(VERSIONS)/bin/python -m bench.versions $(VERSIONS)/numbers.json

# The tests, quick and slow, that run a line which changed since they last passed here. What they read besides Python is
# not traced: where any of it changed, all run. So do all of them the first time, twice as long as otherwise.
test-changed: setup
	$(PYTEST) $(SHARED) --testmon --testmon-env "'$$(git ls-files -coz --exclude-standard -- ':!*.py' ':!*.md' | xargs -0 sha256sum | sha256sum)'"

# Long proofs, in parts that go on where they were interrupted: `python -m tests.proofs --list` shows what was run. `make
# test-all` holds a small fixed sample of each; bench/testing.md says what they prove.
PROOF := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m tests.proofs

rates: setup
	$(PROOF) rates

personal: setup
	$(PROOF) personal

# `make fuzz SEED=17` tries one mutated study of one's own again, and keeps it in .embench/fuzz-own.
fuzz: setup
	$(if $(SEED),$(BIN)/python -m tests.own_cases --seed $(SEED),$(PROOF) fuzz)

mutants: setup
	$(PROOF) mutants

sealed: setup
	$(PROOF) sealed

papers: setup
	$(PROOF) papers

# All published entries against the recordings, as after a change of a reader or of the preparation: those at hand, or
# those that anybody may download.
FETCHED := stress_predict wearable_stress eegmat quiroz2018
published: setup
	$(if $(EMBENCH_TEST_DATA),,for name in $(FETCHED); do $(BIN)/embench data fetch $$name --data-root .embench/published || exit; done)
	$(BIN)/embench leaderboard verify leaderboards --data-root $(or $(EMBENCH_TEST_DATA),.embench/published)

# Everything that is measured, side by side; `make bench ONLY="startup steps"` measures some of it. Where the peer can't be
# installed, the table says so, and the rest is measured.
bench: setup
	-$(MAKE) --no-print-directory .venv-peer/installed
	$(BIN)/python -m bench.speed $(ONLY)

# torcheeg needs older libraries, and so an environment of its own.
.venv-peer/installed: bench/requirements-peer.txt
	test -x .venv-peer/bin/python || $(PYTHON) -m venv .venv-peer
	.venv-peer/bin/python -m pip install --quiet -r bench/requirements-peer.txt
	touch $@

# Every network of the pairs, trained, and on a pretended GPU.
pairs-gpu: setup
	EMBENCH_WHOLE_PROOFS=1 $(PYTEST) -n $(WORKERS) -m "slow or not slow" tests/pairs

# A trial on this machine's GPU; where there is none it says so.
gpu: setup
	PYTHON=$(CURDIR)/$(BIN)/python bash bench/gpu/trial.sh

# A grid on a Slurm and on a Ray of this machine, while processes are killed. Where root and apt are missing, the tests of
# Slurm are skipped with the reason. `make cluster EMBENCH_KILLS=5` kills fewer.
cluster: setup
	-test "$$(id -u)" = 0 && ! command -v slurmctld >/dev/null && command -v apt-get >/dev/null && apt-get update && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge
	$(BIN)/python -m pip install --quiet -e '.[cluster]' -c constraints.txt
	EMBENCH_WHOLE_PROOFS=1 $(PYTEST) -m slow tests/cluster

# The wheel and the archive of sources in empty environments, with new plugins of every kind; the light installation, and
# the packages of examples/.
install: setup
	$(BIN)/python -m tests.install
	$(BIN)/python -m tests.install_examples

# Reports and the site in a Chromium of the system's own.
browser: setup
	EMBENCH_WHOLE_PROOFS=1 $(PYTEST) -m slow tests/report/test_browser.py tests/site/test_browser.py

# An independent reader on synthetic files.
interop: setup .venv-peer/installed
	$(BIN)/python -m tests.interop.compare .venv-peer/bin/python

# Runs the rows of the leaderboards that are not published yet, audits them and publishes them: hours on two cores.
leaderboards: setup
	for name in stress_predict wearable_stress hku956 eegmat quiroz2018; do $(BIN)/embench baselines --dataset $$name \
		--baseline-set leaderboard-v1 --level full --publish leaderboards --runs .embench/board || exit; done

clean:
	rm -rf dist build $(DEMO) $(DOCS) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .testmondata*
	find benchmark plugins tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
