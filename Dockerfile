# pandaenv with the versions it is tested with, on the CPU.
#   docker build -t pandaenv . && docker run --rm -v "$PWD:/work" pandaenv --help
FROM python:3.12-slim

WORKDIR /source
COPY constraints.txt setup.cfg pyproject.toml README.md LICENSE ./
COPY foundations foundations
COPY generators generators
COPY metrics metrics
COPY pandaenv pandaenv
COPY benchmarks benchmarks
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c constraints.txt ".[ingest,offline,rl]" \
    && useradd --create-home --uid 1000 panda

USER 1000
WORKDIR /work
ENTRYPOINT ["pandaenv"]
