# Gearshift on CPU. Build: docker build -t gearshift .    Run: docker run -p 8000:8000 -p 8001:8001 -p 8002:8002 gearshift
# Training is not in it (torch is large): `gearshift train` publishes from outside into a repository that is mounted.
# Stage 1 follows `make venv` and `make models`; stage 2 has only the result and runs as an ordinary user.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends g++ libnghttp2-dev && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY native native
COPY gearshift gearshift
COPY server server
COPY profiler profiler
COPY models models
COPY loadtest loadtest
COPY trainer trainer
COPY surroundings surroundings
COPY wire wire
RUN python -m venv /app/.venv \
 && /app/.venv/bin/pip install --no-cache-dir -c constraints.txt -e . \
 && XDG_CACHE_HOME=/app/cache /app/.venv/bin/gearshift models build \
 && rm -rf /app/cache/gearshift/downloads

FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends libnghttp2-14 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 gearshift \
 && mkdir -p /var/lib/gearshift/profiles \
 && chown -R gearshift /var/lib/gearshift
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    GEARSHIFT__MODELS__REPOSITORY=/app/cache/gearshift/models \
    GEARSHIFT__PROFILES__FOLDER=/var/lib/gearshift/profiles
VOLUME /var/lib/gearshift/profiles
WORKDIR /app
USER gearshift
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8002/readyz', timeout=2)"]
ENTRYPOINT ["gearshift"]
CMD ["serve"]
