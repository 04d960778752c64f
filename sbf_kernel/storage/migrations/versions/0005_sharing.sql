-- Roles. A guest works as sbf_viewer or sbf_editor: each has policies of its
-- own, so that what owners do costs nothing more. sbf_sharing owns the few
-- functions that tell a member what is shared, before they are a guest.
do $$
declare r text;
begin
  foreach r in array array['sbf_viewer', 'sbf_editor', 'sbf_sharing'] loop
    if not exists (select from pg_roles where rolname = r) then execute format('create role %I nologin', r); end if;
    if not pg_has_role(r, 'usage') then execute format('grant %I to %I', r, current_user); end if;
  end loop;
end $$;
grant usage on schema sbf to sbf_viewer, sbf_editor;
grant usage, create on schema sbf to sbf_sharing;

create table sbf.shares (
  user_id text not null,           -- whose notebook it is
  notebook_id uuid not null,
  member_id text not null,         -- who may use it
  member_name text not null,       -- names as they were when it was shared
  owner_name text not null,
  role text not null check (role in ('viewer', 'editor')),
  created_at timestamptz not null default now(),
  primary key (user_id, notebook_id, member_id),
  foreign key (user_id, notebook_id) references sbf.notebooks on delete cascade
);
create index shares_member on sbf.shares (member_id);
alter table sbf.shares enable row level security;
alter table sbf.shares force row level security;
create policy tenant on sbf.shares to sbf_app using (user_id = current_setting('sbf.user_id', true));
grant select, insert, update, delete on sbf.shares to sbf_app;

-- A guest sees their own share, and only while it is there and gives the role
-- they work in. All else they see hangs on it: access ends with that row,
-- whatever the application believes.
create policy guest on sbf.shares for select to sbf_viewer, sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and member_id = current_setting('sbf.author', true)
  and notebook_id = nullif(current_setting('sbf.notebook_id', true), '')::uuid
  and (role = 'editor' or current_setting('role', true) = 'sbf_viewer'));
grant select on sbf.shares to sbf_viewer, sbf_editor;
create function sbf.guest_notebook() returns uuid language sql stable set search_path = sbf, pg_temp as $$
  select notebook_id from shares where user_id = current_setting('sbf.user_id', true)
    and member_id = current_setting('sbf.author', true)
    and notebook_id = nullif(current_setting('sbf.notebook_id', true), '')::uuid
$$;
revoke all on function sbf.guest_notebook from public;
grant execute on function sbf.guest_notebook to sbf_viewer, sbf_editor;

-- Who brought a source in. An editor must see what they have just inserted
-- before it is linked to the notebook: in that very transaction, no longer.
alter table sbf.sources add column created_by text not null default coalesce(current_setting('sbf.author', true), '');

-- Content. Subqueries that do not depend on the row are evaluated once per statement.
create policy guest on sbf.notebooks for select to sbf_viewer, sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and id = (select sbf.guest_notebook()));
create policy viewer on sbf.notebook_sources for select to sbf_viewer using (
  user_id = current_setting('sbf.user_id', true) and notebook_id = (select sbf.guest_notebook()) and removed_at is null);
create policy editor on sbf.notebook_sources for select to sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and notebook_id = (select sbf.guest_notebook()));
create policy viewer on sbf.sources for select to sbf_viewer using (
  user_id = current_setting('sbf.user_id', true) and id in (select source_id from sbf.notebook_sources));
create policy editor on sbf.sources for select to sbf_editor using (
  user_id = current_setting('sbf.user_id', true)
  and (id in (select source_id from sbf.notebook_sources)
       or created_by = current_setting('sbf.author', true) and created_at = now()
          and (select sbf.guest_notebook()) is not null));
do $$
declare t text;
begin
  foreach t in array array['source_versions', 'chunks', 'lexical', 'embeddings'] loop
    execute format('create policy guest on sbf.%I for select to sbf_viewer, sbf_editor using (
      user_id = current_setting(''sbf.user_id'', true) and source_id in (select source_id from sbf.notebook_sources))', t);
  end loop;
  foreach t in array array['term_stats', 'collection_stats'] loop
    execute format('create policy guest on sbf.%I for select to sbf_viewer, sbf_editor using (
      user_id = current_setting(''sbf.user_id'', true) and (select sbf.guest_notebook()) is not null)', t);
  end loop;
  foreach t in array array['notebooks', 'notebook_sources', 'sources', 'source_versions', 'chunks', 'lexical',
      'embeddings', 'term_stats', 'collection_stats'] loop
    execute format('grant select on sbf.%I to sbf_viewer, sbf_editor', t);
  end loop;
end $$;

-- What editors may change: the notebook's words, what is in it, and its sources; never whose they are.
create policy edited on sbf.notebooks for update to sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and id = (select sbf.guest_notebook()));
grant update (name, description, updated_at) on sbf.notebooks to sbf_editor;
-- A function, because policies of two tables may not look at each other.
create function sbf.guest_sees(source uuid) returns boolean language sql stable set search_path = sbf, pg_temp as $$
  select exists (select from sources where user_id = current_setting('sbf.user_id', true) and id = source)
$$;
revoke all on function sbf.guest_sees from public;
grant execute on function sbf.guest_sees to sbf_editor;
create policy added on sbf.notebook_sources for insert to sbf_editor with check (
  user_id = current_setting('sbf.user_id', true) and notebook_id = (select sbf.guest_notebook())
  and sbf.guest_sees(source_id));
create policy edited on sbf.notebook_sources for update to sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and notebook_id = (select sbf.guest_notebook()));
grant insert (user_id, notebook_id, source_id), update (removed_at) on sbf.notebook_sources to sbf_editor;
create policy added on sbf.sources for insert to sbf_editor with check (
  user_id = current_setting('sbf.user_id', true) and created_by = current_setting('sbf.author', true)
  and (select sbf.guest_notebook()) is not null);
create policy edited on sbf.sources for update to sbf_editor using (
  user_id = current_setting('sbf.user_id', true)
  and (id in (select source_id from sbf.notebook_sources)
       or created_by = current_setting('sbf.author', true) and created_at = now()
          and (select sbf.guest_notebook()) is not null));
grant insert (user_id, id, origin, name, media_type, language_hint, tags, sha256, url),
  update (name, tags, status, stage, reason, message, done, total, sha256, updated_at) on sbf.sources to sbf_editor;

-- What guests write belongs to them, inside the notebook. Usage is a ledger: nobody changes it.
do $$
declare t text;
begin
  foreach t in array array['answers', 'chats', 'notes', 'usage'] loop
    execute format('create policy guest on sbf.%I to sbf_viewer, sbf_editor using (
      user_id = current_setting(''sbf.user_id'', true) and author = current_setting(''sbf.author'', true)
      and notebook_id = (select sbf.guest_notebook()))', t);
    execute format('grant select, insert on sbf.%I to sbf_viewer, sbf_editor', t);
  end loop;
end $$;
grant update, delete on sbf.answers, sbf.chats, sbf.notes to sbf_viewer, sbf_editor;
grant select, insert, update, delete on sbf.messages to sbf_viewer, sbf_editor;
create policy guest on sbf.messages to sbf_viewer, sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and author = current_setting('sbf.author', true)
  and chat_id in (select id from sbf.chats));
create policy guest on sbf.epochs to sbf_viewer, sbf_editor using (
  user_id = current_setting('sbf.user_id', true) and (select sbf.guest_notebook()) is not null);
grant select, insert, update on sbf.epochs to sbf_viewer, sbf_editor;

-- As in 0001, and a guest's scope is their notebook, whatever the caller says.
grant select on sbf.shares to sbf_search;
create policy candidates on sbf.shares for select to sbf_search using (true);
create or replace function sbf.lexical_candidates(
    query public.sparsevec, any_keys integer[], pair1 integer[], pair2 integer[], pair3 integer[],
    in_notebooks uuid[], in_sources uuid[], not_sources uuid[], at_most integer)
  returns table (chunk_id uuid, source_id uuid, score double precision, language text)
  language plpgsql stable security definer
  set search_path = sbf, public, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
begin
  if current_setting('role') <> 'sbf_app' then
    in_notebooks := array(
      select s.notebook_id from sbf.shares s
      where s.user_id = current_setting('sbf.user_id') and s.member_id = current_setting('sbf.author')
        and s.notebook_id = nullif(current_setting('sbf.notebook_id'), '')::uuid
        and (s.role = 'editor' or current_setting('role') = 'sbf_viewer')
        and (in_notebooks is null or s.notebook_id = any(in_notebooks)));
  end if;
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
grant execute on function sbf.lexical_candidates to sbf_viewer, sbf_editor;

-- epoch_of() must pass the policies too. Its owner so far does only where the
-- schema's owner is a superuser; anywhere else every epoch would be 0.
grant create on schema sbf to sbf_search;
grant select on sbf.epochs to sbf_search;
create policy counted on sbf.epochs for select to sbf_search using (true);
alter function sbf.epoch_of owner to sbf_search;
revoke create on schema sbf from sbf_search;

-- What sbf_sharing may see and remove, for the functions below.
do $$
declare t text;
begin
  foreach t in array array['shares', 'notebooks', 'notebook_sources', 'sources', 'answers', 'chats', 'messages', 'notes', 'usage'] loop
    execute format('create policy sharing on sbf.%I to sbf_sharing using (true)', t);
  end loop;
end $$;
grant select on sbf.shares, sbf.notebooks, sbf.notebook_sources to sbf_sharing;
grant select (user_id, id, chunk_count) on sbf.sources to sbf_sharing;
grant select (user_id, id, author, notebook_id) on sbf.answers, sbf.chats, sbf.notes, sbf.usage to sbf_sharing;
grant select (user_id, id, author) on sbf.messages to sbf_sharing;
grant delete on sbf.shares, sbf.answers, sbf.chats, sbf.messages, sbf.notes, sbf.usage to sbf_sharing;

-- Under which share a member may use all of these objects; the one that allows most.
create function sbf.share_of(kind text, ids uuid[]) returns table (user_id text, notebook_id uuid, role text)
  language sql stable security definer set search_path = sbf, pg_temp as $$
  select s.user_id, s.notebook_id, s.role from shares s
  where s.member_id = current_setting('sbf.user_id') and cardinality(ids) > 0
    and not exists (select from unnest(ids) wanted where not case kind
      when 'notebook' then wanted = s.notebook_id
      when 'source' then exists (select from notebook_sources l where l.user_id = s.user_id and l.notebook_id = s.notebook_id
        and l.source_id = wanted and (l.removed_at is null or s.role = 'editor'))
      when 'answer' then exists (select from answers a where a.user_id = s.user_id and a.id = wanted
        and a.author = s.member_id and a.notebook_id = s.notebook_id)
      when 'chat' then exists (select from chats c where c.user_id = s.user_id and c.id = wanted
        and c.author = s.member_id and c.notebook_id = s.notebook_id)
      when 'note' then exists (select from notes n where n.user_id = s.user_id and n.id = wanted
        and n.author = s.member_id and n.notebook_id = s.notebook_id)
      else false end)
  order by s.role, s.created_at limit 1 -- 'editor' comes before 'viewer'
$$;

-- The notebooks that others share with a member.
create function sbf.shared_notebooks() returns table (id uuid, name text, description text, created_at timestamptz,
    updated_at timestamptz, source_count bigint, chunk_count bigint, role text, owner text)
  language sql stable security definer set search_path = sbf, pg_temp as $$
  select n.id, n.name, n.description, n.created_at, n.updated_at, count(o.id), coalesce(sum(o.chunk_count), 0), s.role, s.owner_name
  from shares s
  join notebooks n on n.user_id = s.user_id and n.id = s.notebook_id
  left join notebook_sources l on l.user_id = n.user_id and l.notebook_id = n.id and l.removed_at is null
  left join sources o on o.user_id = l.user_id and o.id = l.source_id
  where s.member_id = current_setting('sbf.user_id')
  group by n.user_id, n.id, s.role, s.owner_name
$$;

-- When a user goes: what others wrote in their notebooks, what they wrote in notebooks of others, and their access.
create function sbf.purge_shared() returns void language plpgsql security definer set search_path = sbf, pg_temp as $$
declare
  who constant text := current_setting('sbf.user_id');
begin
  delete from messages where author <> user_id and (user_id = who or author = who);
  delete from chats where author <> user_id and (user_id = who or author = who);
  delete from notes where author <> user_id and (user_id = who or author = who);
  delete from answers where author <> user_id and (user_id = who or author = who);
  delete from usage where author <> user_id and (user_id = who or author = who);
  delete from shares where user_id = who or member_id = who;
end $$;
-- Answers outlive their notebook for its owner only: nobody could reach a guest's any more.
create function sbf.forget_guests() returns trigger language plpgsql security definer set search_path = sbf, pg_temp as $$
begin
  delete from answers where user_id = old.user_id and notebook_id = old.id and author <> user_id;
  return null;
end $$;
create trigger notebook_deleted after delete on sbf.notebooks for each row execute function sbf.forget_guests();
create index answers_guests on sbf.answers (user_id, notebook_id) where author <> user_id;
do $$
declare t text;
begin
  foreach t in array array['answers', 'chats', 'messages', 'notes', 'usage'] loop
    execute format('create index %I on sbf.%I (author) where author <> user_id', t || '_by_guests', t);
  end loop;
end $$;

do $$
declare f text;
begin
  foreach f in array array['share_of', 'shared_notebooks', 'purge_shared', 'forget_guests'] loop
    execute format('alter function sbf.%I owner to sbf_sharing', f);
    execute format('revoke all on function sbf.%I from public', f);
  end loop;
end $$;
grant execute on function sbf.share_of, sbf.shared_notebooks, sbf.purge_shared to sbf_app;
revoke create on schema sbf from sbf_sharing;
