# Images for --package IMAGE, as docs/dataflow.md says:
#   python -m pipelines.shipping dist           first: the wheel, with all data that workers need
#   docker build --target worker -t IMAGE .     workers of Flink and Spark; not root
#   docker build --target dataflow -t IMAGE .   workers of Dataflow, and the launcher of a template
# Python and Beam must be those of the machine that sends jobs: functions travel as pickles.
ARG PYTHON=3.11
ARG BEAM=2.77.0
ARG LAUNCHER=gcr.io/dataflow-templates-base/python311-template-launcher-base:20230622_RC00

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam

FROM ${LAUNCHER} AS launcher

FROM python:${PYTHON}-slim AS packages
ARG BEAM
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY constraints.txt dist/*.whl /tmp/dist/
# PIP_ARGS is for other indexes: of torch for CPUs only, or of your own.
ARG PIP_ARGS=
RUN pip install --no-cache-dir $PIP_ARGS -c /tmp/dist/constraints.txt \
        /tmp/dist/*.whl "apache-beam[gcp]==$BEAM" \
    && pip check

FROM python:${PYTHON}-slim AS worker
COPY --from=beam /opt/apache/beam /opt/apache/beam
RUN useradd --create-home --uid 10001 worker
COPY --from=packages --chown=worker /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    ARROW_DEFAULT_MEMORY_POOL=system \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER worker
ENTRYPOINT ["/opt/apache/beam/boot"]

# Dataflow mounts folders of root into its containers, and the launcher logs into one.
FROM worker AS dataflow
USER root
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY flex/build_corpus.py /template/build_corpus.py
# Where it lays the driver of a GPU; images that are made for GPUs have this too.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64 \
    FLEX_TEMPLATE_PYTHON_PY_FILE=/template/build_corpus.py
ENTRYPOINT ["/opt/apache/beam/boot"]
