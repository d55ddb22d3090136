-- What a site is asked with may be a secret: the table holds where it is, never the secret itself.
-- Rows from before stay as they are until they are written again.

alter table websites add constraint settings_hold_no_credentials check (
    not jsonb_path_exists(settings, '$.bearer_token ? (@.type() == "string")', '{}', true)
    and not jsonb_path_exists(settings, '$.basic_auth.password ? (@.type() == "string")', '{}', true)
    and not jsonb_path_exists(settings, '$.proxy ? (@ like_regex "@")', '{}', true)
    and not jsonb_path_exists(
        settings,
        '$.headers.keyvalue() ? (@.key like_regex "authorization|cookie|token|secret|password|api-?key" flag "i" && @.value.type() == "string")',
        '{}',
        true
    )
) not valid;

comment on column websites.settings is 'Every other field of a site, as in a site file; {} for none. Credentials are refused here: {"env": ...} or {"file": ...} names where they are.';
