"""The dashboards, in the order in which they are read."""

from deploy.grafana.boards.datasets import DATASETS
from deploy.grafana.boards.fleet import FLEET
from deploy.grafana.boards.kafka import KAFKA
from deploy.grafana.boards.refresh import REFRESH
from deploy.grafana.boards.service import SERVICE
from deploy.grafana.boards.silver import SILVER
from deploy.grafana.boards.slo import SLO

BOARDS = (FLEET, SERVICE, DATASETS, SILVER, REFRESH, KAFKA, SLO)
