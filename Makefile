# The commands of the house. `make demo` and `make test` do all their own set-up.

GO      ?= go
BIN     := bin/sekretariat
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Debian packages that reading and the tests need; gcc is for the race detector.
PACKAGES_RUN  := poppler-utils qpdf libreoffice-writer-nogui libreoffice-calc-nogui libheif-examples libtiff-tools tesseract-ocr tesseract-ocr-pol tesseract-ocr-osd dovecot-imapd
PACKAGES_TEST := $(PACKAGES_RUN) gcc libc6-dev chromium libxml2-utils xmlsec1 isync swaks openssl clamav-daemon 7zip tnef openssh-client curl

.PHONY: all build demo test crash storm bench check generate fuzz setup-run setup-test clean

all: build

build: ## the binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/sekretariat

setup-run: ## Debian packages for the demo
	@scripts/packages $(PACKAGES_RUN)

setup-test: ## Debian packages for the tests
	@scripts/packages $(PACKAGES_TEST)

demo: setup-run build ## everything embedded, 31 letters through real doors
	@$(BIN) demo --data data/demo

test: setup-test build ## all tests, with the race detector, and a short crash test
	$(GO) vet ./...
	$(GO) test -race -timeout 20m ./...
	cd storage/s3/versity && $(GO) test -race -timeout 10m ./...
	cd ingest/edelivery/edeliverytest/openapi && $(GO) test -timeout 5m ./...
	cd test/compose && $(GO) test -count=1 ./...
	cd test/page && $(GO) test -count=1 -timeout 10m ./...
	CRASH_MAILS=400 CRASH_EPUAP=20 CRASH_FILES=20 CRASH_KILLS=10 $(GO) test -count=1 -timeout 15m ./test/crash

crash: setup-test build ## the long crash test: 5,000 mails, 200 ePUAP letters, 200 files, 50 kills
	CRASH_MAILS=5000 CRASH_EPUAP=200 CRASH_FILES=200 CRASH_KILLS=50 $(GO) test -count=1 -v -timeout 60m ./test/crash

storm: setup-test ## 10,000 letters through each official channel with random faults and kills, large files, signatures against xmlsec1
	SEKRETARIAT_STORM=10000 SEKRETARIAT_LARGE=1 $(GO) test -count=1 -v -timeout 60m -run 'TestStorm|TestFetchStreams' ./ingest/epuap
	SEKRETARIAT_CHAOS=20000 SEKRETARIAT_LARGE=500 $(GO) test -count=1 -v -timeout 120m -run 'TestChaos|TestLarge' ./ingest/edelivery
	SEKRETARIAT_DIFFERENTIAL=2000 $(GO) test -count=1 -v -timeout 60m -run 'TestAgainstXmlsec1|TestMutants' ./extract/xades

bench: setup-test build ## speed of the intake against mbsync
	$(BIN) bench intake

check: ## linters, where golangci-lint is installed
	golangci-lint run ./...

generate: ## references that are made from the code
	$(GO) generate ./...

fuzz: ## a minute for each fuzz target
	@scripts/fuzz

clean:
	rm -rf bin dist
