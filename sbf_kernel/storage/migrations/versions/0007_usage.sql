-- What a member consumed in notebooks of others: it is in their owners' ledgers,
-- which row-level security hides, and belongs into the member's own report.
create function sbf.usage_elsewhere() returns table (created_at timestamptz, operation text, model text,
    input_tokens integer, output_tokens integer, cost_usd double precision)
  language sql stable security definer set search_path = sbf, pg_temp as $$
  select u.created_at, u.operation, u.model, u.input_tokens, u.output_tokens, u.cost_usd from usage u
  where u.author = current_setting('sbf.user_id') and u.author <> u.user_id
$$;
revoke all on function sbf.usage_elsewhere from public;
grant execute on function sbf.usage_elsewhere to sbf_app;
grant select (created_at, operation, model, input_tokens, output_tokens, cost_usd) on sbf.usage to sbf_sharing;
grant create on schema sbf to sbf_sharing;
alter function sbf.usage_elsewhere owner to sbf_sharing;
revoke create on schema sbf from sbf_sharing;
