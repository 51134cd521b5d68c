# make test   everything, with -race, against real servers (installs what is missing)
# make race   the same, with -race also for the modules that make test runs without it
# make lint   gofmt, go vet, staticcheck, and go build and go vet for PLATFORMS, of this module and the examples
# make vet    go vet alone
# make cover  the tests without -race, and how much of the code they run
# make fuzz   every fuzz target, FUZZTIME each: a time, or a number of inputs such as 20000x
# make bench  benchmarks, BENCHTIME each, and what calls cost compared with other libraries: the tables go
#             into docs/comparison.md and docs/performance.md, unless BENCHTIME is a number such as 10x
# make peers  the tables alone
# make scale  how costs grow: the plots go into docs/
# make stress the search for outdated values, STRESSOPS operations, also while an attacker writes to the server; the
#             tests do some thousands
# make sim    SEEDS simulated histories, from the seed FROM on, and those that are kept, on all processors; ON=store,
#             memcached or locmem has them be on that one; go test in sim does some of them
# make planted      the bugs that are planted in the library, one at a time: the simulation has to find each
# make soak   every fault of servers and network, in the long form, with times held to their bars
# make stampede      stampedes of 16 processes, with the latencies held to their bars
# make test-django   groups shared with a Django project (installs Django and pymemcache)
# make questions     five questions to this library and its peers; the tables go into
#             docs/comparison.md and README.md

SHELL       := /bin/bash
MODULES     := $(sort $(patsubst ./%,%,$(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path '*/testdata/*' -not -path './.*'))))
NESTED      := $(filter-out .,$(MODULES))
FUZZTIME    ?= 2m
BENCHTIME   ?= 1s
STRESSOPS   ?= 1000000
SEEDS       ?= 1000000
FROM        ?= 1
ON          ?=
PEERS       := -write ../docs/comparison.md -docs ../docs/performance.md
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SERVERS     := CACHEUTILS_REQUIRE_SERVERS=1
PLATFORMS   ?= linux/386 darwin/arm64 windows/amd64 plan9/amd64 js/wasm
GOROUTINES  := ./internal/goroutine ./internal/flight ./internal/store
WORDS       := $(GOROUTINES) ./cachekey ./engine ./cache ./internal/codec ./internal/entry ./internal/keyenc ./backends/locmem ./backends/memcached
FOR_USERS   := $(filter examples examples/% codecs/%,$(MODULES))
BUT_FAULTS   = $$(go list ./... | grep -v /internal/test/faults$$)

.PHONY: test race vet lint cover fuzz bench peers scale stress sim planted soak stampede test-django questions tools

# The faults keep the machine busy, and have times to keep: they run by themselves. On 386, words have 32 bits, and
# goroutines are told apart without assembly, as on most processors; so they are with the tag purego.
test: tools
	$(SERVERS) go test -race $(BUT_FAULTS)
	$(SERVERS) go test -race ./internal/test/faults
	go test -tags purego $(GOROUTINES) ./internal/entry
	@case $$(go env GOHOSTOS)/$$(go env GOHOSTARCH) in \
		linux/amd64|linux/386) set -ex; export GOARCH=386 $(SERVERS); \
			go test $(WORDS); \
			go test -run 'Recursion|Shape|Law3|Law8' ./decorators ;; \
		*) echo "not tested for 386: this machine can't run that" ;; \
	esac
	@set -e; for module in $(NESTED); do \
		case $$module in bench|sim) flags= ;; stress) flags=-v ;; *) flags=-race ;; esac; \
		(set -x; cd $$module; $(SERVERS) go test $$flags ./...); \
	done

race: tools
	$(SERVERS) go test -race $(BUT_FAULTS)
	$(SERVERS) go test -race ./internal/test/faults
	@set -e; for module in $(NESTED); do (set -x; cd $$module; $(SERVERS) go test -race ./...); done

# The race detector needs a C compiler, the tests need memcached.
tools:
	@missing=; \
	command -v memcached >/dev/null || missing="$$missing memcached"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	if [ -n "$$missing" ]; then \
		apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; \
	fi

lint:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	@set -e; for module in $(MODULES); do \
		(set -x; cd $$module; go vet ./...; go run $(STATICCHECK) ./...); \
	done
	@set -e; for platform in $(PLATFORMS); do echo "go build and vet for $$platform"; \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		for module in . $(FOR_USERS); do (cd $$module; go build -o /dev/null ./... && go vet ./...); done; \
	done

vet:
	@set -e; for module in $(MODULES); do (set -x; cd $$module; go vet ./...); done

cover: tools
	$(SERVERS) go test -coverpkg=./... -coverprofile=coverage.out $(BUT_FAULTS)
	go tool cover -func=coverage.out | tail -n 1

fuzz:
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: tools
	$(SERVERS) go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	cd bench && $(SERVERS) go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	cd bench && go run ./cmd/peers $(if $(filter %x,$(BENCHTIME)),-short,$(PEERS))
	$(if $(filter %x,$(BENCHTIME)),cd bench && go run ./cmd/scale -short)

peers: tools
	cd bench && go run ./cmd/peers $(PEERS)

scale: tools
	cd bench && go run ./cmd/scale -docs ../docs/performance.md

stress: tools
	cd stress && $(SERVERS) go test -run Stress -stress.ops=$(STRESSOPS) -timeout 120m -v ./...

sim:
	cd sim && go test -run 'TestKept|TestSeeds' -sim.seeds=$(SEEDS) -sim.from=$(FROM) -sim.on=$(ON) -timeout 0 -v .

planted:
	cd sim && go test -run 'TestPlanted$$' -sim.planted -timeout 24h -v .

soak: tools
	CACHEUTILS_LONG=1 $(SERVERS) go test -run Fault -timeout 30m -v ./...

stampede: tools
	CACHEUTILS_LONG=1 $(SERVERS) go test -run TestStampede -v ./decorators

test-django: tools
	@dpkg -s python3-django python3-pymemcache >/dev/null 2>&1 || \
		{ apt-get update -q && apt-get install -y -q --no-install-recommends python3-django python3-pymemcache; }
	CACHEUTILS_REQUIRE_DJANGO=1 $(SERVERS) go test -v ./internal/test/django

questions: tools
	cd bench && $(SERVERS) go run ./cmd/questions -write ../docs/comparison.md -short ../README.md
