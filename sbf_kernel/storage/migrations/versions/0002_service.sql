-- How often the content of a tenant changed: bumped by the transaction that
-- changes it, so that what is cached under a number is never stale.
create table sbf.epochs (
  user_id text not null primary key,
  epoch bigint not null
) with (fillfactor = 50);

-- What was answered to a request that carried an Idempotency-Key, written by
-- the transaction that did the work.
create table sbf.idempotency_keys (
  user_id text not null,
  key text not null,
  digest bytea not null,           -- SHA-256 of operation and body
  response bytea,                  -- the record as JSON; null while it is being made
  created_at timestamptz not null default now(),
  primary key (user_id, key)
);
create index idempotency_keys_age on sbf.idempotency_keys (user_id, created_at);

-- Chats, messages and notes belong to who wrote them, also in a notebook that somebody shared.
create table sbf.chats (
  user_id text not null,
  id uuid not null,
  author text not null,
  notebook_id uuid not null,
  title text not null default '',
  model text,
  levels jsonb not null default '{}',
  summary text not null default '',    -- of the messages that no longer fit a prompt
  summarised integer not null default 0, -- how many they are
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id),
  foreign key (user_id, notebook_id) references sbf.notebooks on delete cascade
);
create index chats_author on sbf.chats (user_id, author, updated_at desc);

create table sbf.messages (
  user_id text not null,
  id uuid not null,
  author text not null,
  chat_id uuid not null,
  number integer not null,
  role text not null check (role in ('user', 'assistant')),
  text text not null default '',
  status text not null check (status in ('writing', 'done', 'stopped', 'failed')),
  question text not null default '',
  answer_id uuid,                      -- the stored answer with its citations
  error text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id),
  unique (user_id, chat_id, number),
  foreign key (user_id, chat_id) references sbf.chats on delete cascade
);

create table sbf.notes (
  user_id text not null,
  id uuid not null,
  author text not null,
  notebook_id uuid not null,
  title text not null,
  text text not null default '',
  answer_id uuid,
  citations jsonb not null default '[]',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id),
  foreign key (user_id, notebook_id) references sbf.notebooks on delete cascade
);
create index notes_author on sbf.notes (user_id, author, updated_at desc);

-- The ledger: one row per call of a model.
create table sbf.usage (
  user_id text not null,
  id uuid not null,
  author text not null,
  notebook_id uuid,
  operation text not null,
  model text not null,
  input_tokens integer not null,
  output_tokens integer not null,
  cost_usd double precision,
  created_at timestamptz not null default now(),
  primary key (user_id, id)
);
create index usage_created on sbf.usage (user_id, author, created_at);

-- Answers get an author too.
alter table sbf.answers add column author text not null default '';
alter table sbf.answers no force row level security;
update sbf.answers set author = user_id;
alter table sbf.answers force row level security;
alter table sbf.answers alter column author drop default;

do $$
declare t text;
begin
  foreach t in array array['epochs', 'idempotency_keys', 'chats', 'messages', 'notes', 'usage'] loop
    execute format('alter table sbf.%I enable row level security', t);
    execute format('alter table sbf.%I force row level security', t);
    execute format('grant select, insert, update, delete on sbf.%I to sbf_app', t);
  end loop;
  foreach t in array array['epochs', 'idempotency_keys'] loop
    execute format('create policy tenant on sbf.%I to sbf_app using (user_id = current_setting(''sbf.user_id'', true))', t);
  end loop;
  drop policy tenant on sbf.answers;
  foreach t in array array['chats', 'messages', 'notes', 'usage', 'answers'] loop
    execute format('create policy tenant on sbf.%I to sbf_app using (user_id = current_setting(''sbf.user_id'', true)
      and author = current_setting(''sbf.author'', true))', t);
  end loop;
end $$;

-- Read at every request, in one round trip and outside any transaction; it tells one number about one tenant.
create function sbf.epoch_of(tenant text) returns bigint language sql stable security definer
  set search_path = sbf, pg_temp as $$
  select coalesce((select epoch from sbf.epochs where user_id = tenant), 0)
$$;
revoke all on function sbf.epoch_of from public;
