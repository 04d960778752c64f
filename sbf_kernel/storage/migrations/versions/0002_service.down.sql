drop function sbf.epoch_of;
drop policy tenant on sbf.answers;
alter table sbf.answers drop column author;
create policy tenant on sbf.answers to sbf_app using (user_id = current_setting('sbf.user_id', true));
drop table sbf.usage, sbf.notes, sbf.messages, sbf.chats, sbf.idempotency_keys, sbf.epochs;
