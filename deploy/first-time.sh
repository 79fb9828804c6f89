#!/bin/sh
# Makes the work pool, the automation and the deployments on a Prefect server that has none of them.
set -eu
if prefect deployment inspect nightly/nightly > /dev/null 2>&1; then
    echo "the deployments are there"
    exit
fi
prefect work-pool create grail --overwrite --type process --base-job-template deploy/process-pool.json
prefect automation create --from-file deploy/killed-runs.yaml
prefect --no-prompt deploy --all
