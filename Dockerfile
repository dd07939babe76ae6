# embench from its own wheel, with torch for the CPU. `docker build -t embench .`; docs/README.md shows how to run it.
FROM python:3.13-slim AS build
COPY . /source
RUN python -m pip wheel --no-deps --wheel-dir /dist /source

FROM python:3.13-slim
COPY --from=build /dist /dist
COPY constraints.txt /dist/
RUN python -m pip install --no-cache-dir --no-deps torch torchvision -c /dist/constraints.txt \
        --index-url https://download.pytorch.org/whl/cpu \
    && python -m pip install --no-cache-dir /dist/*.whl -c /dist/constraints.txt \
    && useradd --create-home --uid 1000 embench \
    && install -d -o embench -g embench /data /work /cache
ENV EMBENCH_DATA=/data EMBENCH_CACHE=/cache MPLCONFIGDIR=/tmp/matplotlib
USER embench
WORKDIR /work
VOLUME ["/work", "/cache"]
ENTRYPOINT ["embench"]
CMD ["--help"]
