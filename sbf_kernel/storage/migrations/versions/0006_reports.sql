-- Reports: pages made in the background. Only whoever owns a notebook makes
-- reports about it, so guests have no policy here. Jobs of kind 'report' name
-- a row of this table.
create table sbf.reports (
  user_id text not null,
  id uuid not null,
  notebook_id uuid not null,
  template text not null,
  parameters jsonb not null default '{}',
  status text not null default 'pending' check (status in ('pending', 'ready', 'failed')),
  message text not null default '',
  html text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id),
  foreign key (user_id, notebook_id) references sbf.notebooks on delete cascade
);
create index reports_created on sbf.reports (user_id, created_at desc);
create index reports_notebook on sbf.reports (user_id, notebook_id);

alter table sbf.reports enable row level security;
alter table sbf.reports force row level security;
create policy tenant on sbf.reports to sbf_app using (user_id = current_setting('sbf.user_id', true));
grant select, insert, update, delete on sbf.reports to sbf_app;
