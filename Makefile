# Two commands for a fresh machine with Rust: `make demo` and `make test`.
# Everything else is a `cargo xtask` task: `cargo xtask --help`.

.DEFAULT_GOAL := help
.PHONY: help demo test check ci deps clean rust

help:
	@echo "make demo    private PostgreSQL, the pooler, traffic, a live page with outages to try; Ctrl-C ends it"
	@echo "make test    build once, then every test: unit, simulator, end-to-end"
	@echo "make check   style, lints, docs, licences"
	@echo "make ci      check, then test, each step within its budget of time"
	@echo "make deps    find PostgreSQL, or install it with the system's package manager"
	@echo "make clean   remove what was built"
	@echo
	@echo "ARGS='--seconds 30' make demo ends by itself; ARGS='--outage 004 --guard off' begins one."
	@echo "PGBIN=/path/to/postgresql/bin chooses a PostgreSQL. As root all works too."

demo: deps
	cargo run --profile test-fast -p plimsoll -- demo $(ARGS)

test: deps
	cargo xtask test

check: rust
	cargo xtask check

ci: rust
	cargo xtask ci

deps: rust
	cargo xtask deps

clean: rust
	cargo clean

rust:
	@command -v cargo >/dev/null 2>&1 || { \
	  echo "cargo was not found. Install Rust from https://rustup.rs, then open a new shell." >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || { \
	  echo "A C compiler (cc) was not found. Install it:" >&2; \
	  echo "  Debian, Ubuntu   sudo apt-get install build-essential" >&2; \
	  echo "  Fedora, RHEL     sudo dnf install gcc" >&2; \
	  echo "  macOS            xcode-select --install" >&2; exit 1; }
