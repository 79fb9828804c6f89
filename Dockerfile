# Two images of one file. `docker build .` makes the one that servers, workers and nights run in;
# `docker build --target model-server .` the smaller one that answers with the champion's lists.
# Both install nothing but what a lock names with its hash, and run as nobody in particular.

FROM python:3.11-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY deploy/grail.lock /tmp/
RUN /opt/venv/bin/python -m pip install --require-hashes --no-deps --only-binary :all: -r /tmp/grail.lock

FROM python:3.11-slim-bookworm AS model-server-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY deploy/model-server.lock /tmp/
RUN /opt/venv/bin/python -m pip install --require-hashes --no-deps --only-binary :all: -r /tmp/model-server.lock

FROM python:3.11-slim-bookworm AS base
# libgomp1: implicit's wheel brings none of its own
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 grail \
    && useradd --uid 10001 --gid grail --create-home grail \
    && install --directory --owner grail --group grail --mode 700 /var/lib/grail
# HOME: where all else is read-only, temporary files can be written
ENV PATH=/opt/venv/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true PREFECT_SERVER_ANALYTICS_ENABLED=false
USER 10001:10001

FROM base AS model-server
COPY --from=model-server-packages /opt/venv /opt/venv
WORKDIR /home/grail
ENV MODEL=models:/grail@champion OPENBLAS_NUM_THREADS=1 TF_CPP_MIN_LOG_LEVEL=3
EXPOSE 8080
HEALTHCHECK --start-period=120s \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8080/ping')"]
CMD ["sh", "-c", "exec mlflow models serve --model-uri \"$MODEL\" --env-manager local --host 0.0.0.0 --port 8080"]

FROM base AS grail
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/grail
COPY pyproject.toml requirements.lock prefect.yaml ./
COPY deploy deploy
COPY schemas schemas
COPY tasks tasks
COPY flows flows
VOLUME /var/lib/grail
CMD ["python", "-m", "flows", "--help"]
