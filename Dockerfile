# syntax=docker/dockerfile:1
# The service as an image: built here, run by a user who is not root. Its data is in /data.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the layers: a changed line does not build librdkafka and SQLite again.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --bin baedal && cp target/release/baedal /baedal

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin baedal \
    && install -d -o baedal -g baedal -m 0700 /data
COPY --from=build /baedal /usr/local/bin/baedal
USER baedal
VOLUME /data
# Inside a container every address is reachable only as far as the container's network lets it be. Not being loopback,
# it also closes the development sign-in, unless BAEDAL__ACCESS__DEVELOPMENT_SIGN_IN=on opens it.
ENV BAEDAL__DATA_DIR=/data \
    BAEDAL__HTTP__LISTEN=0.0.0.0:8088 \
    BAEDAL__LOG__FORMAT=json
EXPOSE 8088
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8088/readyz"]
ENTRYPOINT ["baedal"]
CMD ["serve"]
