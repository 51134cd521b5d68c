# make test   everything, with -race, against real servers (installs memcached if it is missing)
# make lint   gofmt, go vet, staticcheck
# make cover  coverage by function
# make fuzz   every fuzz target, FUZZTIME each
# make bench  benchmarks; the comparisons with other libraries are in bench/

SHELL     := /bin/bash
FUZZTIME  ?= 2m
BENCHTIME ?= 1s
STATICCHECK_VERSION := v0.8.2

.PHONY: test lint cover fuzz bench servers

test: servers
	CACHEUTILS_REQUIRE_SERVERS=1 go test -race ./...

servers:
	@command -v memcached >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends memcached; }

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "not gofmt-clean: run gofmt -w"; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION) ./...

cover: servers
	CACHEUTILS_REQUIRE_SERVERS=1 go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out | tail -n 1

fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: servers
	CACHEUTILS_REQUIRE_SERVERS=1 go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
