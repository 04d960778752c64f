-- Foreign keys are checked, and deletes cascaded, by (user_id, id). For a tenant
-- that the statistics do not know yet, any index that begins with user_id
-- looked as good as the primary key: each row then read all of the tenant's,
-- and a long text took minutes instead of seconds. So only the primary keys
-- begin with user_id on tables that others refer to.
drop index sbf.chunks_source, sbf.lexical_source, sbf.embeddings_source, sbf.embeddings_content, sbf.notebook_sources_source,
  sbf.sources_origin, sbf.sources_sha256;
create index chunks_source on sbf.chunks (source_id, user_id);
create index lexical_source on sbf.lexical (source_id, user_id);
create index embeddings_source on sbf.embeddings (source_id, user_id);
create index embeddings_content on sbf.embeddings (content_hash, user_id, model);
create index notebook_sources_source on sbf.notebook_sources (source_id, user_id);
create unique index sources_origin on sbf.sources (md5(origin), user_id);
create index sources_sha256 on sbf.sources (sha256, user_id);
alter table sbf.chunks drop constraint chunks_user_id_version_id_ordinal_key, add unique (version_id, ordinal, user_id);
alter table sbf.source_versions drop constraint source_versions_user_id_source_id_number_key, add unique (source_id, number, user_id);
