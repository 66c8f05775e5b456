# avel for localizing on a CPU, and its page in the browser.
#
#   docker build -t avel .                                   # the networks' weights are part of the image
#   docker build -t avel --build-arg WEIGHTS= .              # without them: avel fetches them when it first runs
#
# docs/installation.md says how it is run.
FROM python:3.11-slim
# What localizing needs ("default"), names that `avel weights list` shows, or nothing.
ARG WEIGHTS=default
ENV AVEL_CACHE_DIR=/cache MPLCONFIGDIR=/tmp/matplotlib \
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /avel
COPY pyproject.toml constraints.txt README.md LICENSE THIRD_PARTY.md ./
COPY src src
RUN pip install -c constraints.txt '.[web]' && useradd --create-home avel \
    && mkdir /cache /results && chown avel /cache /results && chmod a+rwxt /cache /results
USER avel
# Whoever runs the image as another user can add to the cache too.
RUN case "$WEIGHTS" in \
        "") ;; \
        default) avel weights fetch && chmod -R a+rwX /cache/weights ;; \
        *) avel weights fetch $WEIGHTS && chmod -R a+rwX /cache/weights ;; \
    esac
WORKDIR /videos
ENTRYPOINT ["avel"]
CMD ["--help"]
