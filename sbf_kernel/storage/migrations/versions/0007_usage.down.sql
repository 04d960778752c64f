drop function sbf.usage_elsewhere;
revoke select (created_at, operation, model, input_tokens, output_tokens, cost_usd) on sbf.usage from sbf_sharing;
