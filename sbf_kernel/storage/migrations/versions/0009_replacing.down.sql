revoke update (url, media_type, language_hint) on sbf.sources from sbf_editor;
