# Glimpse in a container: docs/operations.md says how it is run.
FROM python:3.11-slim-bookworm AS packages
WORKDIR /glimpse
COPY requirements.txt requirements-milvus.txt requirements-postgres.txt requirements-qdrant.txt requirements-s3.txt ./
# Engines beyond one machine, such as "postgres s3 milvus": docs/scaling.md.
ARG EXTRAS=""
# The CPU build of torch first, and the second line keeps it: the one of PyPI brings several GB of CUDA libraries.
RUN python3 -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep -o '^torch==[0-9.]*' requirements.txt)" \
 && .venv/bin/pip install --no-cache-dir -r requirements.txt \
 && for extra in $EXTRAS; do .venv/bin/pip install --no-cache-dir -r "requirements-$extra.txt" || exit 1; done

FROM python:3.11-slim-bookworm
RUN useradd --uid 1000 --create-home glimpse \
 && install -d -o glimpse -g glimpse /data /models
WORKDIR /glimpse
COPY --from=packages /glimpse/.venv .venv
COPY run.py ./
COPY app app
COPY templates templates
COPY static static
COPY models models
ENV GLIMPSE_DATA=/data \
    GLIMPSE_HOST=0.0.0.0 \
    HF_HOME=/models \
    PYTHONUNBUFFERED=1
USER glimpse
VOLUME ["/data", "/models"]
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD [".venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/healthz', timeout=4)"]
ENTRYPOINT [".venv/bin/python", "run.py"]
