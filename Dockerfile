# syntax=docker/dockerfile:1

# The compiler runs on the builder's own platform and cross-compiles: nothing is emulated.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
# Modules are a layer of their own, kept until go.mod or go.sum changes.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
ARG TARGETOS
ARG TARGETARCH
# Without cgo the binary is static, as the final image needs: it has no libc.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /orderwatch ./cmd/orderwatch

# It has no tags of versions. To build from the same one each time, write its digest behind the tag (…:nonroot@sha256:…):
# docker buildx imagetools inspect gcr.io/distroless/static-debian12:nonroot
# It holds CA certificates, time zones and the user 65532, and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /orderwatch /orderwatch
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
# The default, 127.0.0.1, is out of reach of probes and scrapers.
ENV ORDERWATCH_HTTP_ADDR=:8080
EXPOSE 8080
# For engines that know it; Kubernetes has probes instead.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/orderwatch", "health"]
ENTRYPOINT ["/orderwatch"]
CMD ["serve"]
