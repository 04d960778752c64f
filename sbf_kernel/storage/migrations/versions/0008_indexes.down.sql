drop index sbf.chunks_source, sbf.lexical_source, sbf.embeddings_source, sbf.embeddings_content, sbf.notebook_sources_source,
  sbf.sources_origin, sbf.sources_sha256;
create index chunks_source on sbf.chunks (user_id, source_id);
create index lexical_source on sbf.lexical (user_id, source_id);
create index embeddings_source on sbf.embeddings (user_id, source_id);
create index embeddings_content on sbf.embeddings (user_id, content_hash, model);
create index notebook_sources_source on sbf.notebook_sources (user_id, source_id);
create unique index sources_origin on sbf.sources (user_id, md5(origin));
create index sources_sha256 on sbf.sources (user_id, sha256);
alter table sbf.chunks drop constraint chunks_version_id_ordinal_user_id_key, add unique (user_id, version_id, ordinal);
alter table sbf.source_versions drop constraint source_versions_source_id_number_user_id_key, add unique (user_id, source_id, number);
