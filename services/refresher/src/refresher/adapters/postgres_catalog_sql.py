"""What PostgreSQL's catalogs say about many tables, in one query.

A round trip for every aspect would cost more than what is asked; the server answers with one text.
"""
# ruff: noqa: S608 - put together from constants of this module

_TABLES = """
select c.oid, n.nspname::text as schema, c.relname::text as name,
    pg_get_userbyid(c.relowner)::text as owner,
    pg_get_partkeydef(c.oid) as partition_by,
    (select array_agg(a.attname::text order by k.position)
     from pg_partitioned_table p,
        unnest(p.partattrs::smallint[]) with ordinality as k(number, position)
     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.number
     where p.partrelid = c.oid) as partition_key,
    (select coalesce(sum(greatest(l.reltuples, 0)), 0)
     from pg_class l where l.relkind <> 'p' and (l.oid = c.oid
        or l.oid in (select relid from pg_partition_tree(c.oid)))) as estimated_rows,
    (select coalesce(sum(pg_table_size(l.oid)), 0)
     from pg_class l where l.oid = c.oid
        or l.oid in (select relid from pg_partition_tree(c.oid))) as estimated_bytes,
    (select string_agg(format('grant %s on {table} to %s%s', a.privilege_type,
            case a.grantee when 0 then 'public'
                else quote_ident(pg_get_userbyid(a.grantee)) end,
            case when a.is_grantable then ' with grant option' else '' end), E'\\n')
     from aclexplode(c.relacl) a where a.grantee <> c.relowner) as grants,
    array_to_string(c.reloptions, ', ') as options,
    c.relreplident::text as replica_identity,
    (select x.relname::text from pg_index i join pg_class x on x.oid = i.indexrelid
     where i.indrelid = c.oid and i.indisreplident) as replica_index,
    array(select distinct 'view ' || v.oid::regclass::text
          from pg_depend d
          join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
          join pg_class v on v.oid = r.ev_class and v.oid <> c.oid
          where d.refobjid = c.oid and d.refclassid = 'pg_class'::regclass
          union all
          select 'policy ' || polname from pg_policy where polrelid = c.oid
          union all
          select 'publication ' || p.pubname from pg_publication_rel r
          join pg_publication p on p.oid = r.prpubid where r.prrelid = c.oid
          union all
          select 'function ' || d.objid::regprocedure::text from pg_depend d
          where d.classid = 'pg_proc'::regclass and d.deptype = 'n'
            and (d.refclassid, d.refobjid) in
                (('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype))
          union all
          select 'column ' || d.objid::regclass::text from pg_depend d
          where d.classid = 'pg_class'::regclass and d.deptype = 'n'
            and d.refclassid = 'pg_type'::regclass and d.refobjid = c.reltype
          union all
          select 'rule ' || r.rulename from pg_rewrite r where r.ev_class = c.oid
          union all
          select 'table ' || i.inhrelid::regclass::text from pg_inherits i
          where i.inhparent = c.oid and c.relkind = 'r'
          union all
          select 'table ' || i.inhparent::regclass::text from pg_inherits i
          where i.inhrelid = c.oid
          union all
          select 'grant on column ' || a.attname from pg_attribute a
          where a.attrelid = c.oid and a.attacl is not null
          order by 1) as dependants
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join unnest($1::text[], $2::text[]) as wanted(schema, name)
  on wanted.schema = n.nspname and wanted.name = c.relname
where c.relkind in ('r', 'p') and has_schema_privilege(n.oid, 'USAGE')
  and has_table_privilege(c.oid, 'SELECT')
order by 2, 3
"""

_PARTITIONS = """
select i.inhparent as parent, c.oid, n.nspname::text as schema, c.relname::text as name,
    pg_get_expr(c.relpartbound, c.oid) as bound,
    pg_get_partition_constraintdef(c.oid) as constraint,
    c.relkind = 'p' as is_parent,
    (select string_agg(format('grant %s on {table} to %s', a.privilege_type,
            case a.grantee when 0 then 'public'
                else quote_ident(pg_get_userbyid(a.grantee)) end), E'\\n')
     from aclexplode(c.relacl) a where a.grantee <> c.relowner) as grants
from pg_inherits i
join pg_class c on c.oid = i.inhrelid and c.relispartition
join pg_namespace n on n.oid = c.relnamespace
where i.inhparent in (select oid from heads)
order by 1, 4
"""

_COLUMNS = """
select a.attrelid as oid, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
    b.typname::text as base, t.typtype::text as type_class, b.typelem::bigint as element,
    case when t.typtype = 'd' then t.typtypmod else a.atttypmod end as modifier,
    a.attnotnull as not_null, a.attidentity::text as identity, a.attgenerated::text as generated,
    pg_get_expr(d.adbin, d.adrelid) as default, l.collname::text as collation
from pg_attribute a
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
where a.attrelid = any((select oids from wanted)::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
"""

_COLUMNS_OF = """
    array(select a.attname::text from unnest({numbers}) with ordinality as item(number, position)
          join pg_attribute a on a.attrelid = {table} and a.attnum = item.number
          order by item.position)
"""

_CONSTRAINT = f"""
    k.conname::text as name, k.contype::text as type, n.nspname::text as schema,
    c.relname::text as table,
    {_COLUMNS_OF.format(numbers="k.conkey", table="k.conrelid")} as columns,
    o.nspname::text as other_schema, r.relname::text as other_table,
    {_COLUMNS_OF.format(numbers="k.confkey", table="k.confrelid")} as other_columns,
    pg_get_constraintdef(k.oid) as definition, k.confdeltype::text as on_delete,
    k.convalidated as is_trusted
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_class r on r.oid = k.confrelid
left join pg_namespace o on o.oid = r.relnamespace
"""

_CONSTRAINTS = f"""
select k.conrelid as oid, {_CONSTRAINT}
where k.conrelid = any((select oids from wanted)::oid[]) and k.contype in ('p', 'u', 'f', 'c')
order by 1, k.contype, 2
"""

_REFERENCED = f"""
select k.confrelid as oid, {_CONSTRAINT}
where k.confrelid = any((select oids from wanted)::oid[]) and k.contype = 'f' and k.conparentid = 0
order by 1, 2, 4, 5
"""

_INDEXES = f"""
select i.indrelid as oid, c.relname::text as name, i.indisunique as is_unique,
    {_COLUMNS_OF.format(numbers="i.indkey::smallint[]", table="i.indrelid")} as columns,
    pg_get_indexdef(i.indexrelid) as definition, pg_get_constraintdef(k.oid) as constraint
from pg_index i
join pg_class c on c.oid = i.indexrelid
left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
where i.indrelid = any((select oids from wanted)::oid[])
order by 1, i.indisprimary desc, 2
"""

_TRIGGERS = """
select g.tgrelid as oid, g.tgname::text as name, g.tgenabled::text as state,
    pg_get_triggerdef(g.oid) as definition
from pg_trigger g
where g.tgrelid = any((select oids from wanted)::oid[]) and not g.tgisinternal and g.tgparentid = 0
order by 1, 2
"""

_SEQUENCES = """
select a.attrelid as oid, a.attname::text as column, n.nspname::text as schema,
    s.relname::text as name, bool_or(found.is_owned) as is_owned
from (
    select d.refobjid as relid, d.refobjsubid as number, d.objid as sequence, true as is_owned
    from pg_depend d
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.deptype in ('a', 'i') and d.refobjid = any((select oids from wanted)::oid[])
    union
    select f.adrelid, f.adnum, d.refobjid, false
    from pg_attrdef f join pg_depend d on d.objid = f.oid and d.classid = 'pg_attrdef'::regclass
    where d.refclassid = 'pg_class'::regclass and f.adrelid = any((select oids from wanted)::oid[])
) found
join pg_class s on s.oid = found.sequence and s.relkind = 'S'
join pg_namespace n on n.oid = s.relnamespace
join pg_attribute a on a.attrelid = found.relid and a.attnum = found.number
group by 1, 2, 3, 4
order by 1, 2, 4
"""

_ASPECTS = {
    "heads": "select * from heads order by schema, name",
    "leaves": "select * from leaves order by parent, name",
    "columns": _COLUMNS,
    "constraints": _CONSTRAINTS,
    "indexes": _INDEXES,
    "triggers": _TRIGGERS,
    "sequences": _SEQUENCES,
    "referenced": _REFERENCED,
}
_LISTS = ", ".join(
    f"'{name}', (select coalesce(json_agg(item), '[]') from ({query}) as item)"
    for name, query in _ASPECTS.items()
)
CATALOG = f"""
with heads as materialized ({_TABLES}),
leaves as materialized ({_PARTITIONS}),
wanted as materialized (
    select array(select oid from heads union all select oid from leaves) as oids
)
select json_build_object({_LISTS})::text
"""
"""Takes the schemas and the names of tables; every aspect is a list of objects, in its order."""
