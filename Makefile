# dwell: `make help` lists what there is. Nothing here needs Docker, root or a running service.
.DEFAULT_GOAL := help
SHELL := /bin/bash

KAFKA ?= embedded
RUN   ?=
GO_MIN := 1.26
GOLANGCI := v2.15.0
TOOLS := $(CURDIR)/bin/tools

export KAFKA

.PHONY: help
help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: need-go
need-go:
	@command -v go >/dev/null || { echo "Go is missing. Install Go $(GO_MIN) or newer: https://go.dev/doc/install (Debian: sudo apt-get install golang-go, then it fetches the newer toolchain itself)"; exit 1; }

.PHONY: need-npm
need-npm:
	@command -v npm >/dev/null || { echo "npm is missing; it brings the embedded ClickHouse. Install Node.js: sudo apt-get install npm, or https://nodejs.org. (Or use an outside ClickHouse: make run DWELL_CLICKHOUSE=http://host:8123/dwell)"; exit 1; }

.PHONY: build
build: need-go ## Build bin/dwell
	@go build -o bin/dwell ./cmd/dwell

.PHONY: run
run: need-go $(if $(DWELL_CLICKHOUSE),,need-npm) ## Run everything here: pages on 8080, Kafka on 9092, ClickHouse on 8123 (KAFKA=real: Apache Kafka)
	@echo "building dwell (a minute the first time)"
	@$(MAKE) -s build
	@exec bin/dwell dev $(RUN)

# Packages that start brokers, engines or many processes: side by side they starve each other on two
# cores, so they are tested one after another.
BUSY := /(embedded|examples|gateway|integration|kafka|sinks/clickhouse|worker|internal/(audience|bench|declare|erase|rehearse|supervise))(/|$$)

.PHONY: test
test: need-go ## Run all tests, on the embedded Kafka and ClickHouse and on what else is there
	@go test $$(go list ./... | grep -vE '$(BUSY)') -timeout 25m $(TEST_FLAGS); ended=$$?; \
	go test -p 1 $$(go list ./... | grep -E '$(BUSY)') -timeout 25m $(TEST_FLAGS) && exit $$ended

.PHONY: race
race: need-go ## Run all tests under the race detector (needs a C compiler)
	@CGO_ENABLED=1 go test -race ./... -timeout 30m

.PHONY: lint
lint: need-go $(TOOLS)/golangci-lint ## Lint Go, check the types of the browser tag
	@$(TOOLS)/golangci-lint run ./...
	@$(if $(shell command -v npx),cd console/web && npx -y -p typescript@5.9.3 tsc --noEmit -p .,echo "npx is missing: the browser tag's types were not checked")

$(TOOLS)/golangci-lint:
	@echo "building golangci-lint $(GOLANGCI) (a minute, once)"
	@GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)

.PHONY: bench
bench: build ## Measure event to popup in a real browser, at 1,000 events/s
	@bin/dwell bench popup

.PHONY: torture
torture: need-go ## Kill workers and brokers at random (KILLS=20, SEED=, BROKERS=3, FAULTS=) and check every row
	@go build -o bin/torture ./integration/torture
	@exec bin/torture -kills $(or $(KILLS),20) -seed $(or $(SEED),0) -brokers $(or $(BROKERS),3) -faults '$(FAULTS)'

.PHONY: generate
generate: need-go ## Make the generated code again: protobuf, the browser tag's bundle
	@go generate ./schemas ./console
