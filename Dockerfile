# avel for localizing on a CPU, and its page in the browser.
#
#   docker build -t avel .                                   # the networks' weights are part of the image
#   docker build -t avel --build-arg WEIGHTS= .              # without them: avel fetches them when it first runs
#   docker run --rm -v "$PWD:/videos:ro" -v "$PWD/results:/results" avel localize /videos -o /results
FROM python:3.11-slim
ARG WEIGHTS="yamnet efficientnet-lite0 blazeface-back face-landmark i3d-kinetics400 speaker-gender"
ENV AVEL_CACHE_DIR=/cache PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /avel
COPY pyproject.toml constraints.txt README.md LICENSE THIRD_PARTY.md ./
COPY src src
RUN pip install -c constraints.txt '.[web]' && useradd --create-home avel \
    && mkdir /cache /results && chown avel /cache /results
USER avel
RUN if [ -n "$WEIGHTS" ]; then avel weights fetch $WEIGHTS || true; fi
WORKDIR /videos
ENTRYPOINT ["avel"]
CMD ["--help"]
