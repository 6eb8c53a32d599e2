# The daemon in a container: it dreams what appears in /in into /out.
#
#     docker build -t deepdream .                               for the CPU
#     docker build -t deepdream --build-arg COMPUTE=cu128 .     for NVIDIA's GPUs; then docker run --gpus all …
#
#     docker run -d --name deepdream -v ~/Pictures/in:/in:ro -v ~/Pictures/out:/out -v deepdream:/state deepdream
#     docker exec deepdream deepdream status
#
# A configuration of your own: -v ./config.toml:/etc/deepdream/config.toml:ro, made from daemon/service/docker.toml.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
# "cpu", or one of the CUDA versions at https://download.pytorch.org/whl, such as "cu128".
ARG COMPUTE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/deepdream
# By far the largest part, and it seldom changes.
RUN /opt/deepdream/bin/pip install --index-url "https://download.pytorch.org/whl/${COMPUTE}" "torch>=2.11" "torchvision>=0.26"
COPY . /source
RUN /opt/deepdream/bin/pip install /source

FROM python:${PYTHON}-slim
# Whose files the dreams are: --build-arg USER_ID=$(id -u).
ARG USER_ID=1000
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid "${USER_ID}" --create-home deepdream \
    && install --directory --owner deepdream --group deepdream /in /out /cache \
    && install --directory --owner deepdream --group deepdream --mode 700 /state
COPY --from=build /opt/deepdream /opt/deepdream
COPY daemon/service/docker.toml /etc/deepdream/config.toml
ENV PATH=/opt/deepdream/bin:$PATH \
    DEEPDREAM_CONFIG=/etc/deepdream/config.toml \
    XDG_CACHE_HOME=/cache \
    PYTHONSAFEPATH=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# By its number, which tells those who run no image as root that it is not.
USER ${USER_ID}
VOLUME ["/in", "/out", "/state", "/cache"]
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["deepdream", "health"]
# tini is process 1: it passes signals on, and buries processes that nobody waits for.
ENTRYPOINT ["tini", "--", "deepdream"]
CMD ["run"]
