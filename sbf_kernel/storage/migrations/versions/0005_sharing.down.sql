drop trigger notebook_deleted on sbf.notebooks;
drop owned by sbf_viewer, sbf_editor, sbf_sharing; -- their policies, privileges and functions in this database
alter function sbf.epoch_of owner to current_user;
drop policy counted on sbf.epochs;
revoke select on sbf.epochs from sbf_search;
drop function sbf.guest_notebook, sbf.guest_sees;
drop index sbf.answers_guests, sbf.answers_by_guests, sbf.chats_by_guests, sbf.messages_by_guests, sbf.notes_by_guests, sbf.usage_by_guests;
alter table sbf.sources drop column created_by;
-- As in 0001.
create or replace function sbf.lexical_candidates(
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
drop table sbf.shares;
