"""Every statement of the run ledger, under a name.

`$1, $2` of a worker's statement are its run and its attempt.
"""
# ruff: noqa: S608 - the parts are constants of this module

_EVENT = (
    "run_id, command_id, service, kind, target, status, counts, total, message, "
    "started_at, finished_at"
)
"""What an event says."""

LOCK = "select pg_advisory_xact_lock(hashtextextended($1, 0))"

FIND = """
select run_id from meta.runs
where service = $1 and kind = $2 and target = $3 and command_id = $4
"""

OPEN = """
select run_id, cancel_requested from meta.runs
where service = $1 and kind = $2 and target = $3 and status in ('queued', 'running')
"""

INSERT = f"""
insert into meta.runs
    (run_id, command_id, service, kind, target, status, parameters, dry_run, requester, reason)
values ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9)
returning {_EVENT}
"""

CANCEL = f"""
update meta.runs
set cancel_requested = true,
    status = case status when 'queued' then 'cancelled' else status end,
    message = case status when 'queued' then 'cancelled before it ran' else message end,
    finished_at = case status when 'queued' then clock_timestamp() end
where run_id = any($1::uuid[]) and status in ('queued', 'running')
returning {_EVENT}
"""

CLAIM = """
update meta.runs r
set status = 'running',
    attempts = r.attempts + 1,
    failures = r.failures + case r.status when 'running' then 1 else 0 end,
    started_at = coalesce(r.started_at, clock_timestamp()),
    message = null,
    heartbeat_at = clock_timestamp()
where r.run_id = (
    select candidate.run_id
    from meta.runs candidate
    where candidate.service = $1
      and candidate.kind = any($2::text[])
      and not candidate.cancel_requested
      and (
          (candidate.status = 'queued'
              and candidate.available_at <= clock_timestamp()
              and not exists (
                  select 1 from meta.runs busy
                  where busy.service = candidate.service and busy.kind = candidate.kind
                    and busy.target = candidate.target and busy.status = 'running'))
          or (candidate.status = 'running'
              and candidate.heartbeat_at < clock_timestamp() - make_interval(secs => $3))
      )
    order by candidate.queued_at
    limit 1
    for update skip locked
)
returning r.run_id, r.service, r.kind, r.target, r.parameters, r.dry_run, r.requester, r.reason,
    r.checkpoint, r.attempts, r.command_id
"""

READ = f"select {_EVENT} from meta.runs where run_id = $1::uuid"

_MINE = "run_id = $1::uuid and attempts = $2 and status = 'running'"

BEAT = f"""
update meta.runs set heartbeat_at = clock_timestamp() where {_MINE} returning cancel_requested
"""

REPORT = f"""
update meta.runs
set counts = $3, total = coalesce($4, total), message = $5, heartbeat_at = clock_timestamp()
where {_MINE}
returning {_EVENT}
"""

CHECKPOINT = f"""
update meta.runs
set failures = case when checkpoint is distinct from $3 then 0 else failures end,
    checkpoint = $3,
    heartbeat_at = clock_timestamp()
where {_MINE}
returning true
"""

FINISH = f"""
update meta.runs
set status = $3, counts = $4, message = $5, finished_at = clock_timestamp()
where {_MINE}
returning {_EVENT}
"""

FAILURES = f"select failures from meta.runs where {_MINE}"

REQUEUE = f"""
update meta.runs
set status = 'queued', message = $3, heartbeat_at = null,
    available_at = clock_timestamp() + make_interval(secs => $4), failures = failures + $5
where {_MINE}
returning {_EVENT}
"""

REAP = f"""
update meta.runs
set status = case when cancel_requested then 'cancelled' else 'abandoned' end,
    message = case when cancel_requested then 'cancelled before it ran on'
                   else 'its worker stopped beating; failed ' || failures + 1 || ' times' end,
    finished_at = clock_timestamp()
where service = $1
  and (
      (status = 'queued' and cancel_requested)
      or (status = 'running' and heartbeat_at < clock_timestamp() - make_interval(secs => $2)
          and (failures + 1 >= $3 or cancel_requested))
  )
returning {_EVENT}
"""
