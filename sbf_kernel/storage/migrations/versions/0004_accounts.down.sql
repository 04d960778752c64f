drop table sbf.invitations, sbf.api_tokens, sbf.refresh_tokens, sbf.sign_ins, sbf.users;
revoke usage on schema sbf from sbf_accounts;
