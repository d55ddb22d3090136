-- Which certificate of the whole way to a page expires first: of every server that a check was led
-- to, with the chains that they sent.

alter table website_states
    add column chain_not_after timestamptz,
    add column chain_subject text,
    add column chain_host text;

comment on column website_states.chain_not_after is 'When the first expires of all certificates that the check depended on, those of redirects and of chains included; null: none was seen since there is this column.';
comment on column website_states.chain_subject is 'Whose certificate that is; null: it names nobody.';
comment on column website_states.chain_host is 'The host that sent it.';
