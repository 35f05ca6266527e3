"""Data sets and files: is what the sources hold in the hub, and how old is it?"""

from deploy.grafana.model import (
    GREEN,
    HEALTHY_AT_ONE,
    ORANGE,
    RED,
    Board,
    Panel,
    Query,
    Row,
    Variable,
)

_SINCE = 'time() - max by (source) (scanner_last_complete_timestamp_seconds{source=~"$source"} > 0)'

DATASETS = Board(
    uid="penstock-datasets",
    title="Penstock / Data sets and files",
    says="Sources: do they answer, when were they last read to the end, what changed, what is held.",
    variables=(
        Variable(
            "source", "source", "label_values(scanner_last_complete_timestamp_seconds, source)"
        ),
    ),
    rows=(
        Row(
            "Freshness",
            (
                Panel(
                    title="Time since the last complete look",
                    says="By source. Three intervals and a quarter of an hour raise SourceStale.",
                    kind="bars",
                    queries=(Query(_SINCE, "{{source}}"),),
                    unit="s",
                    alert="SourceStale",
                ),
                Panel(
                    title="Source answers",
                    says="1 if the share or the record source answered last time.",
                    queries=(
                        Query(
                            'max by (source) (scanner_share_up{source=~"$source"})', "{{source}}"
                        ),
                        Query(
                            'max by (source) (scanner_source_up{source=~"$source"})', "{{source}}"
                        ),
                    ),
                    maximum=1,
                    thresholds=HEALTHY_AT_ONE,
                    alert="SourceDown",
                ),
                Panel(
                    title="Deletions held back",
                    says="By the guard, until somebody decides. Zero is normal.",
                    queries=(
                        Query(
                            'max by (source) (scanner_held_deletions{source=~"$source"})',
                            "{{source}}",
                        ),
                    ),
                    thresholds=((None, GREEN), (1, ORANGE)),
                    alert="DeletionsHeld",
                ),
            ),
        ),
        Row(
            "Changes",
            (
                Panel(
                    title="Files announced",
                    says="Per minute: added, modified, deleted.",
                    queries=(
                        Query(
                            "60 * sum by (change) (rate(scanner_files_changed_total"
                            '{source=~"$source"}[$__rate_interval]))',
                            "{{change}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                ),
                Panel(
                    title="Records announced",
                    says="Per minute, of record sources (APIs, directories, databases).",
                    queries=(
                        Query(
                            "60 * sum by (source) (rate(scanner_records_changed_total"
                            '{source=~"$source"}[$__rate_interval]))',
                            "{{source}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                ),
                Panel(
                    title="Failures",
                    says="Of the scanner, per minute and category. Zero is normal.",
                    queries=(
                        Query(
                            "60 * sum by (category) (rate(scanner_errors_total[$__rate_interval]))",
                            "{{category}}",
                        ),
                    ),
                    unit="opm",
                ),
            ),
        ),
        Row(
            "Into bronze",
            (
                Panel(
                    title="Files by outcome",
                    says="File events per minute that the ingestor applied, by what came of them.",
                    queries=(
                        Query(
                            "60 * sum by (outcome) (rate(ingestor_file_events_total"
                            '{source=~"$source"}[$__rate_interval]))',
                            "{{outcome}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                ),
                Panel(
                    title="Records by outcome",
                    says="Record events per minute that the ingestor applied.",
                    queries=(
                        Query(
                            "60 * sum by (outcome) (rate(ingestor_record_events_total"
                            '{source=~"$source"}[$__rate_interval]))',
                            "{{outcome}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                ),
                Panel(
                    title="Bytes fetched",
                    says="From shares, per second.",
                    queries=(
                        Query(
                            "sum by (source) (rate(ingestor_fetched_bytes_total"
                            '{source=~"$source"}[$__rate_interval]))',
                            "{{source}}",
                        ),
                    ),
                    unit="Bps",
                ),
                Panel(
                    title="Known and in place",
                    says="Files and records that the scanner knows, by source.",
                    kind="table",
                    queries=(
                        Query(
                            'max by (source) (scanner_inventory_files{source=~"$source"}) > 0',
                            "{{source}} (files)",
                        ),
                        Query(
                            'max by (source) (scanner_known_records{source=~"$source"}) > 0',
                            "{{source}} (records)",
                        ),
                    ),
                ),
                Panel(
                    title="Unanswered announcements",
                    says="Files that bronze lacks, or still has, after every repetition.",
                    queries=(
                        Query(
                            'max by (source) (scanner_unanswered_announcements{source=~"$source"})',
                            "{{source}}",
                        ),
                    ),
                    thresholds=((None, GREEN), (1, RED)),
                    alert="AnnouncementsUnanswered",
                ),
                Panel(
                    title="Scan duration",
                    says="95 % of the scans are faster.",
                    queries=(
                        Query(
                            "histogram_quantile(0.95, sum by (le, source) "
                            '(rate(scanner_scan_duration_seconds_bucket{source=~"$source"}'
                            "[$__rate_interval])))",
                            "{{source}}",
                        ),
                    ),
                    unit="s",
                ),
            ),
        ),
    ),
)
