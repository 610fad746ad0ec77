# The service with the external tools it calls. Not run where this file was
# made for want of a container engine; checked by reading only.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /sekretariat ./cmd/sekretariat

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates poppler-utils qpdf libreoffice-writer-nogui libreoffice-calc-nogui libheif-examples libtiff-tools tesseract-ocr tesseract-ocr-pol tesseract-ocr-osd fonts-liberation \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/sekretariat --create-home sekretariat
COPY --from=build /sekretariat /usr/local/bin/sekretariat
USER 10001
VOLUME /var/lib/sekretariat
ENTRYPOINT ["/usr/local/bin/sekretariat"]
CMD ["serve", "--config", "/etc/sekretariat/installation.yaml"]
