# One image for every process of Bellwire; docker-compose.yml says which one a container runs.
FROM python:3.13-slim AS installed
WORKDIR /app
COPY requirements.lock pyproject.toml README.md ./
# The versions of the lock file with their hashes, without what only development needs.
RUN pip install --no-cache-dir "uv==$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)" \
    && uv venv /venv \
    && uv pip install --python /venv/bin/python --compile-bytecode --constraint requirements.lock -r pyproject.toml
COPY . .
RUN uv pip install --python /venv/bin/python --no-deps --editable . \
    && /venv/bin/python -m compileall -q api channels config domain models pipeline tasks workers

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin bellwire
COPY --from=installed /venv /venv
COPY --from=installed /app /app
WORKDIR /app
USER bellwire
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 BELLWIRE_HOME=/tmp/bellwire BELLWIRE_HOST=0.0.0.0
EXPOSE 8080
CMD ["uvicorn", "api.app:app", "--host", "0.0.0.0", "--port", "8080", "--ws-max-size", "65536", "--no-access-log"]
