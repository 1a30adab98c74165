# The image of every Airflow service: Airflow's official image, our pins, our code. No secret and no hospital goes in.
#
# slim, because the full image carries some sixty providers whose pins contradict ours; what we need is in
# requirements.txt. Behind a mirror:
#   docker compose build --build-arg AIRFLOW_IMAGE=mirror.example/apache/airflow:slim-3.3.2-python3.12 \
#                        --build-arg PIP_INDEX_URL=https://mirror.example/simple
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.12
FROM ${AIRFLOW_IMAGE}

# The image refuses pip as root; airflow owns the environment that pip writes to.
USER airflow
COPY --chown=airflow:0 requirements.txt /opt/airflow/requirements.txt
# Complete pins with their hashes: nothing is resolved again, and nothing else than what was locked is installed.
ARG PIP_INDEX_URL
RUN pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --requirement /opt/airflow/requirements.txt

COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 include /opt/airflow/include
# A named volume takes over the owner of the folder it covers.
RUN mkdir -p /opt/airflow/logs /opt/airflow/reports /opt/airflow/statements /opt/airflow/evidence /opt/airflow/keys /opt/airflow/demo

ENV PYTHONPATH=/opt/airflow/include:/opt/airflow/plugins \
    TZ=Asia/Shanghai \
    AIRFLOW__CORE__DEFAULT_TIMEZONE=Asia/Shanghai \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    CARD_USAGE_HOSPITALS=/opt/airflow/include/hospitals \
    CARD_USAGE_REPORTS=/opt/airflow/reports

# A build that cannot import what it will run is no build.
RUN python -c "import card_usage, demo_his, platform_sandbox, airflow.providers.fab, pymssql, psycopg"
