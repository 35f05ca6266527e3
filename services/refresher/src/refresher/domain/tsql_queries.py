"""What is asked of SQL Server's catalogs, besides the statements of a plan.

Every query takes at most one kind of parameter: the quoted name of a table.
"""

from refresher.domain.tsql_names import OWN_SCHEMA, literal

MARKER_NAME = "penstock.refresh_role"

SERVER = """
SELECT
    CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version,
    CONVERT(int, SERVERPROPERTY('EngineEdition')) AS engine,
    d.snapshot_isolation_state AS snapshot_state,
    d.is_read_only AS is_read_only,
    CONVERT(nvarchar(60), DATABASEPROPERTYEX(d.name, 'Updateability')) AS updateability,
    CASE WHEN OBJECT_ID(N'sys.allocation_units') IS NULL THEN 0 ELSE 1 END AS tells_sizes
FROM sys.databases AS d
WHERE d.database_id = DB_ID()
"""

_NOWHERE = f"[{OWN_SCHEMA}].[probe]"
_IF_MARKED = (
    "IF EXISTS (SELECT 1 FROM sys.extended_properties AS p "  # noqa: S608 - constants
    f"WHERE p.class = 0 AND p.name = {literal(MARKER_NAME)})"
)
_STATEMENTS = {
    "switch": f"ALTER TABLE {_NOWHERE} SWITCH TO [{OWN_SCHEMA}].[probe_twin]",
    "rename": f"ALTER SCHEMA [{OWN_SCHEMA}] TRANSFER {_NOWHERE}",
    "statistics": f"UPDATE STATISTICS {_NOWHERE}",
}
PROBES = {name: f"{_IF_MARKED} EXECUTE({literal(sql)})" for name, sql in _STATEMENTS.items()}
"""What a target is asked to find out what its server can do.

These tables never exist, so nothing can change: a server that knows the statement misses the table,
one that does not know it says so. Without the marker not even that is asked, because the database
may be production under a wrong name. A version is no proof: other servers that speak T-SQL write
into it what they like.
"""

IDENTITY = f"""
SELECT
    CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')) AS server,
    d.name AS database_name,
    CONVERT(varchar(36), d.service_broker_guid) AS broker,
    CONVERT(varchar(33), d.create_date, 126) AS created,
    ORIGINAL_LOGIN() AS login,
    CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version,
    (
        SELECT CONVERT(nvarchar(128), p.value)
        FROM sys.extended_properties AS p
        WHERE p.class = 0 AND p.name = {literal(MARKER_NAME)}
    ) AS marker
FROM sys.databases AS d
WHERE d.database_id = DB_ID()
"""  # noqa: S608 - constants

POWERS = """
SELECT found.power FROM (
    SELECT 1 AS rank, 'it is a member of ' + r.name AS power
    FROM (VALUES ('sysadmin'), ('securityadmin'), ('serveradmin'), ('bulkadmin')) AS r (name)
    WHERE IS_SRVROLEMEMBER(r.name) = 1
    UNION ALL
    SELECT 1, 'it is a member of ' + r.name
    FROM (VALUES ('db_owner'), ('db_datawriter'), ('db_ddladmin'), ('db_securityadmin'),
        ('db_accessadmin')) AS r (name)
    WHERE IS_ROLEMEMBER(r.name) = 1
    UNION ALL
    SELECT 2, 'it may ' + p.name + ' in the whole database'
    FROM (VALUES ('CONTROL'), ('ALTER'), ('INSERT'), ('UPDATE'), ('DELETE'), ('EXECUTE'),
        ('CREATE TABLE'), ('CREATE SCHEMA'), ('CREATE PROCEDURE'), ('IMPERSONATE')) AS p (name)
    WHERE HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', p.name) = 1
    UNION ALL
    SELECT 3, 'it may ' + p.name + ' ' + s.name + '.' + o.name
    FROM sys.objects AS o
    INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
    CROSS JOIN (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('ALTER'), ('CONTROL')) AS p (name)
    WHERE o.type IN ('U', 'V')
        AND HAS_PERMS_BY_NAME(QUOTENAME(s.name) + '.' + QUOTENAME(o.name), 'OBJECT', p.name) = 1
    UNION ALL
    SELECT 4, 'it may EXECUTE ' + s.name + '.' + o.name + ', which writes with its owner''s rights'
    FROM sys.objects AS o
    INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id
    WHERE o.type IN ('P', 'PC')
        AND HAS_PERMS_BY_NAME(QUOTENAME(s.name) + '.' + QUOTENAME(o.name), 'OBJECT', 'EXECUTE') = 1
) AS found
ORDER BY found.rank, found.power OFFSET 0 ROWS FETCH NEXT 50 ROWS ONLY
"""
"""Ways in which a login could write. Procedures count: they act with their owner's rights."""

TABLE = """
SELECT
    t.object_id AS id,
    t.temporal_type, t.is_memory_optimized, t.is_replicated, t.is_tracked_by_cdc,
    CONVERT(int, OBJECTPROPERTY(t.object_id, 'TableHasActiveFulltextIndex')) AS has_full_text,
    t.uses_ansi_nulls,
    (
        SELECT CONVERT(bigint, SUM(p.rows)) FROM sys.partitions AS p
        WHERE p.object_id = t.object_id AND p.index_id IN (0, 1)
    ) AS estimated_rows,
    (
        SELECT COUNT(*) FROM sys.database_permissions AS g
        WHERE g.class = 1 AND g.major_id = t.object_id
    ) AS grants,
    lob.name AS lob_space
FROM sys.tables AS t
LEFT JOIN sys.data_spaces AS lob ON lob.data_space_id = t.lob_data_space_id
WHERE t.object_id = OBJECT_ID(?)
"""

SIZE = """
SELECT CONVERT(bigint, SUM(a.total_pages) * 8192) AS estimated_bytes
FROM sys.partitions AS p
INNER JOIN sys.allocation_units AS a
    ON a.container_id = CASE a.type WHEN 2 THEN p.partition_id ELSE p.hobt_id END
WHERE p.object_id = OBJECT_ID(?) AND p.index_id IN (0, 1)
"""
"""Only for servers whose catalogs tell sizes."""

COLUMNS = """
SELECT
    c.name,
    CASE WHEN c.system_type_id = 240 THEN TYPE_NAME(c.user_type_id)
        ELSE TYPE_NAME(c.system_type_id) END AS type_name,
    c.max_length, c.[precision] AS digits, c.scale, c.is_nullable, c.collation_name,
    CONVERT(nvarchar(40), i.seed_value) AS seed,
    CONVERT(nvarchar(40), i.increment_value) AS increment,
    c.is_computed, k.[definition] AS computed, k.is_persisted, c.is_rowguidcol, c.is_sparse,
    c.generated_always_type, d.[definition] AS default_definition,
    CONVERT(int, COLLATIONPROPERTY(c.collation_name, 'CodePage')) AS code_page
FROM sys.columns AS c
LEFT JOIN sys.identity_columns AS i ON i.object_id = c.object_id AND i.column_id = c.column_id
LEFT JOIN sys.computed_columns AS k ON k.object_id = c.object_id AND k.column_id = c.column_id
LEFT JOIN sys.default_constraints AS d ON d.object_id = c.default_object_id
WHERE c.object_id = OBJECT_ID(?)
ORDER BY c.column_id
"""

INDEXES = """
SELECT
    i.index_id, i.name, i.type AS kind, i.is_unique, i.is_primary_key, i.is_unique_constraint,
    i.filter_definition, i.is_disabled, i.fill_factor, i.ignore_dup_key,
    s.name AS space, s.type AS space_type,
    (
        SELECT MIN(p.data_compression_desc) FROM sys.partitions AS p
        WHERE p.object_id = i.object_id AND p.index_id = i.index_id
    ) AS compression,
    (
        SELECT MAX(p.data_compression_desc) FROM sys.partitions AS p
        WHERE p.object_id = i.object_id AND p.index_id = i.index_id
    ) AS other_compression
FROM sys.indexes AS i
LEFT JOIN sys.data_spaces AS s ON s.data_space_id = i.data_space_id
WHERE i.object_id = OBJECT_ID(?) AND i.is_hypothetical = 0
ORDER BY i.index_id
"""

INDEX_COLUMNS = """
SELECT
    x.index_id, c.name, x.key_ordinal, x.is_included_column, x.is_descending_key,
    x.partition_ordinal
FROM sys.index_columns AS x
INNER JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id
WHERE x.object_id = OBJECT_ID(?)
ORDER BY x.index_id, x.key_ordinal, x.index_column_id
"""

CHECKS = """
SELECT k.name, k.[definition], k.is_disabled, k.is_not_trusted
FROM sys.check_constraints AS k
WHERE k.parent_object_id = OBJECT_ID(?)
ORDER BY k.name
"""

FOREIGN_KEYS = """
SELECT
    f.name, f.is_disabled, f.is_not_trusted,
    f.parent_object_id AS table_id, f.referenced_object_id AS referenced_id,
    LOWER(REPLACE(f.delete_referential_action_desc, '_', ' ')) AS on_delete,
    OBJECT_SCHEMA_NAME(f.parent_object_id) AS schema_name,
    OBJECT_NAME(f.parent_object_id) AS table_name,
    OBJECT_SCHEMA_NAME(f.referenced_object_id) AS referenced_schema,
    OBJECT_NAME(f.referenced_object_id) AS referenced_table,
    COL_NAME(k.parent_object_id, k.parent_column_id) AS column_name,
    COL_NAME(k.referenced_object_id, k.referenced_column_id) AS referenced_column
FROM sys.foreign_keys AS f
INNER JOIN sys.foreign_key_columns AS k ON k.constraint_object_id = f.object_id
WHERE f.parent_object_id = OBJECT_ID(?) OR f.referenced_object_id = OBJECT_ID(?)
ORDER BY f.name, f.object_id, k.constraint_column_id
"""

TRIGGERS = """
SELECT t.name, t.is_disabled, OBJECT_DEFINITION(t.object_id) AS [definition]
FROM sys.triggers AS t
WHERE t.parent_id = OBJECT_ID(?)
ORDER BY t.name
"""

PARTITIONS = """
SELECT
    p.partition_number, f.boundary_value_on_right AS is_right,
    TYPE_NAME(a.system_type_id) AS type_name,
    CONVERT(nvarchar(64), low.value, 126) AS low, CONVERT(nvarchar(64), high.value, 126) AS high
FROM sys.indexes AS i
INNER JOIN sys.partition_schemes AS s ON s.data_space_id = i.data_space_id
INNER JOIN sys.partition_functions AS f ON f.function_id = s.function_id
INNER JOIN sys.partition_parameters AS a ON a.function_id = f.function_id
INNER JOIN sys.partitions AS p ON p.object_id = i.object_id AND p.index_id = i.index_id
LEFT JOIN sys.partition_range_values AS low
    ON low.function_id = f.function_id AND low.boundary_id = p.partition_number - 1
LEFT JOIN sys.partition_range_values AS high
    ON high.function_id = f.function_id AND high.boundary_id = p.partition_number
WHERE i.object_id = OBJECT_ID(?) AND i.index_id IN (0, 1)
ORDER BY p.partition_number
"""

DEPENDANTS = """
SELECT DISTINCT
    LOWER(o.type_desc) AS kind,
    OBJECT_SCHEMA_NAME(d.referencing_id) + '.' + OBJECT_NAME(d.referencing_id) AS name,
    d.is_schema_bound_reference AS is_bound
FROM sys.sql_expression_dependencies AS d
INNER JOIN sys.objects AS o ON o.object_id = d.referencing_id
WHERE d.referenced_id = OBJECT_ID(?) AND o.type IN ('V', 'FN', 'IF', 'TF')
ORDER BY kind, name
"""

# --- our own books in the target ---------------------------------------------------------------
_SWAPS = f"[{OWN_SCHEMA}].[swaps]"
_FENCES = f"[{OWN_SCHEMA}].[fences]"

BOOKS = (
    (
        f"IF SCHEMA_ID({literal(OWN_SCHEMA)}) IS NULL "
        f"EXECUTE({literal(f'CREATE SCHEMA [{OWN_SCHEMA}]')})"
    ),
    (
        f"IF OBJECT_ID({literal(_SWAPS)}) IS NULL CREATE TABLE {_SWAPS} ("
        "[plan_id] nvarchar(100) NOT NULL, [component] nvarchar(200) NOT NULL, "
        "[kind] varchar(10) NOT NULL, [tallies] nvarchar(max) NOT NULL, "
        "[swapped_at] datetime2(3) NOT NULL DEFAULT SYSUTCDATETIME(), "
        "PRIMARY KEY ([plan_id], [component], [kind]))"
    ),
    (
        f"IF OBJECT_ID({literal(_FENCES)}) IS NULL CREATE TABLE {_FENCES} ("
        "[name] nvarchar(200) NOT NULL PRIMARY KEY, [token] bigint NOT NULL)"
    ),
)
"""What we keep in the target itself."""

FIND_SWAP = (
    f"SELECT [tallies] FROM {_SWAPS} WHERE [plan_id] = CONVERT(nvarchar(100), ?) "  # noqa: S608
    "AND [component] = CONVERT(nvarchar(200), ?) AND [kind] = CONVERT(varchar(10), ?)"
)
NOTE_SWAP = (
    f"INSERT INTO {_SWAPS} ([plan_id], [component], [kind], [tallies]) "
    "SELECT CONVERT(nvarchar(100), ?), CONVERT(nvarchar(200), ?), CONVERT(varchar(10), ?), "
    "CONVERT(nvarchar(max), ?)"
)
RAISE_FENCE = (
    f"UPDATE {_FENCES} WITH (UPDLOCK, HOLDLOCK) SET [token] = CONVERT(bigint, ?) "  # noqa: S608
    "WHERE [name] = CONVERT(nvarchar(200), ?) AND [token] <= CONVERT(bigint, ?)"
)
MAKE_FENCE = (
    f"INSERT INTO {_FENCES} ([name], [token]) "  # noqa: S608
    "SELECT CONVERT(nvarchar(200), ?), CONVERT(bigint, ?) WHERE NOT EXISTS "
    f"(SELECT 1 FROM {_FENCES} WITH (UPDLOCK, HOLDLOCK) WHERE [name] = CONVERT(nvarchar(200), ?))"
)

LEFTOVERS = f"""
SELECT t.name
FROM sys.tables AS t
WHERE t.schema_id = SCHEMA_ID({literal(OWN_SCHEMA)})
    AND (t.name LIKE N's[_]%[_]%' OR t.name LIKE N'u[_]%[_]%' OR t.name LIKE N'l[_]%[_]%')
ORDER BY t.name
"""  # noqa: S608 - constants

SESSION = (
    "SET XACT_ABORT ON",
    "SET ANSI_NULLS ON",
    "SET ANSI_PADDING ON",
    "SET ANSI_WARNINGS ON",
    "SET ARITHABORT ON",
    "SET CONCAT_NULL_YIELDS_NULL ON",
    "SET QUOTED_IDENTIFIER ON",
    "SET NUMERIC_ROUNDABORT OFF",
    "SET NOCOUNT OFF",
    "SET LANGUAGE us_english",
    "SET DATEFORMAT ymd",
)
"""What every session begins with: indexes on computed columns demand the ANSI settings."""

SOURCE_SESSION = (*SESSION, "SET DEADLOCK_PRIORITY LOW", "SET LOCK_TIMEOUT 10000")
"""Production's own statements win every deadlock."""
