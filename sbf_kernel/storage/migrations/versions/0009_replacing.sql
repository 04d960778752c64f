-- An editor who adds a source again may bring another address or other bytes for it.
grant update (url, media_type, language_hint) on sbf.sources to sbf_editor;
