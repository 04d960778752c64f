-- Who may sign in, and with what. These belong to the deployment, not to a
-- tenant: sbf_accounts alone may use them, and it sees nothing else.
do $$
begin
  if not exists (select from pg_roles where rolname = 'sbf_accounts') then create role sbf_accounts nologin; end if;
  if not pg_has_role('sbf_accounts', 'usage') then
    execute format('grant sbf_accounts to %I', current_user);
  end if;
end $$;
grant usage on schema sbf to sbf_accounts;

create table sbf.users (
  id uuid not null primary key,
  name text not null unique,           -- casefolded, NFC; hub:… for users of a JupyterHub
  password_hash text,                  -- Argon2id; null for those who sign in elsewhere
  role text not null check (role in ('member', 'admin')),
  status text not null default 'active' check (status in ('active', 'suspended')),
  token_epoch integer not null default 0,  -- what was issued under another number is void
  epoch_at timestamptz not null default '-infinity',
  created_at timestamptz not null default now()
);
create index users_admins on sbf.users (id) where role = 'admin' and status = 'active';

-- A sign-in is a family of refresh tokens, of which only the newest is good.
create table sbf.sign_ins (
  id uuid not null primary key,
  user_id uuid not null references sbf.users on delete cascade,
  token_epoch integer not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,     -- of the newest token
  revoked_at timestamptz
);
create index sign_ins_user on sbf.sign_ins (user_id, expires_at);

create table sbf.refresh_tokens (
  hash bytea not null primary key,     -- SHA-256
  sign_in_id uuid not null references sbf.sign_ins on delete cascade,
  expires_at timestamptz not null,
  used_at timestamptz
);
create index refresh_tokens_sign_in on sbf.refresh_tokens (sign_in_id, expires_at);

create table sbf.api_tokens (
  id uuid not null primary key,
  hash bytea not null unique,          -- SHA-256
  user_id uuid not null references sbf.users on delete cascade,
  token_epoch integer not null,
  name text not null,
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
create index api_tokens_user on sbf.api_tokens (user_id, created_at);

create table sbf.invitations (
  hash bytea not null primary key,     -- SHA-256
  role text not null check (role in ('member', 'admin')),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz
);

do $$
declare t text;
begin
  foreach t in array array['users', 'sign_ins', 'refresh_tokens', 'api_tokens', 'invitations'] loop
    execute format('alter table sbf.%I enable row level security', t);
    execute format('alter table sbf.%I force row level security', t);
    execute format('create policy accounts on sbf.%I to sbf_accounts using (true)', t);
    execute format('grant select, insert, update, delete on sbf.%I to sbf_accounts', t);
  end loop;
end $$;
