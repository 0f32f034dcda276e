# Entry points for people and for CI. Each target does its own set-up: all it needs is Rust.

# Finds PostgreSQL or gets it, and tells the command that follows where it is.
WITH_POSTGRES := .ci/postgres.sh
# The same for PgBouncer, without which a few tests are skipped.
WITH_PGBOUNCER := .ci/pgbouncer.sh

# Most tests wait most of their time, so that more of them than there are cores are at work; those that cannot bear that say so.
TEST_THREADS := cores=$$(getconf _NPROCESSORS_ONLN); RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((cores > 6 ? cores : 6))}

.PHONY: help demo test test-pgbouncer torture mutants bench bench-engine bench-pure bench-reclaim pace-eval lint setup clean

help: ## what can be made (the default)
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: ## kill a backfill half way and watch it finish, on a throwaway server
	@$(WITH_POSTGRES) cargo run --locked --release -- demo $(ARGS)

test: ## all tests, on throwaway servers
	@$(TEST_THREADS) $(WITH_POSTGRES) $(WITH_PGBOUNCER) cargo test --locked

test-pgbouncer: ## the tests with a server, all of them through PgBouncer in transaction mode
	@$(TEST_THREADS) PGBACKFILL_TEST_THROUGH=pgbouncer $(WITH_POSTGRES) $(WITH_PGBOUNCER) cargo test --locked --test it $(ARGS)

torture: ## every fault at every message and every await of the engine, then all of them at random, for DURATION seconds (600; OTHER=FILE, another version of the binary that takes part)
	@PGBACKFILL_TORTURE_SECONDS=$(or $(DURATION),600) $(if $(OTHER),PGBACKFILL_OTHER=$(abspath $(OTHER))) $(WITH_POSTGRES) cargo test --locked --test it -- --nocapture faults::injected::everywhere faults::random::

mutants: ## engines that are broken on purpose, each caught by a part of the tests or not, about 30 min (ONLY=name,name for some of them)
	@PGBACKFILL_MUTANTS=1 $(WITH_POSTGRES) cargo test --locked --test it -- --nocapture mutants::no_mutant

bench-engine: ## what the engine costs (ARGS=overhead, first-batch or memory for one of them)
	@$(WITH_POSTGRES) cargo bench --locked --bench engine -- $(ARGS)

bench-pure: ## what the client itself computes, without a server
	@cargo bench --locked --bench pure

pace-eval: ## what a backfill does to an application, about 25 min (ARGS=loads, overhead or steps; SECONDS=, WARM_UP=, ROWS=, REPEATS=)
	@$(WITH_POSTGRES) cargo bench --locked --bench pace -- $(ARGS)

bench-reclaim: ## how long until the range of a process that is gone is taken over, about 3 min (REPEATS=)
	@$(WITH_POSTGRES) cargo bench --locked --bench reclaim

bench: ## the order against one UPDATE, a loop and key order (ROWS=, REPEATS=, ARGS=one-index for one case of eight)
	@$(WITH_POSTGRES) cargo bench --locked --bench order -- $(ARGS)

lint: ## format, lints and documentation, warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

setup: ## find PostgreSQL's server programs or get them
	@$(WITH_POSTGRES)

clean: ## remove what was built and what setup put into .pg
	cargo clean
	rm -rf .pg
