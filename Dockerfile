# The server and its shipped providers: docker build --tag registry.example.com/metrics-apiserver:0.1.0 .
# A version says which base image it is; a digest would also say that it never changes: replace the tag with
# python@sha256:… of the one that you have checked.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
# The same files from the same sources, whenever and wherever it is built: times of a fixed date, no random order.
ENV SOURCE_DATE_EPOCH=315532800 PYTHONHASHSEED=0 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt ./
# What builds the wheel stays in this stage.
RUN pip install --constraint constraints.txt setuptools
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY app/ app/
COPY providers/ providers/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .
# Into an empty prefix, with nothing taken for present that only this stage has. Add the packages of your providers here.
RUN pip install --ignore-installed --no-compile --constraint constraints.txt --prefix /install /wheel/*.whl
# Compiled once, here, as the root file system is read-only later; by content, as times of files are not the same twice.
RUN python -m compileall -q --invalidation-mode unchecked-hash -s /install -p /usr/local /install

FROM ${BASE}
COPY --from=build /install /usr/local
ENV PYTHONDONTWRITEBYTECODE=1
WORKDIR /
# Nobody's number; Kubernetes can tell by a number that it is not root.
USER 65532:65532
EXPOSE 6443
ENTRYPOINT ["metrics-apiserver", "serve"]
