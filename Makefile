# Everything a person or a machine does with this repository. Each target installs what it needs, asks nothing, and may be run
# again at any time; downloads stay in ${XDG_CACHE_HOME:-~/.cache}/hearth.
.PHONY: help up test check bench sqlx
.DEFAULT_GOAL := help

help:
	@echo 'make up      build Hearth and run it in the foreground (HEARTH__HTTP__LISTEN=host:port, HEARTH_HOME=folder)'
	@echo 'make test    run every test, on real Sparks and a real Postgres'
	@echo 'make check   formatting, lints, architecture, licences, query metadata'
	@echo 'make bench   measure Hearth (and PEER_URL=http://host:port, another Livy server) into target/bench.md'
	@echo 'make sqlx    write .sqlx anew after a change of a query or a migration'

up:
	@scripts/up

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench

sqlx:
	@scripts/sqlx
