"""The registered schema of each data set, and the policy for its drift (S5-23)."""

from pydantic import ValidationError as InvalidDocumentError

from chassis.drift import Drift
from chassis.logs import get_logger
from contracts.drifts import DriftStatus
from wrds_sync import metrics
from wrds_sync.domain.schema import DatasetSchema, SchemaDrift
from wrds_sync.errors import ManifestError, SchemaError
from wrds_sync.ports import Documents, Ledger

SERVICE = "wrds_sync"


class SchemaRegistry:
    """Keeps the present schema of a data set, and every version before it."""

    def __init__(self, documents: Documents, ledger: Ledger) -> None:
        self._documents = documents
        self._ledger = ledger

    async def get_schema(self, dataset: str) -> DatasetSchema | None:
        """Return the registered schema; None before the first sync.

        Raises:
            ManifestError: it cannot be read.
        """
        text = await self._documents.read(_key(dataset))
        if text is None:
            return None
        try:
            return DatasetSchema.model_validate_json(text)
        except InvalidDocumentError as error:
            raise ManifestError(f"{dataset}: the registered schema cannot be read") from error

    async def register_schema(self, schema: DatasetSchema) -> None:
        """Make a schema the present one; earlier versions stay beside it."""
        text = schema.model_dump_json(indent=2)
        await self._documents.write(f"schemas/{schema.dataset}/v{schema.version}.json", text)
        await self._documents.write(_key(schema.dataset), text)

    async def admit(self, observed: DatasetSchema) -> DatasetSchema:
        """Apply the policy and return the schema that holds from now on.

        The first schema is registered; new columns are accepted with a warning.

        Raises:
            SchemaError: a column was removed or retyped, and nobody has accepted that; the sync is
                refused.
        """
        registered = await self.get_schema(observed.dataset)
        if registered is None:
            await self.register_schema(observed)
            return observed
        drift = registered.detect_drift(observed)
        if not drift:
            return registered
        entry = Drift(
            service=SERVICE,
            dataset=observed.dataset,
            version=registered.version,
            old=registered.columns,
            new=observed.columns,
            changes=registered.changes(observed),
        )
        standing = await self._ledger.drifted(entry)
        self._tell(observed, drift)
        if drift.has_breaking_changes and standing.status is not DriftStatus.ACCEPTED:
            raise SchemaError(
                f"{observed.dataset}: breaking schema change: {drift.describe()} "
                f"(schema drift {entry.drift_id}, {standing})",
                dataset=observed.dataset,
                drift_id=entry.drift_id,
            )
        following = (
            registered.replaced(observed)
            if drift.has_breaking_changes
            else registered.extended(observed)
        )
        await self.register_schema(following)
        return following

    @staticmethod
    def _tell(observed: DatasetSchema, drift: SchemaDrift) -> None:
        kind = "breaking" if drift.has_breaking_changes else "additive"
        metrics.DRIFTS.labels(observed.dataset, kind).inc()
        get_logger().warning(
            "schema_drifted",
            outcome="warning",
            dataset=observed.dataset,
            kind=kind,
            new_columns=drift.new_columns,
            difference=drift.describe(),
        )


def _key(dataset: str) -> str:
    return f"schemas/{dataset}.json"
