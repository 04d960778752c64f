-- Roles. sbf_app does the work of users: it owns nothing, so row-level
-- security binds it. sbf_search owns one function and may read one table.
do $$
begin
  if not exists (select from pg_roles where rolname = 'sbf_app') then create role sbf_app nologin; end if;
  if not exists (select from pg_roles where rolname = 'sbf_search') then create role sbf_search nologin; end if;
  -- Whoever made the roles may grant them; another owner gets them from the server's administrator first.
  if not (pg_has_role('sbf_app', 'usage') and pg_has_role('sbf_search', 'usage')) then
    execute format('grant sbf_app, sbf_search to %I', current_user);
  end if;
  execute format('grant temporary on database %I to sbf_app', current_database());
end $$;
grant usage on schema sbf to sbf_app;
grant usage, create on schema sbf to sbf_search;

create table sbf.notebooks (
  user_id text not null,
  id uuid not null,
  name text not null,
  description text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id)
);

create table sbf.sources (
  user_id text not null,
  id uuid not null,
  origin text not null,
  name text not null,
  media_type text not null default '',
  status text not null default 'pending' check (status in ('pending', 'processing', 'ready', 'failed')),
  stage text not null default 'queued',
  reason text not null default '',
  message text not null default '',
  done integer not null default 0,
  total integer not null default 0,
  language text not null default '',
  language_hint text not null default '',
  tags text[] not null default '{}',
  sha256 bytea,                    -- raw bytes to process or processed last
  url text,                        -- fetched when set
  etag text,
  version_id uuid,                 -- current version
  version integer not null default 0,
  char_count integer not null default 0,
  chunk_count integer not null default 0,
  page_count integer,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (user_id, id)
);
-- Origins may be longer than a btree entry allows, hence the digest (within one tenant only).
create unique index sources_origin on sbf.sources (user_id, md5(origin));
create index sources_sha256 on sbf.sources (user_id, sha256);
create index sources_unfinished on sbf.sources (user_id, status) where status in ('pending', 'processing');

create table sbf.notebook_sources (
  user_id text not null,
  notebook_id uuid not null,
  source_id uuid not null,
  added_at timestamptz not null default now(),
  removed_at timestamptz,
  primary key (user_id, notebook_id, source_id),
  foreign key (user_id, notebook_id) references sbf.notebooks on delete cascade,
  foreign key (user_id, source_id) references sbf.sources on delete cascade
);
create index notebook_sources_source on sbf.notebook_sources (user_id, source_id);

create table sbf.source_versions (
  user_id text not null,
  id uuid not null,
  source_id uuid not null,
  number integer not null,
  sha256 bytea not null,           -- of the raw bytes
  text_sha256 bytea not null,      -- of the text
  text text not null,
  title text not null default '',
  reader text not null default '', -- versions of reader and chunker
  created_at timestamptz not null default now(),
  primary key (user_id, id),
  unique (user_id, source_id, number),
  foreign key (user_id, source_id) references sbf.sources on delete cascade
);

create table sbf.chunks (
  user_id text not null,
  id uuid not null,
  source_id uuid not null,
  version_id uuid not null,
  ordinal integer not null,
  start_char integer not null,
  end_char integer not null,
  place jsonb not null default '{}',
  context text not null default '',
  text text not null,
  primary key (user_id, id),
  unique (user_id, version_id, ordinal),
  foreign key (user_id, version_id) references sbf.source_versions on delete cascade
);
create index chunks_source on sbf.chunks (user_id, source_id);

-- The lexical index: BM25 weights, and the keys that find candidates. A key is
-- a term id; a second key, term id + 2^29, marks weights of 1.5 and more.
create table sbf.lexical (
  user_id text not null,
  chunk_id uuid not null,
  source_id uuid not null,
  language text not null,
  terms public.sparsevec not null,
  keys integer[] not null,
  primary key (user_id, chunk_id),
  foreign key (user_id, chunk_id) references sbf.chunks on delete cascade
);
-- Rows of a page fit a page: scanning a scope must not visit TOAST.
alter table sbf.lexical set (toast_tuple_target = 8160);
alter table sbf.lexical alter column terms set storage main, alter column keys set storage main;
create index lexical_source on sbf.lexical (user_id, source_id);
create index lexical_keys on sbf.lexical using gin (keys) with (gin_pending_list_limit = 512);

-- The dense index: one row per chunk of a current version and model. The HNSW
-- index over a model's rows is made when the collection is large enough.
create table sbf.embeddings (
  user_id text not null,
  chunk_id uuid not null,
  source_id uuid not null,
  model text not null,
  content_hash bytea not null,
  embedding public.halfvec not null,
  primary key (user_id, chunk_id, model),
  foreign key (user_id, chunk_id) references sbf.chunks on delete cascade
);
create index embeddings_source on sbf.embeddings (user_id, source_id);
create index embeddings_content on sbf.embeddings (user_id, content_hash, model);

-- Vectors of sources that are still being embedded, so that a crash loses minutes of nobody's time.
create table sbf.embedding_cache (
  user_id text not null,
  model text not null,
  content_hash bytea not null,
  source_id uuid not null,
  embedding public.halfvec not null,
  primary key (user_id, model, content_hash),
  foreign key (user_id, source_id) references sbf.sources on delete cascade
);
create index embedding_cache_source on sbf.embedding_cache (user_id, source_id);

create table sbf.term_stats (
  user_id text not null,
  term integer not null,           -- a key of sbf.lexical
  df integer not null,
  primary key (user_id, term)
) with (fillfactor = 70);

create table sbf.collection_stats (
  user_id text not null,
  language text not null,
  chunks integer not null,
  primary key (user_id, language)
) with (fillfactor = 50);

create table sbf.answers (
  user_id text not null,
  id uuid not null,
  notebook_id uuid,
  question text not null,
  record jsonb not null,
  created_at timestamptz not null default now(),
  primary key (user_id, id)
);
create index answers_created on sbf.answers (user_id, created_at desc);

-- Statistics follow the lexical index inside the writing transaction, by
-- construction. One writer per tenant at a time: no deadlock between upserts.
create function sbf.count_terms() returns trigger language plpgsql set search_path = sbf, public as $$
begin
  perform pg_advisory_xact_lock(hashtext('sbf.term_stats'), hashtext(user_id)) from (select distinct user_id from changed) t;
  if tg_op = 'INSERT' then
    insert into term_stats as t (user_id, term, df)
      select c.user_id, k, count(*) from changed c, unnest(c.keys) k group by 1, 2
      on conflict (user_id, term) do update set df = t.df + excluded.df;
    insert into collection_stats as s (user_id, language, chunks)
      select user_id, language, count(*) from changed group by 1, 2
      on conflict (user_id, language) do update set chunks = s.chunks + excluded.chunks;
  else
    update term_stats t set df = t.df - d.n
      from (select c.user_id, k as term, count(*) as n from changed c, unnest(c.keys) k group by 1, 2) d
      where t.user_id = d.user_id and t.term = d.term;
    update collection_stats s set chunks = s.chunks - d.n
      from (select user_id, language, count(*) as n from changed group by 1, 2) d
      where s.user_id = d.user_id and s.language = d.language;
  end if;
  return null;
end $$;
create trigger lexical_added after insert on sbf.lexical referencing new table as changed
  for each statement execute function sbf.count_terms();
create trigger lexical_removed after delete on sbf.lexical referencing old table as changed
  for each statement execute function sbf.count_terms();

-- Row-level security, forced from the first table on. A missing tenant sees nothing.
do $$
declare t text;
begin
  foreach t in array array['notebooks', 'sources', 'notebook_sources', 'source_versions', 'chunks', 'lexical',
      'embeddings', 'embedding_cache', 'term_stats', 'collection_stats', 'answers'] loop
    execute format('alter table sbf.%I enable row level security', t);
    execute format('alter table sbf.%I force row level security', t);
    execute format('create policy tenant on sbf.%I to sbf_app using (user_id = current_setting(''sbf.user_id'', true))', t);
    execute format('grant select, insert, update, delete on sbf.%I to sbf_app', t);
  end loop;
end $$;

-- Under row-level security PostgreSQL may use an index only for operators it
-- knows not to leak, and array overlap is not one of them: the GIN index would
-- lie idle. So candidates come from this one function, whose owner passes the
-- policy and which binds the tenant itself, out of the caller's reach.
grant select on sbf.lexical, sbf.notebook_sources to sbf_search;
create policy candidates on sbf.lexical for select to sbf_search using (true);
create policy candidates on sbf.notebook_sources for select to sbf_search using (true);
create function sbf.lexical_candidates(
    query public.sparsevec, any_keys integer[], pair1 integer[], pair2 integer[], pair3 integer[],
    in_notebooks uuid[], in_sources uuid[], not_sources uuid[], at_most integer)
  returns table (chunk_id uuid, source_id uuid, score double precision, language text)
  language plpgsql stable security definer
  set search_path = sbf, public, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
begin
  return query
    select l.chunk_id, l.source_id, -(l.terms <#> query), l.language from sbf.lexical l
    where (l.keys && any_keys or l.keys @> pair1 or l.keys @> pair2 or l.keys @> pair3)
      and l.user_id = current_setting('sbf.user_id')
      and (in_sources is null or l.source_id = any(in_sources))
      and (not_sources is null or l.source_id <> all(not_sources))
      and (in_notebooks is null or l.source_id in (
            select n.source_id from sbf.notebook_sources n
            where n.user_id = current_setting('sbf.user_id') and n.notebook_id = any(in_notebooks) and n.removed_at is null))
    order by 3 desc, 1 limit at_most;
end $$;
alter function sbf.lexical_candidates owner to sbf_search;
revoke all on function sbf.lexical_candidates from public;
grant execute on function sbf.lexical_candidates to sbf_app;
revoke create on schema sbf from sbf_search;
