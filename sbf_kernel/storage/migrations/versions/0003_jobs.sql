-- Background work. This table is the truth; what stands in sbf_queue
-- (procrastinate's tables) are tickets that send a worker to a row of it.
create table sbf.jobs (
  user_id text not null,
  id uuid not null,
  kind text not null,
  subject_id uuid not null,            -- what it works on; one job per kind and subject, used again each time
  subject text not null default '',    -- name of that
  place text not null check (place in ('here', 'queue')), -- in the process that asked for it, or in any worker
  status text not null default 'queued' check (status in ('queued', 'running', 'done', 'failed', 'dead', 'cancelled')),
  again boolean not null default false, -- asked for once more while it ran: queued, not done, when it ends
  priority integer not null default 0, -- higher goes first
  done integer not null default 0,
  total integer not null default 0,
  attempts integer not null default 0, -- that ended in an error
  crashes integer not null default 0,  -- workers that died over it
  reason text not null default '',
  message text not null default '',
  fence bigint not null default 0,     -- counts its holders: who has an older number may not write any more
  holder bigint,                       -- advisory lock of the process that works on it, or will
  ticket bigint,                       -- under which a worker holds it
  arguments jsonb not null default '{}',
  created_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  run_after timestamptz,
  primary key (user_id, id),
  unique (user_id, kind, subject_id)
) with (fillfactor = 70);
create index jobs_created on sbf.jobs (user_id, created_at desc);
create index jobs_held on sbf.jobs (ticket) where status = 'running';
create index tickets_taken on sbf_queue.procrastinate_jobs (id) where status = 'doing';
create index jobs_open on sbf.jobs (user_id, status) where status in ('queued', 'running', 'failed');

alter table sbf.jobs enable row level security;
alter table sbf.jobs force row level security;
create policy tenant on sbf.jobs to sbf_app using (user_id = current_setting('sbf.user_id', true));
grant select, insert, update, delete on sbf.jobs to sbf_app;

-- A ticket for each job that waits for a worker, written by the transaction
-- that makes it wait. The application has no rights on the tickets themselves.
create function sbf.write_ticket() returns trigger language plpgsql security definer set search_path = sbf_queue, pg_temp as $$
begin
  perform procrastinate_defer_jobs_v1(array[row('sbf', 'run', new.priority, null, null,
    jsonb_build_object('user_id', new.user_id, 'job_id', new.id), new.run_after)::procrastinate_job_to_defer_v1]);
  return null;
end $$;
revoke all on function sbf.write_ticket from public;
create trigger jobs_queued after insert on sbf.jobs for each row
  when (new.place = 'queue' and new.status in ('queued', 'failed'))
  execute function sbf.write_ticket();
create trigger jobs_queued_again after update on sbf.jobs for each row
  when (new.place = 'queue' and new.status in ('queued', 'failed')
        and (new.status, new.place, new.run_after, new.priority) is distinct from (old.status, old.place, old.run_after, old.priority))
  execute function sbf.write_ticket();

-- Who watches hears which job changed, and looks for itself.
create function sbf.tell_job() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  perform pg_notify('sbf_jobs', new.id || ' ' || new.subject_id);
  return null;
end $$;
create trigger jobs_begun after insert on sbf.jobs for each row execute function sbf.tell_job();
create trigger jobs_changed after update on sbf.jobs for each row
  when ((new.status, new.fence, new.done, new.total, new.run_after) is distinct from (old.status, old.fence, old.done, old.total, old.run_after))
  execute function sbf.tell_job();

-- Who looks after the jobs of all tenants: the owner of the schema, who is a
-- member of this role. Nobody signs in with it, and the application is none.
do $$
begin
  if not exists (select from pg_roles where rolname = 'sbf_sweeper') then create role sbf_sweeper nologin; end if;
  if not pg_has_role('sbf_sweeper', 'usage') then execute format('grant sbf_sweeper to %I', current_user); end if;
end $$;
create policy sweeper on sbf.jobs to sbf_sweeper using (true);
